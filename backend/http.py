"""The HTTP edge: who calls, refusals into the audit log, every exception into the one envelope. Owns no route."""

import re
from http import HTTPStatus

import psycopg
import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from starlette.exceptions import HTTPException

from backend.answers import envelope, request_id_of
from backend.audit.apart import NotRecordedError, record_apart
from backend.context import Caller, Runtime
from backend.demand import Effect, effect_of
from backend.diskthread import DiskSilentError
from backend.errors import ConfigurationError, WatchfloorError
from backend.guard import stated_demand
from backend.limits import Limiter
from backend.limits_layer import RequestLimits
from backend.middleware import (
    FAILED_HINT,
    FAILED_MESSAGE,
    BodyLimit,
    LastResort,
    Observed,
    RequestIds,
    SafeHeaders,
    SocketAccounts,
)
from backend.peer import STATE_KEY
from backend.proxies import ForwardedFor, networks_of
from contract.errors import ErrorCode

__all__ = ["caller_of", "client_ip", "envelope", "install", "record_refusal", "request_id_of", "short_path"]

log = structlog.get_logger(__name__)
_MAX_PATH_CHARS = 90
"""Ten less than the width of the audit log's action: room for the method."""
_RETRY = "Try again in a moment."
_OF_STATUS: dict[int, tuple[ErrorCode, str]] = {
    HTTPStatus.BAD_REQUEST: (ErrorCode.INVALID_REQUEST, "The body cannot be read as JSON."),
    HTTPStatus.UNAUTHORIZED: (ErrorCode.NOT_AUTHENTICATED, ""),
    HTTPStatus.FORBIDDEN: (ErrorCode.NOT_ALLOWED, ""),
    HTTPStatus.NOT_FOUND: (ErrorCode.NOT_FOUND, "There is nothing at this address."),
    HTTPStatus.METHOD_NOT_ALLOWED: (ErrorCode.INVALID_REQUEST, "This address does not take that method."),
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: (ErrorCode.TOO_LARGE, ""),
}
"""What the framework's own refusals mean; an empty message keeps the framework's."""
_CONTENTION = (
    psycopg.errors.LockNotAvailable,
    psycopg.errors.DeadlockDetected,
    psycopg.errors.SerializationFailure,
)
_WAITED = re.compile(r"while (?:locking|updating|deleting|rechecking|inserting|checking)\b.* tuple\b")
"""How PostgreSQL says that a statement was stopped while it waited for somebody else's row."""
_TELLS = frozenset({Effect.READS, Effect.SEES_FREEZES})


def caller_of(request: Request) -> Caller:
    """The authenticated caller, or an anonymous one that still carries address and request id."""
    known: Caller | None = getattr(request.state, "caller", None)
    if known is not None:
        return known
    return Caller(
        subject="anonymous",
        kind="anonymous",
        role="anonymous",
        permissions=frozenset(),
        request_id=request_id_of(request),
        ip=client_ip(request),
        user_agent=(request.headers.get("user-agent") or "")[:300] or None,
        peer=getattr(request.state, STATE_KEY, None),
    )


def client_ip(request: Request) -> str | None:
    """Where a request comes from; what a trusted proxy says about that is in it already (`backend.proxies`)."""
    host = request.client.host if request.client else None
    return host if host and re.fullmatch(r"[0-9a-fA-F.:]+", host) else None


def short_path(request: Request) -> str:
    """The path called as the audit log takes it: no control characters, no longer than its columns with a method."""
    return "".join(char if char.isprintable() else "?" for char in request.url.path)[:_MAX_PATH_CHARS]


async def record_refusal(runtime: Runtime, caller: Caller, refusal: WatchfloorError) -> bool:
    """Write a refusal's audit entry, if it has one; False if there is no entry now that should be."""
    if refusal.audit is None:
        return True
    try:
        await record_apart(runtime, caller, refusal.audit)
    except NotRecordedError as failure:
        log.warning("refusal_not_recorded", why=str(failure))
        return False
    return True


async def _on_refusal(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, WatchfloorError)  # noqa: S101  FastAPI dispatches by type
    if not await record_refusal(request.app.state.runtime, caller_of(request), error):
        message = "This cannot be answered: the audit log takes no entry."
        return envelope(request, ErrorCode.UNAVAILABLE, message, hint=_RETRY)
    return envelope(request, error.code, error.message, hint=error.hint, confirm=error.confirm)


async def _on_invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101  FastAPI dispatches by type
    first, *others = error.errors()
    where = ".".join(str(part) for part in first["loc"] if part != "body")
    reason = str(first["msg"]).removeprefix("Value error, ")
    hint = f"{len(others)} more of the fields are wrong." if others else None
    return envelope(request, ErrorCode.INVALID_REQUEST, f"{where}: {reason}" if where else reason, hint=hint)


async def _on_unencodable(request: Request, _error: Exception) -> JSONResponse:
    return envelope(request, ErrorCode.INVALID_REQUEST, "A text is not valid Unicode: it holds half of a pair.")


