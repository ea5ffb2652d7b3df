"""Access windows: who may open them, for how long, and that they open and close by themselves."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import select, text

from backend.audit.tables import AuditLog
from backend.auth import access_monitor, login, windows
from backend.auth.tables import Session, User
from backend.auth.totp import code_at
from backend.context import Caller, system_caller
from contract.access import AccessWindowRequest
from contract.auth import LoginRequest
from tests.support.app import App, started_app
from tests.support.backends import serving
from tests.support.clocks import SetClock
from tests.support.ledger import entries_of, settled
from tests.support.people import ADMIN, AUDITOR, OFFICER, OPERATOR, PASSWORD, sign_in
from tests.support.sse import open_stream

START = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)


@pytest.fixture
def hand() -> SetClock:
    return SetClock(START)


@pytest.fixture
async def app(database_url: str, hand: SetClock) -> AsyncIterator[App]:
    """A backend on a clock that the test moves."""
    async with started_app(database_url, clock=hand.clock) as running:
        yield running


async def _shut(app: App) -> str:
    """The auditor's token, with no window open."""
    token = await sign_in(app.runtime, AUDITOR)
    async with app.runtime.database.transaction() as session:
        await session.execute(text("DELETE FROM access_windows"))
    return token


def _asked(**changes: Any) -> dict[str, Any]:
    until = (START + timedelta(hours=4)).isoformat()
    return {"account": AUDITOR.name, "ends_at": until, "reason": "the yearly audit"} | changes


async def _grant(client: httpx.AsyncClient, **changes: Any) -> httpx.Response:
    return await client.post("/v1/access/windows", json=_asked(**changes))


async def _events(app: App, *kinds: str) -> list[tuple[str, str | None]]:
    await settled(app)
    async with app.runtime.database.read() as session:
        rows = await session.scalars(select(AuditLog).where(AuditLog.event_type.in_(kinds)))
        return [(row.event_type, row.user_id) for row in rows]


async def test_a_window_opens_and_closes_by_itself(app: App, hand: SetClock) -> None:
    token = await _shut(app)
    auditor, officer = app.with_token(token), await app.as_(OFFICER)
    shut = await auditor.get("/v1/transactions")
    assert (shut.status_code, shut.json()["code"]) == (403, "not_allowed")
    assert "access window" in shut.json()["message"]
    starts = (START + timedelta(hours=1)).isoformat()
    made = await _grant(officer, starts_at=starts)
    assert (made.status_code, made.json()["state"], made.json()["granted_by"]) == (201, "ahead", OFFICER.name)
    assert (await auditor.get("/v1/transactions")).status_code == 403
    hand.pass_(hours=1)
    assert (await auditor.get("/v1/transactions")).status_code == 200
    hand.pass_(hours=3)
    assert (await auditor.get("/v1/transactions")).status_code == 403
    assert await _events(app, "access.window.granted") == [("access.window.granted", OFFICER.name)]


async def test_sessions_left_over_are_ended_and_a_new_window_does_not_revive_them(app: App, hand: SetClock) -> None:
    token = await _shut(app)
    officer = await app.as_(OFFICER)
    await _grant(officer)
    hand.pass_(hours=4)
    for _ in range(2):  # the second time there is nothing left to do
        async with app.runtime.database.transaction() as session:
            await access_monitor.tick(session, app.runtime)
    again = (hand.at + timedelta(hours=1)).isoformat()
    assert (await _grant(officer, ends_at=again)).status_code == 201
    answer = await app.with_token(token).get("/v1/transactions")
    assert (answer.status_code, answer.json()["code"]) == (401, "not_authenticated")
    assert (await officer.get("/v1/overview")).status_code == 200
    assert await _events(app, "access.window.closed") == [("access.window.closed", "system:access-monitor")]


