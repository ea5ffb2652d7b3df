"""The HTTP edge: request ids, the error envelope, refusals into the audit log. Owns no route."""

import re
import uuid
from http import HTTPStatus

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from psycopg.errors import LockNotAvailable, QueryCanceled
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backend.audit import service as audit
from backend.context import Caller, Runtime
from backend.errors import WatchfloorError
from contract.errors import HTTP_STATUS, ErrorCode, ErrorEnvelope

log = structlog.get_logger(__name__)
REQUEST_ID_HEADER = b"x-request-id"
_ACCEPTABLE_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_MAX_PATH_CHARS = 90
"""Ten less than the width of the audit log's action: room for the method."""
_CODE_OF_STATUS = {
    HTTPStatus.NOT_FOUND: ErrorCode.NOT_FOUND,
    HTTPStatus.METHOD_NOT_ALLOWED: ErrorCode.INVALID_REQUEST,
    HTTPStatus.UNAUTHORIZED: ErrorCode.NOT_AUTHENTICATED,
    HTTPStatus.FORBIDDEN: ErrorCode.NOT_ALLOWED,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: ErrorCode.TOO_LARGE,
}


class RequestIds:
    """Gives every request an id: the caller's if it is harmless, else a fresh one; it is echoed in the answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = dict(scope["headers"]).get(REQUEST_ID_HEADER, b"")
        request_id = given if _ACCEPTABLE_REQUEST_ID.fullmatch(given) else uuid.uuid4().hex.encode()
        scope.setdefault("state", {})["request_id"] = request_id.decode()

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (REQUEST_ID_HEADER, request_id)]
            await send(message)

        await self._app(scope, receive, send_with_id)


def request_id_of(request: Request) -> str:
    """The id `RequestIds` gave this request."""
    ident: str = request.state.request_id
    return ident


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
    )


def client_ip(request: Request) -> str | None:
    """The peer's address; forwarded headers are not trusted."""
    host = request.client.host if request.client else None
    return host if host and re.fullmatch(r"[0-9a-fA-F.:]+", host) else None


def short_path(request: Request) -> str:
    """The path called as the audit log takes it: no control characters, no longer than its columns with a method."""
    return "".join(char if char.isprintable() else "?" for char in request.url.path)[:_MAX_PATH_CHARS]


def envelope(request: Request, code: ErrorCode, message: str, *, hint: str | None = None) -> JSONResponse:
    """The answer of every route that does not succeed."""
    body = ErrorEnvelope(code=code, message=message, hint=hint, request_id=request_id_of(request))
    return JSONResponse(body.model_dump(mode="json"), status_code=HTTP_STATUS[code])


async def _on_refusal(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, WatchfloorError)  # noqa: S101  FastAPI dispatches by type
    if error.audit is not None:
        runtime: Runtime = request.app.state.runtime
        async with runtime.database.transaction() as session:
            await audit.record(session, runtime, caller_of(request), error.audit)
    return envelope(request, error.code, error.message, hint=error.hint)


async def _on_invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101  FastAPI dispatches by type
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"] if part != "body")
    reason = str(first["msg"]).removeprefix("Value error, ")
    more = len(error.errors()) - 1
    hint = f"{more} more of the fields are wrong." if more else None
    return envelope(request, ErrorCode.INVALID_REQUEST, f"{where}: {reason}" if where else reason, hint=hint)


async def _on_http_exception(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101  FastAPI dispatches by type
    code = _CODE_OF_STATUS.get(HTTPStatus(error.status_code), ErrorCode.INVALID_REQUEST)
    answer = envelope(request, code, str(error.detail))
    answer.status_code = error.status_code
    return answer


async def _on_database_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, DBAPIError)  # noqa: S101  FastAPI dispatches by type
    if isinstance(error.orig, QueryCanceled):
        return envelope(
            request,
            ErrorCode.QUERY_TOO_SLOW,
            "The question takes too long to answer.",
            hint="Narrow the time or filter.",
        )
    if isinstance(error, OperationalError | InterfaceError) or isinstance(error.orig, LockNotAvailable):
        log.warning("database_unavailable", error=str(error.orig))
        return envelope(request, ErrorCode.UNAVAILABLE, "The database is not answering.", hint="Try again in a moment.")
    log.error("database_error", exc_info=error)
    return envelope(request, ErrorCode.INTERNAL, "The request failed; nothing was changed.", hint="See the server log.")


async def _on_anything(request: Request, error: Exception) -> JSONResponse:
    log.error("unhandled", exc_info=error)
    return envelope(request, ErrorCode.INTERNAL, "The request failed; nothing was changed.", hint="See the server log.")


def install(app: FastAPI) -> None:
    """Put the edge around an application."""
    app.add_exception_handler(WatchfloorError, _on_refusal)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(DBAPIError, _on_database_error)
    app.add_exception_handler(Exception, _on_anything)
    app.add_middleware(RequestIds)
