"""`watchfloor thaw`: what an approval covers is printed, and its digest is named or typed."""

import psycopg
import pytest

from console.commands import freezes
from contract.errors import ExitCode
from tests.support.commands import Commands
from tests.support.people import ADMIN, ADMIN2, OFFICER


@pytest.fixture
def asked(run: Commands, request: pytest.FixtureRequest) -> str:
    """A freeze whose thaw the officer has asked for."""
    scope = f"chain:{request.node.name}"[:80]
    ref: str = run(OFFICER, "freeze", "--scope", scope, "--reason", "x", "--json").body["ref"]
    assert run(OFFICER, "thaw", ref, "--reason", "explained").code == 0
    return ref


def test_asking_tells_what_the_second_person_runs(run: Commands) -> None:
    ref = run(OFFICER, "freeze", "--scope", "chain:told", "--reason", "x", "--json").body["ref"]
    ran = run(OFFICER, "thaw", ref, "--reason", "explained")
    said = " ".join(ran.out.split())
    assert f"watchfloor thaw approve {ref} --digest {run.digest_of(ADMIN, ref)[:8]}" in said


def test_a_script_names_the_digest_it_was_shown(run: Commands, asked: str) -> None:
    bare = run(ADMIN, "thaw", "approve", asked)
    assert bare.code == ExitCode.USAGE
    assert "--digest" in bare.err
    for line in ("open alert", "other holds that stay: none", "oscar asked for it: explained", "digest "):
        assert line in bare.err
    ran = run(ADMIN, "thaw", "approve", asked, "--digest", run.digest_of(ADMIN, asked)[:8])
    assert (ran.code, "is thawed" in ran.out) == (0, True)


def test_another_digest_is_refused(run: Commands, asked: str) -> None:
    ran = run(ADMIN, "thaw", "approve", asked, "--digest", "00000000")
    assert ran.code == ExitCode.REFUSED_BY_POLICY
    assert "no longer what you were shown" in ran.err
    assert run(ADMIN, "thaw", "approve", asked, "--digest", "123").code == ExitCode.USAGE


def test_ones_own_request_is_refused_by_policy(run: Commands, asked: str) -> None:
    ran = run(OFFICER, "thaw", "approve", asked, "--digest", run.digest_of(ADMIN, asked))
    assert ran.code == ExitCode.REFUSED_BY_POLICY


def test_what_changed_is_said_before_anybody_approves(run: Commands) -> None:
    ref = run(OFFICER, "freeze", "--scope", "chain:changing", "--reason", "x", "--json").body["ref"]
    run(OFFICER, "thaw", ref, "--reason", "explained")
    run.floor.renew("late-bot", chain="changing")
    ran = run(ADMIN2, "thaw", "approve", ref, "--digest", run.digest_of(ADMIN, ref))
    assert ran.code == ExitCode.REFUSED_BY_POLICY
    assert "CHANGED since it was asked for: executor joined: late-bot" in ran.err
    assert "CHANGED" in run(ADMIN, "freezes", "show", ref).out


def test_a_request_that_lapsed_meanwhile_is_refused_by_policy(run: Commands, asked: str) -> None:
    with psycopg.connect(run.floor.database_url) as floor:
        past = "UPDATE freezes SET thaw_expires_at = now() - interval '1 s' WHERE number = %s"
        assert floor.execute(past, (int(asked.removeprefix("FRZ-")),)).rowcount == 1
    ran = run(ADMIN, "thaw", "approve", asked, "--digest", run.digest_of(ADMIN, asked))
    assert ran.code == ExitCode.REFUSED_BY_POLICY
    assert "lapsed" in ran.err or "nobody has asked" in ran.err, "the backend may have dropped the request by then"


def test_one_person_alone_is_refused_by_policy(run: Commands) -> None:
    ref = run(OFFICER, "freeze", "--scope", "chain:alone", "--reason", "x", "--json").body["ref"]
    ran = run(ADMIN, "thaw", "approve", ref, "--digest", run.digest_of(ADMIN, ref))
    assert (ran.code, "nobody has asked" in ran.err) == (ExitCode.REFUSED_BY_POLICY, True)


@pytest.mark.parametrize(("typed", "code"), [("right", 0), ("wrong", ExitCode.REFUSED_BY_POLICY)])
def test_on_a_terminal_the_digest_is_typed(
    run: Commands, asked: str, monkeypatch: pytest.MonkeyPatch, typed: str, code: int
) -> None:
    monkeypatch.setattr(freezes, "_is_terminal", lambda: True)
    digest = run.digest_of(ADMIN, asked)
    monkeypatch.setattr("click.prompt", lambda *_, **__: digest[:8] if typed == "right" else "no")
    assert run(ADMIN, "thaw", "approve", asked).code == code


def test_a_lifted_freeze_has_nothing_to_approve(run: Commands, asked: str) -> None:
    run(ADMIN, "thaw", "approve", asked, "--digest", run.digest_of(ADMIN, asked))
    assert run(ADMIN2, "thaw", "approve", asked).code == ExitCode.CHECK_FAILED
