"""Elevations: asked for with a reason, granted by another, exactly what they name, over by the clock, seen by all."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from fastapi import Request
from sqlalchemy import text, update

from backend.auth import access_monitor, service
from backend.auth.known import _look
from backend.auth.tables import User
from backend.demand import Demand, Effect
from backend.errors import WatchfloorError
from contract.access import ElevationStatus
from contract.permissions import Permission
from tests.support.app import App, started_app
from tests.support.backends import serving
from tests.support.clocks import SetClock
from tests.support.ledger import entries_of
from tests.support.people import ADMIN, EXECUTOR, OFFICER, OPERATOR
from tests.support.sse import open_stream

START = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
AUDIT = {"permissions": ["view_audit_logs"], "minutes": 30, "reason": "what did the bot do"}
FREEZE = {"permissions": ["freeze_operations"], "minutes": 10, "reason": "alone at night"}


@pytest.fixture
def hand() -> SetClock:
    return SetClock(START)


@pytest.fixture
async def app(database_url: str, hand: SetClock) -> AsyncIterator[App]:
    """A backend on a clock that the test moves."""
    async with started_app(database_url, clock=hand.clock) as running:
        yield running


async def _asked(client: httpx.AsyncClient, body: dict[str, Any] = AUDIT) -> str:
    answer = await client.post("/v1/elevations", json=body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def _granted(app: App, client: httpx.AsyncClient, body: dict[str, Any] = AUDIT) -> str:
    ident = await _asked(client, body)
    answer = await (await app.as_(OFFICER)).post(f"/v1/elevations/{ident}/approve")
    assert answer.status_code == 200, answer.text
    return ident


async def _code(client: httpx.AsyncClient, path: str, body: dict[str, Any] | None = None) -> tuple[int, str | None]:
    answer = await client.post(path, json=body)
    return answer.status_code, None if answer.is_success else str(answer.json()["code"])


async def test_what_is_granted_counts_at_once_and_ends_by_itself(app: App, hand: SetClock) -> None:
    operator = await app.as_(OPERATOR)
    ident = await _asked(operator)
    assert (await operator.get("/v1/audit")).status_code == 403, "asking gives nothing"
    officer = await app.as_(OFFICER)
    granted = (await officer.post(f"/v1/elevations/{ident}/approve")).json()
    assert (granted["status"], granted["decided_by"]) == ("approved", OFFICER.name)
    assert (await operator.get("/v1/audit")).status_code == 200
    assert "view_audit_logs" in (await operator.get("/v1/auth/whoami")).json()["permissions"]
    assert (await operator.get("/v1/ledger/retention")).status_code == 200
    assert (await operator.get("/v1/access/windows")).status_code == 403, "exactly what it names"
    hand.pass_(minutes=30)
    assert (await operator.get("/v1/audit")).status_code == 403
    async with app.runtime.database.transaction() as session:
        await access_monitor.tick(session, app.runtime)
    shown = (await operator.get("/v1/elevations", params={"over": True})).json()["items"]
    assert [(one["id"], one["status"]) for one in shown] == [(ident, ElevationStatus.EXPIRED)]
    assert (await operator.get("/v1/elevations")).json()["items"] == []


async def test_of_two_requests_at_once_one_is_taken(app: App) -> None:
    operator = await app.as_(OPERATOR)
    answers = await asyncio.gather(*(operator.post("/v1/elevations", json=AUDIT) for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 7
    assert len((await operator.get("/v1/elevations")).json()["items"]) == 1


async def test_whoever_asked_cannot_approve(app: App) -> None:
    admin = await app.as_(ADMIN)
    body = AUDIT | {"permissions": ["reveal_personal_data"]}
    ident = await _asked(admin, body)
    assert await _code(admin, f"/v1/elevations/{ident}/approve") == (403, "second_person_required")
    (entry,) = await entries_of(app, "access.elevation.approved")
    assert (entry.result, entry.user_id) == ("denied", ADMIN.name)
    assert await _code(await app.as_(OPERATOR), f"/v1/elevations/{ident}/approve") == (403, "not_allowed")


async def test_approving_wants_a_fresh_touch_of_the_key(app: App) -> None:
    ident = await _asked(await app.as_(OPERATOR))
    officer = await app.as_(OFFICER)
    path = f"/v1/elevations/{ident}/approve"
    refused = await officer.post(path, auth=_without_key)
    assert (refused.status_code, refused.json()["code"]) == (403, "confirmation_required")
    assert await _code(officer, path) == (200, None)


def _without_key(request: httpx.Request) -> httpx.Request:
    return request


@pytest.mark.parametrize("never", ["own_session", "approve_thaw", "approve_elevation", "configure_system"])
async def test_nothing_is_granted_that_the_policy_does_not_lend(app: App, never: str) -> None:
    operator = await app.as_(OPERATOR)
    body = AUDIT | {"permissions": ["view_audit_logs", never]}
    assert await _code(operator, "/v1/elevations", body) == (409, "refused_by_policy")


async def test_a_longer_time_than_the_policys_and_a_second_one_are_refused(app: App) -> None:
    operator = await app.as_(OPERATOR)
    assert await _code(operator, "/v1/elevations", AUDIT | {"minutes": 61}) == (409, "refused_by_policy")
    assert await _code(operator, "/v1/elevations", AUDIT | {"minutes": 0}) == (422, "invalid_request")
    await _asked(operator)
    assert await _code(operator, "/v1/elevations", FREEZE) == (409, "conflict")
    assert await _code(await app.as_(EXECUTOR), "/v1/elevations", AUDIT) == (403, "not_allowed")


async def test_a_request_lapses_and_a_changed_role_is_granted_nothing(app: App, hand: SetClock) -> None:
    operator, officer = await app.as_(OPERATOR), await app.as_(OFFICER)
    ident = await _asked(operator)
    hand.pass_(minutes=30)
    assert await _code(officer, f"/v1/elevations/{ident}/approve") == (409, "refused_by_policy")
    async with app.runtime.database.transaction() as session:
        await access_monitor.tick(session, app.runtime)
    again = await _asked(operator)
    async with app.runtime.database.transaction() as session:
        await session.execute(update(User).where(User.username == OPERATOR.name).values(role="external_auditor"))
    assert await _code(officer, f"/v1/elevations/{again}/approve") == (409, "refused_by_policy")
    assert await _code(officer, f"/v1/elevations/{again}/deny") == (200, None)
    assert await _code(officer, f"/v1/elevations/{again}/deny") == (409, "conflict")


async def test_what_the_policy_no_longer_lends_is_not_held(app: App) -> None:
    """A policy counts from the start of a backend on, also for what was approved before."""
    operator = await app.as_(OPERATOR)
    await _granted(app, operator, FREEZE | {"permissions": ["freeze_operations", "view_audit_logs"]})
    assert (await operator.get("/v1/audit")).status_code == 200
    policy = app.runtime.policy
    less = replace(policy.roles[OPERATOR.role], elevatable=frozenset({Permission.VIEW_WALLETS}))
    policy.__dict__["roles"] = {**policy.roles, OPERATOR.role: less}
    assert (await operator.get("/v1/audit")).status_code == 403
    assert "freeze_operations" not in (await operator.get("/v1/auth/whoami")).json()["permissions"]
    async with app.runtime.database.read() as session:
        app.runtime.callers.known = await _look(session, app.runtime)
    token = operator.headers["authorization"].removeprefix("Bearer ")
    scope = {"type": "http", "method": "POST", "path": "/v1/freezes", "app": app.app, "client": None}
    headers = [(b"authorization", f"Bearer {token}".encode())]
    request = Request(scope | {"headers": headers, "state": {"request_id": "test"}})
    with pytest.raises(WatchfloorError, match="may not freeze"):
        service.admit_by_token_alone(app.runtime, request, Demand(Permission.FREEZE_OPERATIONS, Effect.FREEZES))


async def test_its_holder_and_an_approver_end_it_early_and_nobody_else(app: App) -> None:
    operator = await app.as_(OPERATOR)
    ident = await _granted(app, operator)
    assert await _code(await app.as_(EXECUTOR), f"/v1/elevations/{ident}/end") == (403, "not_allowed")
    assert await _code(operator, f"/v1/elevations/{ident}/end") == (200, None)
    assert (await operator.get("/v1/audit")).status_code == 403
    assert await _code(operator, f"/v1/elevations/{ident}/end") == (409, "conflict")
    other = await _granted(app, operator)
    assert await _code(await app.as_(ADMIN), f"/v1/elevations/{other}/end") == (200, None)
    assert (await operator.get("/v1/audit")).status_code == 403


async def test_an_elevation_freezes_and_lifts_no_restriction(app: App) -> None:
    operator = await app.as_(OPERATOR)
    scope = {"scope": {"kind": "global"}, "reason": "now"}
    assert await _code(operator, "/v1/freezes", scope) == (403, "not_allowed")
    await _granted(app, operator, FREEZE)
    async with app.runtime.database.transaction() as session:
        await session.execute(text("UPDATE sessions SET factors = '{password}'"))
    assert (await operator.get("/v1/overview")).status_code == 403, "one factor is still too few"
    assert await _code(operator, "/v1/freezes", scope) == (201, None)


async def test_everybody_sees_it_in_the_overview_and_hears_of_it(app: App) -> None:
    operator = await app.as_(OPERATOR)
    admin = await app.as_(ADMIN)
    token = admin.headers["authorization"].removeprefix("Bearer ")
    async with serving(app.app) as url, open_stream(url, token) as stream:
        await stream.next(beats=True)
        ident = await _granted(app, operator)
        heard = [await stream.next(), await stream.next()]
    assert [(one.topic, one.data["status"]) for one in heard] == [("elevation", "requested"), ("elevation", "approved")]
    (shown,) = (await admin.get("/v1/overview")).json()["elevations"]
    assert (shown["id"], shown["account"], shown["permissions"]) == (ident, OPERATOR.name, ["view_audit_logs"])


async def test_a_stream_opened_before_is_opened_anew(app: App) -> None:
    """Whoever may hear more, or less, than when the stream began has it ended, and comes back with what counts now."""
    operator = await app.as_(OPERATOR)
    token = operator.headers["authorization"].removeprefix("Bearer ")
    async with serving(app.app) as url:
        async with open_stream(url, token) as stream:
            await stream.next(beats=True)
            ident = await _granted(app, operator)
            await stream.end()
        async with open_stream(url, token) as stream:
            await stream.next(beats=True)
            await operator.post(f"/v1/elevations/{ident}/end")
            await stream.end()


async def test_two_backends_end_it_at_the_same_moment(database_url: str, hand: SetClock) -> None:
    async with started_app(database_url, clock=hand.clock) as one, started_app(database_url, clock=hand.clock) as other:
        operator = await one.as_(OPERATOR)
        await _granted(one, operator)
        there = other.with_token(operator.headers["authorization"].removeprefix("Bearer "))
        assert (await there.get("/v1/audit")).status_code == 200
        hand.at = START + timedelta(minutes=30)
        assert [(await client.get("/v1/audit")).status_code for client in (operator, there)] == [403, 403]