async def test_revoking_a_window_ends_the_sessions_at_once(app: App) -> None:
    token = await _shut(app)
    officer, auditor = await app.as_(OFFICER), app.with_token(token)
    made = (await _grant(officer)).json()
    assert (await auditor.get("/v1/audit")).status_code == 200
    revoke = f"/v1/access/windows/{made['id']}/revoke"
    gone = await officer.post(revoke, json={"reason": "done early"})
    assert (gone.json()["state"], gone.json()["revoked_by"]) == ("revoked", OFFICER.name)
    assert (await auditor.get("/v1/audit")).status_code == 401
    assert (await officer.post(revoke, json={"reason": "again"})).status_code == 409
    assert (await officer.get("/v1/access/windows")).json()["items"] == []
    listed = (await officer.get("/v1/access/windows", params={"closed": True})).json()["items"]
    assert [one["id"] for one in listed] == [made["id"]]


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"account": OFFICER.name}, 403, "second_person_required"),
        ({"account": OPERATOR.name}, 409, "refused_by_policy"),
        ({"account": "nobody"}, 404, "not_found"),
        ({"ends_at": START.isoformat()}, 422, "invalid_request"),
        ({"ends_at": (START + timedelta(days=31, seconds=1)).isoformat()}, 422, "invalid_request"),
        ({"starts_at": (START + timedelta(hours=5)).isoformat()}, 422, "invalid_request"),
        ({"reason": " "}, 422, "invalid_request"),
        ({"ends_at": "2026-03-10T16:00:00"}, 422, "invalid_request"),
    ],
)
async def test_a_window_that_cannot_be_is_refused(app: App, changes: dict[str, Any], status: int, code: str) -> None:
    await _shut(app)
    await sign_in(app.runtime, OPERATOR)
    answer = await _grant(await app.as_(OFFICER), **changes)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_nobody_without_the_permission_grants_or_sees_windows(app: App) -> None:
    for person in (OPERATOR, AUDITOR):
        client = await app.as_(person)
        assert (await _grant(client)).status_code == 403
        assert (await client.get("/v1/access/windows")).status_code == 403


async def test_outside_the_window_a_sign_in_is_refused_like_a_wrong_password(app: App) -> None:
    await _shut(app)
    async with app.runtime.database.transaction() as session:
        user = (await session.scalars(select(User).where(User.username == AUDITOR.name))).one()
        request = LoginRequest(username=AUDITOR.name, password=PASSWORD, totp=code_at(user.totp_secret, START))
        assert await login.log_in(session, app.runtime, _anonymous(), request, lambda: "http://test") is None
    (entry,) = await entries_of(app, "auth.login.failed")
    async with app.runtime.database.read() as session:
        assert entry.error_message == "no access window is open"
        assert len((await session.scalars(select(Session).where(Session.user_id == user.id))).all()) == 1


def _anonymous() -> Caller:
    return Caller("anonymous", "anonymous", "anonymous", frozenset(), "test", ip="127.0.0.1")


async def test_an_open_stream_ends_with_the_window(app: App, hand: SetClock) -> None:
    token = await _shut(app)
    await _grant(await app.as_(OFFICER))
    async with serving(app.app) as url, open_stream(url, token) as stream:
        await stream.next(beats=True)
        hand.pass_(hours=5)
        await stream.end()


async def test_two_backends_shut_the_same_door(database_url: str, hand: SetClock) -> None:
    """What one backend commits, the other holds against the next request and against its open streams."""
    async with started_app(database_url, clock=hand.clock) as one, started_app(database_url, clock=hand.clock) as other:
        token = await _shut(one)
        officer = await one.as_(OFFICER)
        made = (await _grant(officer)).json()
        async with serving(other.app) as url, open_stream(url, token) as stream:
            await stream.next(beats=True)
            await officer.post(f"/v1/access/windows/{made['id']}/revoke", json={"reason": "done"})
            assert (await other.with_token(token).get("/v1/audit")).status_code == 401
            await stream.end()


async def test_a_window_granted_at_the_command_line_has_no_persons_name(app: App) -> None:
    await _shut(app)
    async with app.runtime.database.transaction() as session:
        made = await windows.grant(
            session, app.runtime, system_caller("local"), AccessWindowRequest.model_validate(_asked())
        )
    assert made.granted_by == "local"
    listed = await (await app.as_(ADMIN)).get("/v1/access/windows")
    assert [one["id"] for one in listed.json()["items"]] == [made.id]
