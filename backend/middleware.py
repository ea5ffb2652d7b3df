"""Pure ASGI layers around the application: request ids, headers, counting, the body limit, the last resort.

Owns no route.
"""

import re
import time
import uuid
from http import HTTPStatus

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backend.answers import envelope
from backend.metrics import Metrics
from backend.peer import STATE_KEY, Peer
from contract.errors import HTTP_STATUS, ErrorCode
from contract.incidents import MAX_EVIDENCE_BYTES

log = structlog.get_logger("backend.access")

REQUEST_ID_HEADER = b"x-request-id"
_ACCEPTABLE_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
MAX_BODY_BYTES = 32 * 1024 * 1024
"""Ten times the largest batch of trades; a larger body would only fill memory."""
MAX_JSON_BYTES = 1024 * 1024
"""Of every other route: a hundred times what the console sends."""
MAX_SIGN_IN_BYTES = 8 * 1024
"""Anybody may send one: names, passwords and signatures are short."""
_BATCHES = re.compile(r"/v1/transactions|/v1/imports/[^/]+/rows|/v1/audit/import/[^/]+")
_EVIDENCE = re.compile(r"/v1/incidents/[^/]+/evidence")
_SIGN_INS = "/v1/auth/"
ALWAYS_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
)
"""A browser that is shown an answer of ours runs nothing of it, and tells nobody where it was."""
_TLS_HEADERS = ((b"strict-transport-security", b"max-age=31536000"),)
_CACHE = b"cache-control"
_PRIVATE_PATHS = ("/v1/", "/api/")
FAILED_MESSAGE = "The request failed; nothing was changed."
FAILED_HINT = "Give the request id to whoever runs the server: its log has the cause."
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_NO_ROUTE = "(none)"
_QUIET_ROUTES = frozenset({"/healthz", "/readyz", "/metrics", "/v1/gate/renew"})
"""Asked every few seconds by machines; what succeeds is logged only at level debug."""
_STREAM_TYPE = b"text/event-stream"
_BEGINNINGS = frozenset({"http.response.start", "websocket.accept", "websocket.http.response.start"})


class RequestIds:
    """Gives every request an id: the caller's if it is harmless, else a fresh one; it is echoed and logged."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: D102  the ASGI interface
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        given = dict(scope["headers"]).get(REQUEST_ID_HEADER, b"")
        request_id = given if _ACCEPTABLE_REQUEST_ID.fullmatch(given) else uuid.uuid4().hex.encode()
        scope.setdefault("state", {})["request_id"] = request_id.decode()

        async def send_with_id(message: Message) -> None:
            if message["type"] in _BEGINNINGS:
                message["headers"] = [*message.get("headers", ()), (REQUEST_ID_HEADER, request_id)]
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id.decode()):
            await self._app(scope, receive, send_with_id)


class SafeHeaders:
    """Puts the headers on every answer that keep browsers and caches from doing anything with it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: D102  the ASGI interface
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        added = [*ALWAYS_HEADERS, *(_TLS_HEADERS if scope["scheme"] in {"https", "wss"} else ())]
        private = scope["path"].startswith(_PRIVATE_PATHS)

        async def send_safe(message: Message) -> None:
            if message["type"] in _BEGINNINGS:
                given = list(message.get("headers", ()))
                if private:
                    given = [*(one for one in given if one[0] != _CACHE), (_CACHE, b"no-store")]
                message["headers"] = [*given, *added]
            await send(message)

        await self._app(scope, receive, send_safe)


class SocketAccounts:
    """Lets only the accounts that the policy names come over the Unix socket; none named: whoever could open it."""

    def __init__(self, app: ASGIApp, allowed: frozenset[int]) -> None:
        self._app = app
        self._allowed = allowed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: D102  the ASGI interface
        peer: Peer | None = scope.get("state", {}).get(STATE_KEY)
        local = scope["type"] in {"http", "websocket"} and scope.get("client") is None
        if not local or not self._allowed or (peer is not None and peer.uid in self._allowed):
            await self._app(scope, receive, send)
            return
        log.warning("socket_account_refused", uid=None if peer is None else peer.uid)
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": ""})
            return
        message = "This account of the machine may not use the socket."
        hint = "Connect as an account that the policy names (transport.watchfloor.socket_uids)."
        await envelope(Request(scope), ErrorCode.NOT_ALLOWED, message, hint=hint)(scope, receive, send)


class Observed:
    """Counts and times every request and writes the one access log line: the route's template, never the address."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: D102  the ASGI interface
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.monotonic()
        status, streamed = 0, False

        async def send_observed(message: Message) -> None:
            nonlocal status, streamed
            if message["type"] == "http.response.start":
                status = message["status"]
                streamed = any(value.startswith(_STREAM_TYPE) for name, value in message["headers"])
            await send(message)

        try:
            await self._app(scope, receive, send_observed)
        finally:
            self._note(scope, status, time.monotonic() - began, streamed=streamed)

    def _note(self, scope: Scope, status: int, seconds: float, *, streamed: bool) -> None:
        method = scope["method"] if scope["method"] in _METHODS else "OTHER"
        route = str(getattr(scope.get("route"), "path", _NO_ROUTE))
        self._metrics.requests.labels(method, route, str(status)).inc()
        if not streamed:
            self._metrics.request_seconds.labels(method, route).observe(seconds)
        caller = scope["state"].get("caller")
        succeeded = 0 < status < HTTPStatus.BAD_REQUEST
        write = log.debug if route in _QUIET_ROUTES and succeeded else log.info
        write(
            "request",
            method=method,
            route=route,
            status=status,
            milliseconds=round(seconds * 1000, 1),
            subject=caller.subject if caller else None,
        )


class LastResort:
    """The boundary of the process: whatever no handler answered becomes one envelope and one log entry."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: D102  the ASGI interface
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = False

        async def send_noting(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, send_noting)
        # the boundary named above: an answer that has begun can only be cut off, which the server does
        except Exception:
            log.exception("unhandled")
            if begun:
                raise
            answer = envelope(Request(scope), ErrorCode.INTERNAL, FAILED_MESSAGE, hint=FAILED_HINT)
            await answer(scope, receive, send)


def body_limit_bytes(path: str) -> int:
    """How long a body may be that is sent to a path: decided before anything of it is read."""
    if _BATCHES.fullmatch(path):
        return MAX_BODY_BYTES
    if _EVIDENCE.fullmatch(path):
        return MAX_EVIDENCE_BYTES
    return MAX_SIGN_IN_BYTES if path.startswith(_SIGN_INS) else MAX_JSON_BYTES


class BodyLimit:
    """Refuses bodies that are too large, whether they say so or not."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: D102  the ASGI interface
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit_bytes = body_limit_bytes(scope["path"])
        message = f"The body is larger than {limit_bytes:,} bytes."
        stated = dict(scope["headers"]).get(b"content-length", b"0")
        if not stated.isdigit() or int(stated) > limit_bytes:
            await envelope(Request(scope), ErrorCode.TOO_LARGE, message)(scope, receive, send)
            return
        received = 0

        async def receive_bounded() -> Message:
            nonlocal received
            part = await receive()
            received += len(part.get("body", b""))
            if received > limit_bytes:
                raise HTTPException(HTTP_STATUS[ErrorCode.TOO_LARGE], message)
            return part

        await self._app(scope, receive_bounded, send)
