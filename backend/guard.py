"""Authorisation of routes: each names its permission, the default is deny.

Who is calling and whether they may is worked out by `app.state.admit`, which `backend.main` sets to `auth.service`'s:
an area's routes import this module, so this module imports no area.
"""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Request, WebSocket
from fastapi.routing import APIRoute, iter_route_contexts
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.routing import BaseRoute, WebSocketRoute

from backend.context import Caller, CurrentRuntime, Runtime
from backend.db import Tx
from backend.demand import Demand, Effect, effect_of
from contract.permissions import Permission

PUBLIC = "public"
"""Marks the few routes that need no sign-in: login and the process probes."""
Admit = Callable[[AsyncSession, Runtime, Request, Demand], Awaitable[Caller]]
"""Works out who is calling and lets them pass if nothing stands in their way, or raises the refusal."""
_MARK = "x-permission"
_EFFECT, _EXPORTS, _RECORDED = "x-effect", "x-exports", "x-recorded"


def _require(
    permission: Permission, effect: Effect | None, *, exports: bool, recorded: bool
) -> Callable[..., Awaitable[Caller]]:
    async def caller_with_permission(request: Request, session: Tx, runtime: CurrentRuntime) -> Caller:
        admit: Admit = request.app.state.admit
        demand = Demand(permission, effect or effect_of(request.method), exports, recorded)
        return await admit(session, runtime, request, demand)

    return caller_with_permission


def needs(
    permission: Permission, *, effect: Effect | None = None, exports: bool = False, recorded: bool = False
) -> dict[str, Any]:
    """Keyword arguments of a route decorator: `@router.get("/v1/x", **needs(Permission.VIEW_RISK))`.

    A route that says no effect reads if its method is a safe one of HTTP, and changes something otherwise.
    """
    guard = Depends(_require(permission, effect, exports=exports, recorded=recorded))
    return {"dependencies": [guard], **states(permission, effect=effect, exports=exports, recorded=recorded)}


class _SocketGuard:
    """Lets a WebSocket be opened by callers who hold a permission."""

    def __init__(self, permission: Permission) -> None:
        self.permission = permission
        self.demand = Demand(permission, Effect.CHANGES)

    async def __call__(self, websocket: WebSocket) -> None:
        """Work out who is calling: machines together, everybody who is to be refused or no machine a few at a time.

        Thousands that come back at once must neither take every database connection nor wait in line.

        Raises:
            WatchfloorError: the caller may not; the upgrade is then answered like any refused request.
        """
        admit: Admit = websocket.app.state.admit
        runtime: Runtime = websocket.app.state.runtime
        as_request = Request({**websocket.scope, "type": "http", "method": "GET"})  # shares the state of the original
        machine: Caller | None = await websocket.app.state.machines.caller(as_request)
        if machine is not None and self.permission in machine.permissions:
            as_request.state.caller = machine
            return
        async with websocket.app.state.handshakes, runtime.database.transaction() as session:
            await admit(session, runtime, as_request, self.demand)


def needs_socket(permission: Permission) -> dict[str, Any]:
    """`needs` for `@router.websocket`; the caller is then in `websocket.state.caller`."""
    return {"dependencies": [Depends(_SocketGuard(permission))]}


def states(
    permission: Permission, *, effect: Effect | None = None, exports: bool = False, recorded: bool = False
) -> dict[str, Any]:
    """Keyword arguments of a route that lets its callers pass by itself, because it must answer without a database."""
    marks = {
        _MARK: permission.value,
        _EFFECT: effect.value if effect else None,
        _EXPORTS: exports or None,
        _RECORDED: recorded or None,
    }
    return {"openapi_extra": {name: value for name, value in marks.items() if value is not None}}


def public() -> dict[str, Any]:
    """Keyword arguments of a route that anyone may call."""
    return {"openapi_extra": {_MARK: PUBLIC}}


async def _current_caller(request: Request) -> Caller:  # async: a plain function costs a thread a request
    caller: Caller = request.state.caller
    return caller


CurrentCaller = Annotated[Caller, Depends(_current_caller)]
"""The caller that `needs(...)` let through."""


def stated_permission(route: APIRoute | WebSocketRoute) -> str | None:
    """What a route says it needs: a permission's value, `public`, or None if it forgot to say."""
    if isinstance(route, APIRoute):
        mark: str | None = (route.openapi_extra or {}).get(_MARK)
        return mark
    guards = [depends.dependency for depends in getattr(route, "dependencies", ())]
    return next((guard.permission.value for guard in guards if isinstance(guard, _SocketGuard)), None)


def stated_demand(route: APIRoute | WebSocketRoute, method: str) -> Demand | None:
    """What a route asks of whoever calls it by a method; None for a public route, and one that forgot to say."""
    if not isinstance(route, APIRoute):
        guards = [depends.dependency for depends in getattr(route, "dependencies", ())]
        return next((guard.demand for guard in guards if isinstance(guard, _SocketGuard)), None)
    marks = route.openapi_extra or {}
    mark = marks.get(_MARK)
    if mark in {None, PUBLIC}:
        return None
    effect = Effect(marks[_EFFECT]) if _EFFECT in marks else effect_of(method)
    return Demand(Permission(mark), effect, bool(marks.get(_EXPORTS)), bool(marks.get(_RECORDED)))


def api_routes(app: FastAPI) -> list[APIRoute]:
    """Every route of the application, those of included routers too (`app.routes` holds only their wrappers)."""
    return [route for route in _routes(app) if isinstance(route, APIRoute)]


def socket_routes(app: FastAPI) -> list[WebSocketRoute]:
    """Every WebSocket of the application."""
    return [route for route in _routes(app) if isinstance(route, WebSocketRoute)]


def _routes(app: FastAPI) -> list[BaseRoute]:
    return [context.original_route for context in iter_route_contexts(app.routes)]


def refuse_unguarded_routes(app: FastAPI) -> None:
    """Stop the process from starting with a route that does not state its permission.

    Raises:
        RuntimeError: naming the routes.
    """
    routes: list[APIRoute | WebSocketRoute] = [*api_routes(app), *socket_routes(app)]
    silent = [
        f"{sorted(getattr(route, 'methods', None) or ())} {route.path}"
        for route in routes
        if not stated_permission(route)
    ]
    if silent:
        raise RuntimeError(f"routes without a stated permission: {', '.join(silent)}")
