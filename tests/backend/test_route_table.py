"""One walk over the real route table: who may call what, and that every refusal has the one shape and is recorded."""

import re
from contextlib import AsyncExitStack
from dataclasses import dataclass

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from sqlalchemy import select

from backend.audit.tables import AuditLog
from backend.guard import (
    PUBLIC,
    api_routes,
    needs,
    refuse_unguarded_routes,
    socket_routes,
    stated_demand,
    stated_permission,
)
from contract.errors import HTTP_STATUS, ErrorCode, ErrorEnvelope
from contract.permissions import Permission
from tests.support.app import App
from tests.support.ledger import settled
from tests.support.people import ADMIN, AUDITOR, EXECUTOR, EXECUTOR_PERMISSIONS, OFFICER, OPERATOR, Person

SEALED = Person("sealed", "break_glass")
"""Whoever has opened the envelopes."""
WALKERS: tuple[Person | None, ...] = (None, OPERATOR, ADMIN, OFFICER, AUDITOR, SEALED, EXECUTOR)
"""One of every role of the policy, a machine, and somebody who is not signed in."""
_SIGN_INS = frozenset({"/v1/auth/login", "/v1/auth/login/hardware", "/v1/auth/login/sso", "/v1/auth/sso/ask"})
PUBLIC_ROUTES = _SIGN_INS | {"/healthz", "/readyz", "/metrics"}
"""All that may be called without signing in; a new one has to be added here on purpose."""
FRAMEWORK_ROUTES = frozenset({"/openapi.json"})
"""Not ours, without data of the platform."""
ENDLESS = frozenset({"/v1/stream"})
"""Answers that do not end: only refusals are read."""
LAST = frozenset({"/v1/auth/logout"})
"""Ends the walker's own session."""
REFUSALS = frozenset({ErrorCode.NOT_AUTHENTICATED, ErrorCode.NOT_ALLOWED})


@dataclass(frozen=True)
class Call:
    """One method of one route."""

    method: str
    path: str
    permission: str
    exports: bool

    @property
    def url(self) -> str:
        """The path with something harmless in every parameter."""
        return re.sub(r"\{[^}]*\}", "00000000-0000-7000-8000-000000000000", self.path)

    def is_open_to(self, app: App, walker: Person | None) -> bool:
        """What the policy says."""
        if self.permission == PUBLIC:
            return True
        if walker is None:
            return False
        roles = app.runtime.policy.roles
        if walker is EXECUTOR:
            return Permission(self.permission) in EXECUTOR_PERMISSIONS
        role = roles[walker.role]
        return Permission(self.permission) in role.permissions and not (
            self.exports and role.restrictions.data_export_disabled
        )


def _exports(route: APIRoute, method: str) -> bool:
    demand = stated_demand(route, method)
    return demand is not None and demand.exports


def _calls(app: FastAPI) -> list[Call]:
    found = [
        Call(method, route.path, stated_permission(route) or "", exports=_exports(route, method))
        for route in api_routes(app)
        for method in sorted(route.methods or ())
    ]
    return sorted(found, key=lambda call: (call.path in LAST, call.path, call.method))


def _envelope(answer: httpx.Response) -> ErrorEnvelope:
    envelope = ErrorEnvelope.model_validate(answer.json())
    assert set(answer.json()) == {"code", "message", "hint", "request_id"}
    assert envelope.request_id == answer.headers["x-request-id"]
    assert envelope.message
    assert answer.status_code == HTTP_STATUS[envelope.code]
    return envelope


def test_the_walkers_hold_every_role_of_the_policy(app: App) -> None:
    assert {walker.role for walker in WALKERS if walker} == {*app.runtime.policy.roles, EXECUTOR.role}


