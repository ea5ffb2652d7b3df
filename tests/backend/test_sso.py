"""Signing in through a provider of SSO: who comes in, as whom, with what, and who does not."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from sqlalchemy import func, select

from backend.auth import oidc_accounts, totp
from backend.auth.oidc_tables import SsoIdentity, SsoSignIn
from backend.auth.service import forget_account
from backend.auth.tables import User
from backend.context import system_caller
from backend.errors import WatchfloorError
from contract.errors import ErrorCode
from tests.support.hardware import Desk, desk
from tests.support.people import ADMIN, OPERATOR, TOTP_SECRET, Person, sign_in
from tests.support.signing_in import enrol, first_step, quick_hashes, second_step, signed
from tests.support.sso import POLICY, Sso, sso

LOCAL = system_caller("test")
NORA_ADMIN = Person("nora", "mev_admin")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    quick_hashes(monkeypatch)


@pytest.fixture
async def made(database_url: str, tmp_path: Path) -> AsyncIterator[Sso]:
    async with sso(database_url, tmp_path) as running:
        yield running


@pytest.fixture
def linked_policy(tmp_path: Path) -> str:
    """The same policy, under which nobody comes in who was not linked."""
    path = tmp_path / "linked.toml"
    path.write_text(f'extends = "{POLICY}"\n\n[watchfloor.sso]\naccounts = "linked"\n')
    return str(path)


@pytest.fixture
def held() -> Iterator[Desk]:
    with desk() as found:
        yield found


async def _link(made: Sso, name: str, subject: str = "subject-1") -> None:
    async with made.app.runtime.database.transaction() as session:
        await oidc_accounts.link(session, made.app.runtime, LOCAL, name=name, subject=subject)


async def _count(made: Sso, table: type[SsoIdentity | SsoSignIn | User]) -> int:
    async with made.app.runtime.database.read() as session:
        return await session.scalar(select(func.count()).select_from(table)) or 0


async def test_somebody_with_a_group_comes_in_and_has_an_account(made: Sso) -> None:
    started = await made.start()
    assert (started["user_code"], started["ask_every_s"]) == ("ABCD-EFGH", 5)
    assert started["page_with_code"].startswith(started["page"])
    waiting = await made.ask(started)
    assert waiting.json() == {"ask_again_s": 5, "username": None, "answer": None, "challenge": None}
    made.provider.approved = True
    done = (await made.ask(started)).json()
    assert done["username"] == "nora"
    client = made.app.with_token(done["answer"]["token"])
    me = (await client.get("/v1/auth/whoami")).json()
    assert (me["username"], me["role"]) == ("nora", "mev_operator")
    (entry,) = await made.entries("auth.login.succeeded")
    assert entry.entry_metadata["factors"] == ["sso"]
    assert len(await made.entries("auth.user.added")) == len(await made.entries("auth.sso.linked")) == 1
    again = await made.ask(started)
    assert (again.status_code, len(await made.sessions())) == (401, 1)
    assert await _count(made, SsoSignIn) == 0


async def test_the_second_sign_in_is_to_the_same_account_whatever_the_name_is_by_then(made: Sso) -> None:
    await made.token()
    done = await made.answer(preferred_username="somebody-else")
    assert done.json()["username"] == "nora"
    assert await _count(made, User) == 1


async def test_the_role_of_a_made_account_follows_the_groups(made: Sso, held: Desk) -> None:
    first = await made.token()
    await enrol(made.app.runtime, NORA_ADMIN, held)
    done = await made.answer(groups=["else", "floor-admins", "floor-operators"])
    assert done.json()["challenge"] is not None
    assert (await made.app.with_token(first).get("/v1/auth/whoami")).status_code == 401
    (entry,) = await made.entries("auth.user.reset")
    assert entry.new_value == {"role": "mev_admin", "sessions_ended": 1}


async def test_nobody_comes_in_without_a_group(made: Sso) -> None:
    strange: list[object] = [[], None, "floor", ["floor-operators "], [["floor-operators"]], {"floor-operators": 1}]
    for groups in strange:
        done = await made.answer(groups=groups)
        assert (done.status_code, done.json()["code"]) == (401, "login_failed"), groups
        assert "stands for a role" in done.json()["message"]
    entries = await made.entries("auth.login.failed")
    assert [entry.error_message for entry in entries] == ["no group stands for a role"] * len(strange)
    assert (await made.sessions(), await _count(made, User)) == ([], 0)


async def test_an_account_is_never_given_to_whoever_comes_with_its_name(made: Sso) -> None:
    await sign_in(made.app.runtime, OPERATOR)
    done = await made.answer(preferred_username=OPERATOR.name.upper())
    assert (done.status_code, await _count(made, SsoIdentity)) == (401, 0)
    assert "--subject subject-1" in done.json()["hint"]
    await _link(made, OPERATOR.name)
    assert (await made.answer()).json()["username"] == OPERATOR.name


async def test_a_name_that_cannot_be_makes_no_account(made: Sso) -> None:
    for name in ("", None, "anonymous", "no ra", "nora\n", "-nora", 5, "é"):
        assert (await made.answer(preferred_username=name)).status_code == 401, name
    assert await _count(made, User) == 0


async def test_an_erased_name_does_not_come_back_by_itself(made: Sso) -> None:
    await made.token()
    async with made.app.runtime.database.transaction() as session:
        await forget_account(session, made.app.runtime, "nora", stand_in="erased-1")
    assert await _count(made, SsoIdentity) == 0


async def test_only_who_was_linked_comes_in_where_the_policy_says_so(
    database_url: str, tmp_path: Path, linked_policy: str
) -> None:
    async with sso(database_url, tmp_path, policy=linked_policy) as made:
        await sign_in(made.app.runtime, OPERATOR)
        refused = await made.answer()
        assert (refused.status_code, "linked" in refused.json()["message"]) == (401, True)
        await _link(made, OPERATOR.name)
        assert (await made.answer()).json()["username"] == OPERATOR.name
        wrong = await made.answer(groups=["floor-auditors"])
        assert (wrong.status_code, "external_auditor" in wrong.json()["message"]) == (401, True)


async def test_a_hardware_key_is_still_asked_for_here(made: Sso, held: Desk) -> None:
    await sign_in(made.app.runtime, ADMIN)
    await enrol(made.app.runtime, ADMIN, held)
    await _link(made, ADMIN.name)
    asked = (await made.answer(groups=["floor-admins"], amr=["hwk", "mfa"])).json()
    assert (asked["answer"], asked["username"]) == (None, ADMIN.name)
    answer = await second_step(made.app.http, signed(asked["challenge"], held))
    assert answer.status_code == 200, answer.text
    assert (await made.sessions())[-1].factors == ["sso", "sso_second", "hardware_key"]


async def test_the_backends_address_matters_only_where_a_key_is_asked_for(made: Sso, held: Desk) -> None:
    made.provider.approved = True
    foreign = {"origin": "http://elsewhere.example"}
    done = await made.ask(await made.start(), **foreign)
    assert (done.status_code, done.json()["username"]) == (200, "nora")
    await enrol(made.app.runtime, NORA_ADMIN, held)
    made.provider.claims |= {"groups": ["floor-admins"]}
    refused = await made.ask(await made.start(), **foreign)
    assert (refused.status_code, refused.json()["code"]) == (401, "login_failed")
    (entry,) = await made.entries("auth.login.failed")
    assert entry.error_message == "not an address of this backend"


async def test_somebody_without_the_key_their_role_needs_comes_in_once_there_is_one(made: Sso, held: Desk) -> None:
    done = await made.answer(groups=["floor-admins"])
    assert (done.status_code, "none that counts" in done.json()["message"]) == (401, True)
    assert (await made.sessions(), await _count(made, User)) == ([], 1)
    await enrol(made.app.runtime, NORA_ADMIN, held)
    assert (await made.answer()).json()["challenge"] is not None


async def test_a_key_shown_at_the_provider_counts_where_the_policy_believes_it(made: Sso) -> None:
    token = await made.token(groups=["floor-admins"], acr="urn:test:hwk")
    assert (await made.sessions())[-1].factors == ["sso", "hardware_key"]
    assert (await made.app.with_token(token).get("/v1/overview")).status_code == 200


async def test_a_disabled_account_stays_shut(made: Sso) -> None:
    await made.token()
    async with made.app.runtime.database.transaction() as session:
        (await session.scalars(select(User))).one().disabled = True
    done = await made.answer()
    assert (done.status_code, len(await made.sessions())) == (401, 1)


async def test_an_auditor_without_a_window_does_not_come_in(made: Sso) -> None:
    done = await made.answer(groups=["floor-auditors"])
    assert (done.status_code, done.json()["message"]) == (401, "No access window is open.")
    assert await made.sessions() == []


async def test_nobody_signs_in_with_a_password_to_an_account_that_sso_made(made: Sso) -> None:
    await made.token()
    async with made.app.runtime.database.read() as session:
        user = (await session.scalars(select(User))).one()
    for password in ("", "nobody has this password", "x"):
        made.hand.pass_(hours=1)
        body = {"username": "nora", "password": password, "totp": totp.code_at(user.totp_secret, made.hand.at)}
        assert (await made.app.http.post("/v1/auth/login", json=body)).status_code == 401


async def test_cutting_a_link_ends_the_sessions_that_came_through_it(made: Sso) -> None:
    await sign_in(made.app.runtime, OPERATOR)
    await _link(made, OPERATOR.name)
    token = await made.token()
    async with made.app.runtime.database.transaction() as session:
        ended = await oidc_accounts.unlink(session, made.app.runtime, LOCAL, name=OPERATOR.name)
    assert ended == 1
    assert (await made.app.with_token(token).get("/v1/auth/whoami")).status_code == 401
    assert [row.ended_at is None for row in await made.sessions()] == [True, False]
    assert len(await made.entries("auth.sso.unlinked")) == 1


async def test_a_person_and_an_account_have_one_link(made: Sso) -> None:
    for person in (OPERATOR, ADMIN):
        await sign_in(made.app.runtime, person)
    await _link(made, OPERATOR.name)
    await _link(made, OPERATOR.name)
    assert len(await made.entries("auth.sso.linked")) == 1
    for name, subject in ((ADMIN.name, "subject-1"), (OPERATOR.name, "subject-2")):
        with pytest.raises(WatchfloorError) as refused:
            await _link(made, name, subject)
        assert refused.value.code is ErrorCode.CONFLICT
    for name, subject, code in (
        ("nobody", "s", ErrorCode.NOT_FOUND),
        (ADMIN.name, "", ErrorCode.INVALID_REQUEST),
        (ADMIN.name, "s\x00", ErrorCode.INVALID_REQUEST),
    ):
        with pytest.raises(WatchfloorError) as refused:
            await _link(made, name, subject)
        assert refused.value.code is code


async def test_while_the_provider_is_away_local_accounts_and_sessions_go_on(made: Sso) -> None:
    token = await made.token()
    for path in ("/device", "/token", "/jwks", "/.well-known/openid-configuration"):
        made.provider.instead[path] = _out_of_order
    away = await made.app.http.post("/v1/auth/login/sso", json={})
    assert (away.status_code, away.json()["code"]) == (503, "unavailable")
    assert "local account" in away.json()["hint"]
    assert (await made.app.with_token(token).get("/v1/auth/whoami")).status_code == 200
    await sign_in(made.app.runtime, OPERATOR)
    local = await first_step(made.app.http, OPERATOR, totp.code_at(TOTP_SECRET, made.hand.at))
    assert local.status_code == 200, local.text


async def _out_of_order(_: bytes, __: dict[str, str]) -> bytes:
    return b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


async def test_a_backend_without_a_provider_says_so(database_url: str) -> None:
    from tests.support.app import started_app

    async with started_app(database_url) as app:
        for path, body in (("login/sso", {}), ("sso/ask", {"ticket": "t"})):
            answer = await app.http.post(f"/v1/auth/{path}", json=body)
            assert (answer.status_code, answer.json()["message"]) == (404, "This backend has no SSO.")
