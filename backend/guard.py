"""Authorisation of routes: each names its permission, the default is deny.

Who is calling is worked out by `app.state.authenticate`, which `backend.main` sets to `auth.service`'s.
"""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Request
from fastapi.routing import APIRoute, iter_route_contexts
from sqlalchemy.ext.asyncio import AsyncSession

from backend.audit.service import AuditDraft
from backend.context import Caller, CurrentRuntime, Runtime
from backend.db import Tx
from backend.errors import WatchfloorError
from backend.http import short_path
from contract.audit import AuditResult
from contract.errors import ErrorCode
from contract.permissions import Permission

PUBLIC = "public"
"""Marks the few routes that need no sign-in: login and the process probes."""
Authenticate = Callable[[AsyncSession, Runtime, Request], Awaitable[Caller]]
"""Works out who is calling, or raises the refusal."""
_MARK = "x-permission"


def _require(permission: Permission) -> Callable[..., Awaitable[Caller]]:
    async def caller_with_permission(request: Request, session: Tx, runtime: CurrentRuntime) -> Caller:
        authenticate: Authenticate = request.app.state.authenticate
        caller = await authenticate(session, runtime, request)
        request.state.caller = caller  # before the check: a refusal is recorded in the caller's name
        if permission not in caller.permissions:
            raise _denied(caller, permission, request)
        return caller

    return caller_with_permission


def _denied(caller: Caller, permission: Permission, request: Request) -> WatchfloorError:
    return WatchfloorError(
        ErrorCode.NOT_ALLOWED,
        f"This needs the permission {permission.value}, which {caller.role} does not hold.",
        audit=AuditDraft(
            event_type="auth.permission.denied",
            action=f"{request.method} {short_path(request)}",
            resource_type="permission",
            resource_id=permission.value,
            result=AuditResult.DENIED,
            error_message=f"{caller.role} lacks {permission.value}",
        ),
    )


def needs(permission: Permission) -> dict[str, Any]:
    """Keyword arguments of a route decorator: `@router.get("/v1/x", **needs(Permission.VIEW_RISK))`."""
    return {"dependencies": [Depends(_require(permission))], "openapi_extra": {_MARK: permission.value}}


def public() -> dict[str, Any]:
    """Keyword arguments of a route that anyone may call."""
    return {"openapi_extra": {_MARK: PUBLIC}}


def _current_caller(request: Request) -> Caller:
    caller: Caller = request.state.caller
    return caller


CurrentCaller = Annotated[Caller, Depends(_current_caller)]
"""The caller that `needs(...)` let through."""


def stated_permission(route: APIRoute) -> str | None:
    """What a route says it needs: a permission's value, `public`, or None if it forgot to say."""
    mark: str | None = (route.openapi_extra or {}).get(_MARK)
    return mark


def api_routes(app: FastAPI) -> list[APIRoute]:
    """Every route of the application, those of included routers too (`app.routes` holds only their wrappers)."""
    found = [context.original_route for context in iter_route_contexts(app.routes)]
    return [route for route in found if isinstance(route, APIRoute)]


def refuse_unguarded_routes(app: FastAPI) -> None:
    """Stop the process from starting with a route that does not state its permission.

    Raises:
        RuntimeError: naming the routes.
    """
    silent = [
        f"{sorted(route.methods or ())} {route.path}" for route in api_routes(app) if not stated_permission(route)
    ]
    if silent:
        raise RuntimeError(f"routes without a stated permission: {', '.join(silent)}")
