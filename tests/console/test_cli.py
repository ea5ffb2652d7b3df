"""Every client command against a real backend: its answer, its exit code, its sentence when it is refused."""

import asyncio
import os
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import pyotp
import pytest
from rich.cells import cell_len

from console import cli
from console.client import session
from contract.errors import ExitCode
from tests.support.app import App
from tests.support.commands import Commands
from tests.support.holds import approve, ask_for_thaw
from tests.support.people import ADMIN, ADMIN2, AUDITOR, EXECUTOR, OFFICER, OPERATOR, PASSWORD, TOTP_SECRET

NOWHERE = "http://127.0.0.1:9"


def freeze_something(run: Commands, scope: str = "chain:nowhere") -> str:
    ref: str = run(OFFICER, "freeze", "--scope", scope, "--reason", "a test", "--json").body["ref"]
    return ref


# signing in


def test_login_whoami_logout(run: Commands, tmp_path: Path) -> None:
    (tmp_path / "password").write_text(f"{PASSWORD}\n")
    code = pyotp.TOTP(TOTP_SECRET).now()
    login = ("login", "--user", OPERATOR.name, "--password-file", str(tmp_path / "password"), "--totp", code)
    ran = run(None, *login)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith(f"Signed in to {run.floor.url} as olga until 20")
    kept = session.load(os.environ, run.floor.url)
    assert kept is not None
    assert kept.token not in ran.out
    me = run(None, "whoami", "--json").body
    assert (me["schema"], me["username"], me["role"]) == ("watchfloor.whoami/1", "olga", "mev_operator")
    assert run(None, "logout").out == f"Signed out of {run.floor.url}.\n"
    assert run(None, "whoami").code == ExitCode.NOT_ALLOWED
    assert run(None, "logout").out == f"Not signed in to {run.floor.url}.\n"


def test_login_prints_the_token_for_scripts(run: Commands, tmp_path: Path) -> None:
    (tmp_path / "password").write_bytes(PASSWORD.encode() + b"\r\nsecond line\n")
    code = pyotp.TOTP(TOTP_SECRET).now()
    ran = run(
        None, "login", "--user", AUDITOR.name, "--password-file", str(tmp_path / "password"), "--totp", code, "--json"
    )
    assert set(ran.body) == {"schema", "token", "expires_at"}
    assert datetime.fromisoformat(ran.body["expires_at"]) > datetime.now(UTC)


def test_a_failed_login_is_refused_and_keeps_nothing(run: Commands, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("wrong")
    ran = run(None, "login", "--user", OFFICER.name, "--password-file", str(tmp_path / "password"), "--totp", "000000")
    assert ran.code == ExitCode.NOT_ALLOWED
    assert "wrong" in ran.err
    assert not Path(session.sessions_path(os.environ)).exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "Cannot read"), (b"", "holds no password"), (b"\xff\n", "not UTF-8"), (b"x" * 5_000, "holds no password")],
)
def test_a_wrong_password_file_is_a_usage_error(
    run: Commands, tmp_path: Path, content: bytes | None, message: str
) -> None:
    if content is not None:
        (tmp_path / "password").write_bytes(content)
    ran = run(None, "login", "--user", "x", "--password-file", str(tmp_path / "password"))
    assert ran.code == ExitCode.USAGE
    assert message in ran.err


def test_without_a_terminal_no_password_is_asked_for(run: Commands) -> None:
    ran = run(None, "login", "--user", "x")
    assert ran.code == ExitCode.USAGE
    assert "--password-file" in ran.err


