"""Every route × role × restriction, generated from the route table and the policy; and that this would notice a gap."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Final

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text, update

from backend.auth import restrictions, service
from backend.auth.restrictions import Standing
from backend.auth.tables import Session
from backend.demand import Demand, Effect
from backend.guard import api_routes, needs, stated_demand, stated_permission, states
from backend.policy.access import Restrictions
from contract.permissions import Permission
from tests.support.access_matrix import (
    ALL_FACTORS,
    INSIDE,
    OUTSIDE,
    RESTRICTED,
    Call,
    forbidden,
    guarded,
    standings,
    wrongly_answered,
    wrongly_judged,
)
from tests.support.app import App
from tests.support.ledger import entries_of
from tests.support.people import ADMIN, AUDITOR, OFFICER, OPERATOR, Person, sign_in

ENDLESS: Final = frozenset({"/v1/stream"})
"""Answers that do not end: only refusals are read."""
SOCKETS: Final = frozenset({"/v1/gate/connect", "/v1/gate/watch"})
"""Spoken to by WebSocket clients; the guard asks the same `admit`."""


def _calls(app: App) -> list[Call]:
    return guarded(app.app)


def test_every_restriction_of_the_policy_is_in_the_matrix() -> None:
    others = {"max_trade_size_eth", "audit_trail"}
    assert {*Restrictions.model_fields} == {*RESTRICTED} - {"none"} | others


async def test_every_route_states_what_it_demands(app: App) -> None:
    for route in api_routes(app.app):
        for method in route.methods or ():
            public = stated_permission(route) == "public"
            assert public or stated_demand(route, method), f"{method} {route.path}"


async def test_nothing_is_let_through_that_the_policy_forbids(app: App) -> None:
    calls = _calls(app)
    freezes = [call for call in calls if call.demand.effect is Effect.FREEZES]
    assert [(call.method, call.path) for call in freezes] == [("POST", "/v1/freezes")]
    assert sum(forbidden(calls[0].demand, one) for one in standings(app.runtime.policy)) > 0
    assert wrongly_judged(calls, app.runtime.policy) == []


@pytest.mark.parametrize("blind", ["_address", "_window", "_session", "_permission", "_read_only", "_export"])
async def test_a_restriction_that_is_not_enforced_is_noticed(
    app: App, monkeypatch: pytest.MonkeyPatch, blind: str
) -> None:
    """Of the rules' code each part is put out of action in turn."""
    assert wrongly_judged(_calls(app), app.runtime.policy) == []
    monkeypatch.setattr(restrictions, blind, lambda *_: None)
    assert wrongly_judged(_calls(app), app.runtime.policy)


async def test_the_matrix_notices_a_route_without_a_guard(app: App) -> None:
    """One that states what it needs and asks nobody: the answers give it away."""

    @app.app.post("/v1/forgotten", **states(Permission.CONFIGURE_SYSTEM))
    async def forgotten() -> None: ...

    @app.app.post("/v1/remembered", **needs(Permission.CONFIGURE_SYSTEM))
    async def remembered() -> None: ...

    added = [call for call in _calls(app) if call.path in {"/v1/forgotten", "/v1/remembered"}]
    async with person_at(app, OPERATOR) as (client, standing):
        found = await wrongly_answered(added, client, standing, endless=ENDLESS)
    assert len(found) == 1
    assert "/v1/forgotten" in found[0]