async def test_every_route_answers_every_role_as_the_policy_says(app: App) -> None:
    calls = _calls(app.app)
    assert {call.path for call in calls if call.permission == PUBLIC} <= PUBLIC_ROUTES
    refused: set[str] = set()
    async with AsyncExitStack() as stack:
        for number, walker in enumerate(WALKERS):
            client = app.http if walker is None else await stack.enter_async_context(await app.as_(walker))
            for step, call in enumerate(calls):
                may = call.is_open_to(app, walker)
                if may and call.path in ENDLESS:
                    continue
                request_id = f"walk-{number}-{step}"
                body: dict[str, str] | None = {} if call.method in {"POST", "PUT", "PATCH"} else None
                answer = await client.request(call.method, call.url, json=body, headers={"x-request-id": request_id})
                told = f"{walker.name if walker else 'anonymous'}: {call.method} {call.path}: {answer.text[:300]}"
                assert answer.headers["x-request-id"] == request_id, told
                assert answer.status_code < 500, told
                code = None if answer.is_success else _envelope(answer).code
                if may:
                    assert call.permission == PUBLIC or code not in REFUSALS, told
                else:
                    wanted = ErrorCode.NOT_ALLOWED if walker else ErrorCode.NOT_AUTHENTICATED
                    assert code is wanted, told
                    refused.add(request_id)
    assert refused, "a walk without a refusal proves nothing"
    await settled(app)
    async with app.runtime.database.read() as session:
        rows = (await session.scalars(select(AuditLog).where(AuditLog.result == "denied"))).all()
    recorded = {row.entry_metadata["request_id"]: row for row in rows}
    assert recorded.keys() >= refused
    for request_id in refused:
        walker = WALKERS[int(request_id.split("-")[1])]
        subject = "anonymous" if walker is None else f"executor:{walker.name}" if walker is EXECUTOR else walker.name
        assert recorded[request_id].user_id == subject


@pytest.mark.parametrize(("method", "path"), [("GET", "/v1/nothing"), ("DELETE", "/v1/auth/whoami"), ("GET", "/")])
async def test_what_is_not_a_route_answers_the_envelope_too(app: App, method: str, path: str) -> None:
    answer = await app.http.request(method, path)
    assert set(answer.json()) == {"code", "message", "hint", "request_id"}
    assert answer.status_code in {404, 405}


async def test_a_body_that_is_not_json_answers_the_envelope(app: App) -> None:
    answer = await app.http.post(
        "/v1/auth/login", content=b'{"username": ', headers={"content-type": "application/json"}
    )
    assert _envelope(answer).code is ErrorCode.INVALID_REQUEST


def test_no_route_hides_from_the_walk(app: App) -> None:
    """Whatever the framework can serve is either walked or named here."""
    walked = {route.path for route in api_routes(app.app)} | {route.path for route in socket_routes(app.app)}
    plain = {getattr(route, "path", "") for route in app.app.routes} - {""}
    assert plain <= walked | FRAMEWORK_ROUTES


def test_a_route_without_a_stated_permission_stops_the_start() -> None:
    app = FastAPI()

    @app.get("/guarded", **needs(Permission.VIEW_RISK))
    async def guarded() -> None: ...

    refuse_unguarded_routes(app)

    @app.get("/forgotten")
    async def forgotten() -> None: ...

    with pytest.raises(RuntimeError, match="/forgotten"):
        refuse_unguarded_routes(app)


async def test_a_hostile_path_is_refused_and_recorded_in_plain_characters(app: App) -> None:
    paths = [route.path for route in api_routes(app.app) if "{" in route.path and "GET" in (route.methods or ())]
    url = re.sub(r"\{[^}]*\}", "%00%1b[31m" + "x" * 300, min(paths))
    answer = await app.http.get(url)
    assert _envelope(answer).code is ErrorCode.NOT_AUTHENTICATED
    await settled(app)
    async with app.runtime.database.read() as session:
        (entry,) = await session.scalars(select(AuditLog))
    assert entry.action.isprintable()
    assert len(entry.action) <= 100