async def _on_http_exception(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101  FastAPI dispatches by type
    code, message = _OF_STATUS.get(error.status_code, (ErrorCode.INVALID_REQUEST, str(error.detail)))
    keeps_status = error.status_code == HTTPStatus.METHOD_NOT_ALLOWED
    answer = envelope(request, code, message or str(error.detail), status=error.status_code if keeps_status else None)
    answer.headers.update(error.headers or {})
    return answer


async def _on_database_error(request: Request, error: Exception) -> JSONResponse:
    cause = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(cause, _CONTENTION) or (isinstance(cause, psycopg.errors.QueryCanceled) and _changes(request)):
        return _busy(request, cause)
    if isinstance(cause, psycopg.errors.QueryCanceled):
        return envelope(
            request,
            ErrorCode.QUERY_TOO_SLOW,
            "The question takes too long to answer.",
            hint="Narrow the time or filter.",
        )
    if isinstance(cause, psycopg.errors.DataError):
        return envelope(request, ErrorCode.INVALID_REQUEST, f"A value cannot be stored: {_first_line(cause)}")
    if isinstance(cause, psycopg.errors.IntegrityError):
        log.warning("integrity_conflict", constraint=cause.diag.constraint_name)
        return envelope(
            request,
            ErrorCode.CONFLICT,
            "This contradicts what is stored; nothing was changed.",
            hint="Look again first.",
        )
    if _is_away(error, cause):
        return _away(request, cause)
    log.error("database_error", exc_info=error)
    return envelope(request, ErrorCode.INTERNAL, FAILED_MESSAGE, hint=FAILED_HINT)


def _changes(request: Request) -> bool:
    """Whether a request was to change something: then it was no question that takes too long to answer."""
    route = request.scope.get("route")
    demand = stated_demand(route, request.method) if isinstance(route, APIRoute) else None
    return (effect_of(request.method) if demand is None else demand.effect) not in _TELLS


def _busy(request: Request, cause: psycopg.Error) -> JSONResponse:
    """Nothing was changed, and the same may well succeed in a moment."""
    log.warning("database_contention", error=type(cause).__name__)
    held = isinstance(cause, _CONTENTION) or bool(_WAITED.search(cause.diag.context or ""))
    why = "somebody else holds this" if held else "this took too long and was given up"
    return envelope(request, ErrorCode.BUSY, f"Busy: {why}; nothing was changed.", hint=_RETRY)


async def _on_closed_file(request: Request, error: Exception) -> JSONResponse:
    """A file that personal data depends on cannot be asked: nothing personal is written or opened meanwhile."""
    log.error("file_unusable", error=str(error))
    hint = _RETRY if isinstance(error, OSError) else "Whoever runs the backend finds the reason in its log."
    return envelope(request, ErrorCode.UNAVAILABLE, "A file of the backend cannot be used.", hint=hint)


def _away(request: Request, cause: BaseException | None) -> JSONResponse:
    if isinstance(cause, psycopg.errors.DiskFull):
        log.critical("database_disk_full", error=_first_line(cause))
        hint = "Whoever runs the database has to make room."
        return envelope(request, ErrorCode.UNAVAILABLE, "The database's disk is full; nothing was changed.", hint=hint)
    log.warning("database_unavailable", error=_first_line(cause))
    runtime: Runtime = request.app.state.runtime
    hint = runtime.latched.sentence() or _RETRY
    return envelope(request, ErrorCode.UNAVAILABLE, "The database is not answering.", hint=hint)


def _is_away(error: Exception, cause: BaseException | None) -> bool:
    """Whether the connection rather than the statement failed."""
    lost = isinstance(error, DBAPIError) and error.connection_invalidated
    return lost or isinstance(cause, psycopg.OperationalError | psycopg.InterfaceError | PoolTimeoutError)


def _first_line(error: BaseException | None) -> str:
    return str(error).strip().partition("\n")[0]


def install(app: FastAPI, runtime: Runtime, limiter: Limiter) -> None:
    """Put the edge around an application."""
    app.add_exception_handler(WatchfloorError, _on_refusal)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(UnicodeEncodeError, _on_unencodable)
    app.add_exception_handler(DBAPIError, _on_database_error)
    app.add_exception_handler(PoolTimeoutError, _on_database_error)
    app.add_exception_handler(DiskSilentError, _on_closed_file)
    app.add_exception_handler(ConfigurationError, _on_closed_file)
    app.add_middleware(BodyLimit)  # the one added last is the outermost
    app.add_middleware(
        RequestLimits,
        limiter=limiter,
        limits=runtime.policy.line.limits,
        secret=runtime.keyring.limits,
        address_of=client_ip,
        metrics=runtime.metrics,
        monotonic=runtime.clock.monotonic,
    )
    app.add_middleware(SocketAccounts, allowed=frozenset(runtime.policy.line.socket_uids))
    app.add_middleware(LastResort)
    app.add_middleware(Observed, metrics=runtime.metrics)
    app.add_middleware(ForwardedFor, trusted=networks_of(runtime.settings.trusted_proxies))
    app.add_middleware(SafeHeaders)
    app.add_middleware(RequestIds)