def test_a_value_of_a_refused_login_never_shows(run: Commands, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("p" * 2_000)
    ran = run(None, "login", "--user", "x", "--password-file", str(tmp_path / "password"))
    assert ran.code == ExitCode.USAGE
    assert "pppp" not in ran.err


# every command


READS = [
    ("whoami",),
    ("status",),
    ("risk", "show"),
    ("alerts", "list"),
    ("freezes", "list"),
    ("executors", "list"),
    ("transactions", "list"),
    ("compliance", "metrics"),
    ("audit", "search"),
]


@pytest.mark.parametrize("command", READS)
def test_every_reading_command_answers_in_text_and_in_json(run: Commands, command: tuple[str, ...]) -> None:
    run.floor.renew("bot-1")
    text = run(ADMIN if command[0] != "audit" else AUDITOR, *command)
    assert (text.code, text.err) == (0, "")
    assert all(cell_len(line) <= 80 for line in text.out.splitlines())
    assert text.out
    answer = run(ADMIN if command[0] != "audit" else AUDITOR, *command, "--json")
    assert answer.body["schema"] == f"watchfloor.{'.'.join(command)}/1"


@pytest.mark.parametrize("command", READS)
def test_every_command_says_when_nobody_is_signed_in(run: Commands, command: tuple[str, ...]) -> None:
    ran = run(None, *command)
    assert (ran.code, ran.out) == (ExitCode.NOT_ALLOWED, "")
    assert "watchfloor login" in ran.err


@pytest.mark.parametrize("command", [*READS, ("freeze", "--scope", "global", "--reason", "x")])
def test_every_command_says_when_the_backend_is_away(run: Commands, command: tuple[str, ...]) -> None:
    ran = run(ADMIN, *command, url=NOWHERE)
    assert (ran.code, ran.out) == (ExitCode.UNREACHABLE, "")
    assert ran.err.startswith(f"watchfloor: No backend answers at {NOWHERE}.")


@pytest.mark.parametrize(
    "command", [("alerts", "show"), ("alerts", "ack"), ("freezes", "show"), ("thaw", "approve"), ("audit", "show")]
)
@pytest.mark.parametrize("ident", ["FRZ-9999", "0192f0c2-7a3b-7c11-8e55-1234567890ab", "../../v1/overview", "\x1b[2J"])
def test_what_is_not_there_is_not_found(run: Commands, command: tuple[str, ...], ident: str) -> None:
    ran = run(AUDITOR if command[0] == "audit" else ADMIN, *command, ident)
    assert ran.code in {ExitCode.NOT_FOUND, ExitCode.USAGE}, "what cannot be an id may be told apart"
    assert ran.code == ExitCode.NOT_FOUND or ident != "0192f0c2-7a3b-7c11-8e55-1234567890ab"
    assert "\x1b" not in ran.err


def test_every_command_has_help_and_is_loaded_by_its_name(run: Commands) -> None:
    for name in cli.COMMANDS:
        assert cli.load(name).name == name
        assert run(None, name, "--help").code == 0


@pytest.mark.parametrize(
    "wrong",
    [
        ("alerts",),
        ("alerts", "silence"),
        ("alerts", "list", "--limit", "0"),
        ("alerts", "list", "--cursor", "nonsense"),
        ("freeze", "--scope", "planet:mars", "--reason", "x"),
        ("freeze", "--scope", "chain:", "--reason", "x"),
        ("freeze", "--scope", "global", "--reason", "  "),
        ("freeze", "--scope", "global", "--reason", "r" * 2_001),
        ("freeze", "--scope", "global"),
        ("freeze", "--scope", "global", "--reason", "x", "--wait", "forever"),
        ("thaw",),
        ("thaw", "FRZ-0001"),
        ("transactions", "list", "--since", "sometime"),
    ],
)
def test_wrong_usage_is_exit_code_2_with_a_reason(run: Commands, wrong: tuple[str, ...]) -> None:
    ran = run(OFFICER, *wrong)
    assert (ran.code, ran.out) == (ExitCode.USAGE, "")
    assert ran.err


@pytest.mark.parametrize("url", ["nonsense", "http://me:secret@localhost", "http://10.0.0.1:8420"])
def test_a_wrong_or_unsafe_address_is_a_matter_of_configuration(run: Commands, url: str) -> None:
    ran = run(ADMIN, "whoami", "--url", url)
    assert ran.code == ExitCode.CONFIGURATION
    assert "secret" not in ran.err


def test_a_sessions_file_open_to_others_is_refused(run: Commands) -> None:
    run(None, "whoami")
    session.save(os.environ, session.Session(run.floor.url, "adam", run.floor.token(ADMIN), "2030-01-01T00:00:00Z"))
    Path(session.sessions_path(os.environ)).chmod(0o644)
    ran = run(None, "whoami")
    assert ran.code == ExitCode.CONFIGURATION
    assert "chmod 600" in ran.err


# freezing and thawing


def test_freeze_show_list_thaw_and_approve(run: Commands) -> None:
    ran = run(
        OFFICER, "freeze", "--scope", "strategy:nothing", "--mode", "reduce-only", "--reason", "odd fills", "--json"
    )
    body = ran.body
    assert ran.code == 0
    assert (body["schema"], body["outcome"], body["not_confirmed"]) == ("watchfloor.freeze/1", "done", [])
    assert (body["scope"], body["mode"]) == ({"kind": "strategy", "name": "nothing"}, "reduce-only")
    ref = body["ref"]
    assert ref in run(ADMIN, "freezes", "list").out
    assert "odd fills" in run(ADMIN, "freezes", "show", ref).out
    assert run(OFFICER, "thaw", ref, "--reason", "explained").code == 0
    digest = run.digest_of(ADMIN, ref)
    own = run(OFFICER, "thaw", "approve", ref, "--digest", digest)
    assert own.code in {ExitCode.REFUSED_BY_POLICY, ExitCode.NOT_ALLOWED}
    assert run(ADMIN, "thaw", "approve", ref, "--digest", digest, "--json").body["status"] == "thawed"
    assert ref not in run(ADMIN, "freezes", "list").out
    assert ref in run(ADMIN, "freezes", "list", "--status", "all").out


def test_nobody_approves_their_own_thaw(run: Commands) -> None:
    ref = run(ADMIN, "freeze", "--scope", "chain:own", "--reason", "x", "--json").body["ref"]
    assert run(ADMIN, "thaw", ref, "--reason", "y").code == 0
    assert run(ADMIN, "thaw", "approve", ref, "--digest", run.digest_of(ADMIN, ref)).code == ExitCode.REFUSED_BY_POLICY
    assert run(ADMIN, "thaw", "withdraw", ref, "--json").body["status"] == "active"


def test_who_may_not_freeze_is_refused(run: Commands) -> None:
    assert run(AUDITOR, "freeze", "--scope", "global", "--reason", "x").code == ExitCode.NOT_ALLOWED
    assert run(EXECUTOR, "freezes", "list").code == ExitCode.NOT_ALLOWED


def test_waiting_ends_done_when_every_executor_has_answered(run: Commands) -> None:
    run.floor.renew("obedient", chain="polygon")
    stop = threading.Event()

    def obey() -> None:
        while not stop.is_set():
            permit = run.floor.renew("obedient", chain="polygon")
            run.floor.renew("obedient", chain="polygon", halted_epoch=permit.epoch if permit.holds else 0)
            time.sleep(0.1)

    thread = threading.Thread(target=obey)
    thread.start()
    try:
        ran = run(OFFICER, "freeze", "--scope", "chain:polygon", "--reason", "x", "--wait", "acked", "--json")
    finally:
        stop.set()
        thread.join()
    assert ran.code == 0
    assert (ran.body["outcome"], ran.body["covered"], ran.body["halted"]) == ("done", 1, 1)


def test_waiting_in_vain_ends_unknown_and_names_who_has_not_confirmed(run: Commands) -> None:
    stop = threading.Event()

    def defy() -> None:
        while not stop.is_set():
            run.floor.renew("deaf", chain="optimism")
            time.sleep(0.1)

    run.floor.renew("deaf", chain="optimism")
    thread = threading.Thread(target=defy)
    thread.start()
    try:
        order = ("freeze", "--scope", "chain:optimism", "--reason", "x", "--wait", "acked", "--timeout", "1")
        ran = run(OFFICER, *order, "--json")
        text = run(OFFICER, *order)
    finally:
        stop.set()
        thread.join()
    assert ran.code == text.code == ExitCode.TIMED_OUT
    assert (ran.body["outcome"], ran.body["not_confirmed"]) == ("unknown", ["deaf"])
    assert "Not confirmed: deaf." in text.out.replace("\n", " ")


def test_watching_one_freeze_ends_when_it_is_thawed(run: Commands) -> None:
    ref = freeze_something(run, "chain:watched")

    async def lift(app: App) -> None:
        async with (
            app.with_token(run.floor.token(OFFICER)) as asker,
            app.with_token(run.floor.token(ADMIN2)) as approver,
        ):
            await asyncio.sleep(0.5)
            assert (await ask_for_thaw(asker, ref)).is_success
            await asyncio.sleep(0.5)
            assert (await approve(approver, ref)).is_success

    thread = threading.Thread(target=run.floor.within, args=(lift,))
    thread.start()
    ran = run(ADMIN, "freezes", "watch", ref)
    thread.join()
    assert ran.code == 0
    said = [line for line in ran.out.splitlines() if not line.startswith("level=")]  # the backend lives in this process
    assert [next(line for line in said if word in line) for word in ("active", "thaw requested", "thawed")], said
    assert "thawed" in said[-1], said
    assert "live" in ran.err


# audit


def test_a_search_finds_what_was_done_and_shows_it_whole(run: Commands) -> None:
    freeze_something(run, "chain:audited-before")
    ref = freeze_something(run, "chain:audited")
    found = run(
        AUDITOR, "audit", "search", "--user", OFFICER.name, "--since", "1h", "--result", "success", "--json"
    ).body
    assert all(entry["user_id"] == OFFICER.name for entry in found["items"])
    entry = next(entry for entry in found["items"] if entry["resource_type"] == "freeze")
    shown = run(AUDITOR, "audit", "show", entry["id"])
    assert shown.code == 0
    assert entry["hash"] in shown.out
    assert ref in run(AUDITOR, "audit", "show", entry["id"], "--json").out
    text = run(AUDITOR, "audit", "search", "--event", entry["event_type"], "--resource", "freeze", "--limit", "1")
    assert OFFICER.name in text.out
    assert entry["id"] in text.out
    assert "More: add --cursor " in text.err
    assert run(AUDITOR, "audit", "search", "--until", "2001-01-01", "nothing such").out.startswith("No entries.")
