"""The simulated nodes over HTTP on loopback: `POST /CHAIN`. Owns the bounds of what a client may cost; no answer."""

import http
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Final, Self

from simulator.chains import Chains

MAX_BODY_BYTES: Final = 65_536
"""A hundred calls with room to spare."""
MAX_LENGTH_DIGITS: Final = 6
MAX_CONNECTIONS: Final = 32
"""A watcher keeps one a chain; each costs a thread."""
IDLE_LIMIT_S: Final = 60.0
"""A connection on which nothing comes for so long is closed."""
LOOK_FOR_END_EVERY_S: Final = 0.5


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server_version = "simulated-node"
    sys_version = ""
    timeout = IDLE_LIMIT_S
    server: "_Server"

    def do_POST(self) -> None:
        """Answer one request or batch."""
        name = self.path.removeprefix("/")
        length = self._length()
        if length is None or length > MAX_BODY_BYTES:
            self._refuse(http.HTTPStatus.REQUEST_ENTITY_TOO_LARGE if length else http.HTTPStatus.LENGTH_REQUIRED)
        elif name not in self.server.chains.names():
            self._refuse(http.HTTPStatus.NOT_FOUND)
        elif self.headers.get("Origin") is not None or self.headers.get_content_type() != "application/json":
            self._refuse(http.HTTPStatus.FORBIDDEN)  # a page in a browser reaches loopback too
        else:
            self._answer(http.HTTPStatus.OK, self.server.chains.ask(name, self.rfile.read(length)))

    def _length(self) -> int | None:
        text = self.headers.get("Content-Length", "")
        understood = text.isascii() and text.isdigit() and len(text) <= MAX_LENGTH_DIGITS
        return int(text) if understood and self.headers.get("Transfer-Encoding") is None else None

    def _refuse(self, status: http.HTTPStatus) -> None:
        self.close_connection = True
        self._answer(status, b"")

    def _answer(self, status: http.HTTPStatus, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:  # noqa: ARG002
        """Answer what the base class refuses (an endless line, another method) without a page of HTML."""
        self._refuse(http.HTTPStatus(code))

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the base class named it
        """Say nothing: a second source asks all the time."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, chains: Chains, listening: socket.socket) -> None:
        self.chains = chains
        self._free = threading.BoundedSemaphore(MAX_CONNECTIONS)
        super().__init__(("", 0), _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listening
        self.server_address = listening.getsockname()

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up in the middle is no news."""


class Serving:
    """Nodes that answer on a listening socket until the context is left; the socket is closed then."""

    def __init__(self, chains: Chains, listening: socket.socket) -> None:
        self._server = _Server(chains, listening)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(LOOK_FOR_END_EVERY_S,), name="nodes", daemon=True
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
