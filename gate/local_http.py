"""A small HTTP server for this machine: on a socket that listens already, bounded in connections and in patience.

Knows no route and no message: whoever serves brings a handler. Says nothing in a log, since callers ask all the time.
"""

import http
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

IDLE_LIMIT_S: Final = 60.0
"""A connection on which nothing comes for so long is closed."""
MAX_LENGTH_DIGITS: Final = 12


class LocalHandler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    sys_version = ""
    timeout = IDLE_LIMIT_S

    def stated_length(self) -> int | None:
        """Return how many bytes the body has; None if that is not said, or not in a way that everybody understands."""
        text = self.headers.get("Content-Length", "")
        understood = text.isascii() and text.isdigit() and len(text) <= MAX_LENGTH_DIGITS
        return int(text) if understood and self.headers.get("Transfer-Encoding") is None else None

    @property
    def is_json(self) -> bool:
        """Whether the body says that it is JSON, which a page in somebody's browser cannot do unasked."""
        return self.headers.get_content_type() == "application/json"

    @property
    def is_from_a_page(self) -> bool:
        """Whether a page in somebody's browser asks: it reaches loopback too, and cannot hide where it is from."""
        return self.headers.get("Origin") is not None

    def reply(self, status: http.HTTPStatus, raw: bytes) -> None:
        """Answer with JSON."""
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.send_header("Cache-Control", "no-store")
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(raw)

    def address_string(self) -> str:
        """Return who asks; nobody has an address on a Unix socket."""
        return "local"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the base class named it
        """Say nothing."""


class LocalServer(ThreadingHTTPServer):
    """A thread a connection, and no more connections than are allowed; further ones are hung up on."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, handler: type[LocalHandler], listening: socket.socket, *, max_connections: int) -> None:
        self.request_queue_size = max_connections
        self._free = threading.BoundedSemaphore(max_connections)
        super().__init__(("", 0), handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listening
        self.server_address = listening.getsockname()

    def get_request(self) -> tuple[socket.socket, Any]:
        """Take the next connection; whose it is does not matter."""
        connection, _ = self.socket.accept()
        return connection, ("local", 0)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection in a thread of its own, while there is one left."""
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Give the thread back afterwards."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up in the middle is no news."""


class Serving:
    """A server that answers until its context is left. The socket is closed then, and a Unix socket's file is gone."""

    def __init__(self, server: LocalServer, name: str, *, look_for_end_s: float) -> None:
        self._server = server
        listening = server.socket
        self._path = listening.getsockname() if listening.family == socket.AF_UNIX else None
        self._thread = threading.Thread(target=server.serve_forever, args=(look_for_end_s,), name=name, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        if self._path is not None:
            Path(self._path).unlink(missing_ok=True)