@asynccontextmanager
async def person_at(
    app: App, person: Person, ip: str = INSIDE, factors: frozenset[str] = ALL_FACTORS
) -> AsyncIterator[tuple[httpx.AsyncClient, Standing]]:
    """Somebody signed in with some factors, calling from somewhere, and what is known of them."""
    token = await sign_in(app.runtime, person)
    async with app.runtime.database.transaction() as session:
        await session.execute(update(Session).values(factors=sorted(factors)))
    transport = httpx.ASGITransport(app.app, client=(ip, 40_000))
    headers = {"authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(transport=transport, base_url="http://test", headers=headers) as client:
        yield client, Standing(app.runtime.policy.roles[person.role], ip, factors, window_open=True)


def _restrict(app: App, person: Person, **limits: object) -> None:
    """Put restrictions on a role, as a policy file would."""
    roles = app.runtime.policy.roles
    stated = Restrictions.model_validate(limits)
    changed = replace(roles[person.role], restrictions=stated, needs_hardware_key=stated.require_hardware_key)
    app.runtime.policy.__dict__["roles"] = {**roles, person.role: changed}


async def _shut_out(app: App) -> None:
    async with app.runtime.database.transaction() as session:
        await session.execute(text("UPDATE access_windows SET ends_at = starts_at"))


PERSONAS: Final[dict[str, tuple[Person, str, frozenset[str], dict[str, object]]]] = {
    "an operator with all factors": (OPERATOR, INSIDE, ALL_FACTORS, {}),
    "an operator with a password only": (OPERATOR, INSIDE, frozenset({"password"}), {}),
    "an admin at home": (ADMIN, OUTSIDE, ALL_FACTORS, {}),
    "an admin without a key": (ADMIN, INSIDE, frozenset({"password", "totp"}), {}),
    "an officer, read-only": (OFFICER, INSIDE, ALL_FACTORS, {}),
    "an officer without a key": (OFFICER, INSIDE, frozenset({"password", "totp"}), {}),
    "an admin made read-only": (ADMIN, INSIDE, ALL_FACTORS, {"read_only": True}),
    "an admin who exports nothing": (ADMIN, INSIDE, ALL_FACTORS, {"data_export_disabled": True}),
    "an auditor in the window": (AUDITOR, INSIDE, ALL_FACTORS, {}),
}


UNHINDERED: Final = frozenset({"an operator with all factors", "an officer, read-only"})
"""Whose restrictions keep them from nothing that their permissions allow: an officer holds acts that are exceptions."""


@pytest.mark.parametrize("name", PERSONAS)
async def test_the_routes_answer_as_the_matrix_says(app: App, name: str) -> None:
    """Over HTTP: what the role alone may, for the rest `test_route_table` walks."""
    person, ip, factors, limits = PERSONAS[name]
    if limits:
        _restrict(app, person, **limits)
    held = app.runtime.policy.roles[person.role].permissions
    calls = [call for call in _calls(app) if call.demand.permission in held and call.path not in SOCKETS]
    async with person_at(app, person, ip, factors) as (client, standing):
        refused = [call for call in calls if forbidden(call.demand, standing)]
        assert bool(refused) is (name not in UNHINDERED), "a persona that tells nothing"
        assert await wrongly_answered(calls, client, standing, endless=ENDLESS) == []


def test_what_each_session_may_that_lacks_something(app: App) -> None:
    """Said by route, so that a route that is given the wrong effect is noticed."""
    rules = app.runtime.policy.sign_in.watchfloor
    role = app.runtime.policy.roles[ADMIN.role]
    whole = Standing(role, INSIDE, ALL_FACTORS, window_open=True)

    def may(standing: Standing) -> set[tuple[str, str]]:
        let = {(one.method, one.path) for one in _calls(app) if restrictions.judge(one.demand, standing, rules) is None}
        return {(method, path) for method, path in let if method != "HEAD"}

    freezing = {
        ("POST", "/v1/freezes"),
        ("GET", "/v1/freezes"),
        ("GET", "/v1/freezes/preview"),
        ("GET", "/v1/freezes/sent/{key}"),
        ("GET", "/v1/freezes/{ident}"),
    }
    leaving = {one for one in may(replace(whole, locked=True)) if one[1].startswith("/v1/auth/")}
    assert leaving == {
        ("GET", "/v1/auth/whoami"),
        ("POST", "/v1/auth/logout"),
        ("POST", "/v1/auth/unlock"),
        ("POST", "/v1/auth/unlock/hardware"),
    }
    enrolling = {("POST", "/v1/auth/authenticator"), ("POST", "/v1/auth/authenticator/confirm")}
    assert may(replace(whole, locked=True)) == freezing | leaving
    for factors in ({"password"}, {"password", "totp"}):
        assert may(replace(whole, factors=frozenset(factors))) == freezing | leaving | enrolling
        assert may(replace(whole, factors=frozenset(factors), must_enrol=True)) == freezing | leaving | enrolling
    assert may(replace(whole, must_enrol=True)) > freezing | leaving | enrolling, "one's own password and sessions too"


async def test_whoever_is_out_of_the_window_may_nothing(app: App) -> None:
    async with person_at(app, AUDITOR) as (client, standing):
        await _shut_out(app)
        shut = replace(standing, window_open=False)
        assert await wrongly_answered(_reads(app), client, shut, endless=frozenset()) == []


async def test_whoever_is_elevated_may_exactly_that_more(app: App) -> None:
    async with person_at(app, OPERATOR) as (client, standing):
        granted = [Permission.VIEW_AUDIT_LOGS]
        await _elevate(app, granted)
        calls = [call for call in _calls(app) if call.path.startswith(("/v1/audit", "/v1/ledger", "/v1/privacy"))]
        more = replace(standing, elevated=frozenset(granted))
        assert any(not forbidden(call.demand, more) for call in calls)
        assert await wrongly_answered(calls, client, more, endless=ENDLESS) == []


async def test_an_unenforced_restriction_is_noticed_over_http_too(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "judge", _blind_to_read_only(restrictions.judge))
    async with person_at(app, OFFICER) as (client, standing):
        changes = [Call("POST", "/v1/audit/import/x", Demand(Permission.IMPORT_AUDIT_LOGS, Effect.CHANGES))]
        held = replace(standing.role, permissions=standing.role.permissions | {Permission.IMPORT_AUDIT_LOGS})
        app.runtime.policy.__dict__["roles"] = {**app.runtime.policy.roles, OFFICER.role: held}
        assert await wrongly_answered(changes, client, replace(standing, role=held), endless=ENDLESS)


def _blind_to_read_only(judge: Callable[..., restrictions.Refusal | None]) -> Callable[..., object]:
    def blind(demand: Demand, standing: Standing, rules: object) -> object:
        plain = standing.role.restrictions.model_copy(update={"read_only": False})
        return judge(demand, replace(standing, role=replace(standing.role, restrictions=plain)), rules)

    return blind


def _reads(app: App) -> list[Call]:
    return [call for call in _calls(app) if call.method == "GET" and call.path not in SOCKETS]


async def _elevate(app: App, granted: Sequence[Permission]) -> None:
    async with app.runtime.database.transaction() as session:
        await session.execute(
            text(
                "INSERT INTO elevations (id, user_id, permissions, reason, minutes, status, requested_at, lapses_at,"
                " ends_at) SELECT gen_random_uuid(), id, :names, 'a test', 10, 'approved', now(), now(),"
                " now() + interval '10 minutes' FROM users WHERE username = :name"
            ),
            {"names": [permission.value for permission in granted], "name": OPERATOR.name},
        )


async def test_a_session_that_lacks_a_factor_freezes_all_the_same(app: App) -> None:
    async with person_at(app, ADMIN, factors=frozenset({"password"})) as (client, _):
        assert (await client.get("/v1/overview")).status_code == 403
        frozen = await client.post("/v1/freezes", json={"scope": {"kind": "global"}, "reason": "now"})
    assert frozen.status_code == 201, frozen.text


async def test_a_watched_role_leaves_an_entry_for_each_read_and_others_leave_none(app: App) -> None:
    for person in (OFFICER, ADMIN):
        async with person_at(app, person) as (client, _):
            assert (await client.get("/v1/executors", params={"limit": 7})).status_code == 200
            assert (await client.get("/v1/auth/whoami")).status_code == 200
            assert (await client.get("/v1/audit")).status_code == 200
    assert [entry.user_id for entry in await entries_of(app, "audit.search.run")] == [OFFICER.name, ADMIN.name]
    (entry,) = await entries_of(app, "access.route.read")
    assert (entry.user_id, entry.action, entry.resource_id) == (OFFICER.name, "GET /v1/executors", "/v1/executors")
    assert "limit" not in str(entry.entry_metadata)


def test_a_route_without_a_stated_permission_stops_the_start() -> None:
    app = FastAPI()

    @app.get("/forgotten")
    async def forgotten() -> None: ...

    assert [stated_demand(route, "GET") for route in api_routes(app)] == [None]
