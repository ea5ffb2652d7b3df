"""Every route × role × restriction: what the policy forbids, stated apart from the code that enforces it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, Final

import httpx
from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.routing import WebSocketRoute

from backend.auth import restrictions
from backend.auth.restrictions import Standing
from backend.demand import Demand, Effect
from backend.guard import api_routes, socket_routes, stated_demand
from backend.policy import Policy
from backend.policy.access import Restrictions, Role

INSIDE, OUTSIDE = "10.1.2.3", "203.0.113.9"
"""An address that every whitelist of the tests holds, and one that none does."""
ALL_FACTORS: Final = frozenset({"password", "totp", "hardware_key"})
_LAST: Final = "/v1/auth/logout"
"""Ends the caller's own session."""
FACTORS: Final = (ALL_FACTORS, frozenset({"password", "totp"}), frozenset({"password"}))
RESTRICTED: Final[dict[str, dict[str, Any]]] = {
    "none": {},
    "require_2fa": {"require_2fa": True},
    "require_hardware_key": {"require_hardware_key": True},
    "ip_whitelist": {"ip_whitelist": ["10.0.0.0/8"]},
    "read_only": {"read_only": True},
    "time_based_access": {"time_based_access": True},
    "data_export_disabled": {"data_export_disabled": True},
}
"""Every restriction that says who may, alone; `max_trade_size_eth` and `audit_trail` say something else."""


@dataclass(frozen=True)
class Call:
    """One method of one route, and what it demands."""

    method: str
    path: str
    demand: Demand

    @property
    def url(self) -> str:
        """The path with something harmless in every parameter."""
        return re.sub(r"\{[^}]*\}", "00000000-0000-7000-8000-000000000000", self.path)


def guarded(app: FastAPI) -> list[Call]:
    """Every method of every route that needs somebody to be signed in."""
    routes: list[APIRoute | WebSocketRoute] = [*api_routes(app), *socket_routes(app)]
    calls = [
        Call(method, route.path, demand)
        for route in routes
        for method in sorted(getattr(route, "methods", None) or {"GET"})
        if (demand := stated_demand(route, method)) is not None
    ]
    return sorted(calls, key=lambda call: (call.path == _LAST, call.path, call.method))


def forbidden(demand: Demand, standing: Standing) -> bool:
    """What the policy's text means, said again in the shortest way."""
    role, limits = standing.role, standing.role.restrictions
    freezing = demand.effect in {Effect.FREEZES, Effect.SEES_FREEZES, Effect.UNLOCKS}
    enrols = demand.effect is Effect.ENROLS
    factors = standing.factors or frozenset()
    return any(
        (
            bool(limits.ip_whitelist) and standing.ip == OUTSIDE,
            limits.time_based_access and not standing.window_open,
            demand.permission not in role.permissions | standing.elevated,
            limits.read_only and demand.effect is Effect.CHANGES and demand.permission not in role.read_only_exceptions,
            limits.data_export_disabled and demand.exports,
            standing.locked and not freezing,
            standing.must_enrol and not (freezing or demand.effect in {Effect.SESSION, Effect.ENROLS}),
            not (freezing or enrols) and limits.require_2fa and len(factors) < len(("one", "two")),
            not (freezing or enrols) and role.needs_hardware_key and "hardware_key" not in factors,
        )
    )


def standings(policy: Policy) -> Iterator[Standing]:
    """Every role under every restriction alone and as the policy has it, with every fact that can differ."""
    for role in policy.roles.values():
        for held in (role, *(_under(role, limits) for limits in RESTRICTED.values())):
            for ip, factors, opened in product((INSIDE, OUTSIDE), FACTORS, (True, False)):
                plain = Standing(held, ip, factors, opened)
                yield plain
                yield replace(plain, must_enrol=True)
                if factors is ALL_FACTORS:
                    yield replace(plain, elevated=role.elevatable)
                    yield replace(plain, locked=True)


def _under(role: Role, limits: dict[str, Any]) -> Role:
    stated = Restrictions.model_validate(limits)
    return replace(role, restrictions=stated, needs_hardware_key=stated.require_hardware_key)


def wrongly_judged(calls: list[Call], policy: Policy) -> list[str]:
    """Requests that are let through and forbidden, or the other way round."""
    rules = policy.sign_in.watchfloor
    wrong = []
    demands = {call.demand: call for call in calls}
    for standing in standings(policy):
        for demand, call in demands.items():
            refused = restrictions.judge(demand, standing, rules) is not None
            if refused is not forbidden(demand, standing):
                wrong.append(f"{call.method} {call.path} refused={refused}: {standing}")
    return wrong


async def wrongly_answered(
    calls: list[Call], client: httpx.AsyncClient, standing: Standing, *, endless: frozenset[str]
) -> list[str]:
    """Answers over HTTP that let through what is forbidden, or refuse what is not."""
    wrong = []
    for call in calls:
        refusing = forbidden(call.demand, standing)
        if call.path in endless and not refusing:
            continue
        body: dict[str, str] | None = {} if call.method in {"POST", "PUT", "PATCH"} else None
        answer = await client.request(call.method, call.url, json=body)
        code = None if answer.is_success else answer.json()["code"]
        if answer.is_server_error or (code in {"not_allowed", "not_authenticated", "session_locked"}) is not refusing:
            wrong.append(f"{call.method} {call.path}: {answer.status_code} {code}, forbidden={refusing}")
    return wrong
