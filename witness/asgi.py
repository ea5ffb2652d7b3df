"""The two HTTP services: a signer on a Unix socket, a witness on an address. Owns no rule; one request at a time.

A request is answered without a thread or an await between check and fsync: that makes check-and-persist atomic.
"""

import json
import re
import socket
import ssl
from collections.abc import Awaitable, Callable, MutableMapping
from http import HTTPStatus
from typing import Any, Final, Protocol

from witness.cosigner import Cosigner
from witness.signer import Signer
from witness.wire import (
    MAX_BODY_BYTES,
    MAX_RESTORATION_BYTES,
    SIZE_TYPE,
    TEXT_TYPE,
    AddRequest,
    ConflictError,
    RefusalError,
    RestorationRequest,
    split_notes,
)

JSON_TYPE: Final = "application/json"
RESTORE: Final = "/restore"
STOP_LIMIT_S: Final = 2
"""A request takes milliseconds; one that does not end is not waited for."""
_KEYS = re.compile(r"/keys/([0-9]{1,9})")
_ORIGINS = re.compile(r"/origins/([A-Za-z0-9._-]{1,60})")
_CHECKPOINT = re.compile(r"/([0-9a-f]{64})/checkpoint")

_Message = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Message]]
_Send = Callable[[_Message], Awaitable[None]]
AsgiApp = Callable[[_Message, _Receive, _Send], Awaitable[None]]
Answer = tuple[HTTPStatus, str, bytes]


class Service(Protocol):
    """What answers requests."""

    def answer(self, method: str, path: str, body: bytes) -> Answer:
        """Answer one request.

        Raises:
            RefusalError: it is refused.
        """


class SignerService:
    """`POST /sign-checkpoint`, `POST /restore`, `GET /keys/<certificates known>`, `GET /<origin hash>/checkpoint`."""

    def __init__(self, signer: Signer) -> None:
        self._signer = signer

    def answer(self, method: str, path: str, body: bytes) -> Answer:
        """See `Service`."""
        if (method, path) == ("POST", "/sign-checkpoint"):
            return HTTPStatus.OK, TEXT_TYPE, self._signer.sign(AddRequest.parse(body))
        if (method, path) == ("POST", RESTORE):
            return HTTPStatus.OK, TEXT_TYPE, self._signer.restore(RestorationRequest.parse(body))
        known = _KEYS.fullmatch(path)
        if method == "GET" and known is not None:
            return HTTPStatus.OK, JSON_TYPE, json.dumps(self._signer.keys(int(known[1]))).encode()
        return _head(method, path, self._signer.head)


class WitnessService:
    """`POST /add-checkpoint`, `GET /<origin hash>/checkpoint`; for our ledgers `POST /add-certificates`,
    `POST /restore` and `GET /origins/<ledger>`.
    """

    def __init__(self, cosigner: Cosigner) -> None:
        self._cosigner = cosigner

    def answer(self, method: str, path: str, body: bytes) -> Answer:
        """See `Service`."""
        if (method, path) == ("POST", "/add-checkpoint"):
            return HTTPStatus.OK, TEXT_TYPE, self._cosigner.add(AddRequest.parse(body))
        if (method, path) == ("POST", "/add-certificates"):
            self._cosigner.learn(split_notes(body))
            return HTTPStatus.OK, TEXT_TYPE, b""
        if (method, path) == ("POST", RESTORE):
            return HTTPStatus.OK, TEXT_TYPE, self._cosigner.restore(RestorationRequest.parse(body))
        asked = _ORIGINS.fullmatch(path)
        if method == "GET" and asked is not None:
            found = self._cosigner.origins(asked[1])
            return HTTPStatus.OK, TEXT_TYPE, "".join(f"{one}\n" for one in found).encode()
        return _head(method, path, self._cosigner.head)


def _head(method: str, path: str, find: Callable[[str], bytes | None]) -> Answer:
    named = _CHECKPOINT.fullmatch(path)
    if named is None:
        raise RefusalError(HTTPStatus.NOT_FOUND, "there is nothing here")
    if method != "GET":
        raise RefusalError(HTTPStatus.METHOD_NOT_ALLOWED, "only to be read")
    found = find(named[1])
    if found is None:
        raise RefusalError(HTTPStatus.NOT_FOUND, "no checkpoint of that log was signed here")
    return HTTPStatus.OK, TEXT_TYPE, found


def application(service: Service, prefix: str = "") -> AsgiApp:
    """Make an ASGI application of a service."""

    async def app(scope: _Message, receive: _Receive, send: _Send) -> None:
        if scope["type"] != "http":
            return
        try:
            path = str(scope["path"]).removeprefix(prefix)
            body = await _body(receive, MAX_RESTORATION_BYTES if path == RESTORE else MAX_BODY_BYTES)
            status, content_type, answered = service.answer(scope["method"], path, body)
        except ConflictError as conflict:
            status, content_type, answered = conflict.status, SIZE_TYPE, f"{conflict.known}\n".encode()
        except RefusalError as refusal:
            status, content_type, answered = refusal.status, TEXT_TYPE, f"{refusal}\n".encode()
        except OSError as error:  # the disk: nothing was signed, or nothing that anybody was told of
            status, content_type = HTTPStatus.INSUFFICIENT_STORAGE, TEXT_TYPE
            answered = f"cannot be kept: {error.strerror}\n".encode()
        headers = [(b"content-type", content_type.encode()), (b"content-length", str(len(answered)).encode())]
        await send({"type": "http.response.start", "status": int(status), "headers": headers})
        await send({"type": "http.response.body", "body": answered})

    return app


async def _body(receive: _Receive, limit_bytes: int) -> bytes:
    parts, size, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            raise RefusalError(HTTPStatus.BAD_REQUEST, "the request broke off")
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        more = message.get("more_body", False)
        if size > limit_bytes:
            raise RefusalError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too long")
    return b"".join(parts)


def serve(
    app: AsgiApp,
    listening: socket.socket,
    ready: Callable[[], None],
    *,
    tls: tuple[str, str] | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT. `tls` names the files of certificate and key."""
    import uvicorn

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if self.started:
                ready()

    certificate, key = tls or (None, None)
    config = uvicorn.Config(
        app,
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        lifespan="off",
        ws="none",
        timeout_graceful_shutdown=STOP_LIMIT_S,
        ssl_certfile=certificate,
        ssl_keyfile=key,
    )
    config.load()
    if config.ssl is not None:
        config.ssl.minimum_version = ssl.TLSVersion.TLSv1_3
    Server(config).run(sockets=[listening])
