"""Owns the overview request that is on its way while the console is still importing.

Standard library only, and no error of it may reach the operator: the client asks again by itself.
"""

import re
import threading
import time
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    import socket

TIMEOUT_S: Final = 3.0
"""Longer than a line of 100 ms needs, short enough to be forgotten by the first regular poll."""

FRESH_S: Final = 5.0
"""An answer older than this is not shown as live."""

LIMIT_BYTES: Final = 8_000_000
"""The largest overview has 500 executors and 50 alerts, some 300 kB."""

_HEAD_LIMIT_BYTES: Final = 65_536
_HTTP_PORT: Final = 80
_SOCKET_SCHEME: Final = "http+unix://"
_LOOPBACK = re.compile(r"127\.\d{1,3}\.\d{1,3}\.\d{1,3}\Z")


class Prefetch:
    """One request in one thread, answered once."""

    def __init__(self, url: str, token: str, path: str = "/v1/overview") -> None:
        self.url = url
        self._token = token
        self._path = path
        self._body: bytes | None = None
        self._ended_s = 0.0
        self._thread = threading.Thread(target=self._run, name="prefetch", daemon=True)

    def start(self) -> None:
        """Send the request in the background."""
        self._thread.start()

    def take(self, wait_s: float) -> bytes | None:
        """Return the body of a complete, fresh answer with status 200, else None."""
        self._thread.join(wait_s)
        body, self._body = self._body, None
        if body is None or time.monotonic() - self._ended_s > FRESH_S:
            return None
        return body

    def _run(self) -> None:
        try:
            self._body = _get(self.url, self._path, self._token)
        except (OSError, ValueError):
            self._body = None  # unreachable or not HTTP: the client finds out and says so
        self._ended_s = time.monotonic()


_pending: Prefetch | None = None


def start_prefetch(url: str, token: str) -> None:
    """Ask for the overview now, if the server is on this machine.

    Not over TLS, which would load half of what is being avoided, and never in the clear to another machine.
    """
    global _pending  # noqa: PLW0603  one request per process, handed from the entry point to the client
    if is_local(url) and token.isascii() and token.isprintable():
        _pending = Prefetch(url, token)
        _pending.start()


def take_prefetched(url: str, wait_s: float = 0.0) -> bytes | None:
    """Return the body of `GET /v1/overview` asked of this address at start, once, or None.

    Waits at most `wait_s` for an answer under way.
    """
    global _pending
    request, _pending = _pending, None
    if request is None or request.url.rstrip("/") != url.rstrip("/"):
        return None
    return request.take(wait_s)


def is_local(url: str) -> bool:
    """Tell whether a token may travel to this address without TLS: a Unix socket or the loopback interface."""
    if url.startswith(_SOCKET_SCHEME):
        return True
    host = urlsplit(url).hostname or ""
    return url.startswith("http://") and (host in {"localhost", "::1"} or _LOOPBACK.match(host) is not None)


def _get(url: str, path: str, token: str) -> bytes | None:
    base = "" if url.startswith(_SOCKET_SCHEME) else urlsplit(url).path.rstrip("/")
    request = (
        f"GET {base}{path} HTTP/1.0\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"
        "Accept: application/json\r\nConnection: close\r\n\r\n"
    )
    deadline_s = time.monotonic() + TIMEOUT_S
    received = bytearray()
    with _connect(url) as connection:
        connection.sendall(request.encode("ascii"))
        while chunk := connection.recv(65_536):
            received += chunk
            if len(received) > LIMIT_BYTES or time.monotonic() > deadline_s:
                return None
    return _body(bytes(received))


def _connect(url: str) -> "socket.socket":
    import socket

    if url.startswith(_SOCKET_SCHEME):
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(TIMEOUT_S)
        connection.connect(unquote(url.removeprefix(_SOCKET_SCHEME)))
        return connection
    parts = urlsplit(url)
    return socket.create_connection((parts.hostname, parts.port or _HTTP_PORT), timeout=TIMEOUT_S)


def _body(answer: bytes) -> bytes | None:
    """Return the body of a complete 200 answer that states its length; anything else is left to the client."""
    head, separator, body = answer.partition(b"\r\n\r\n")
    if not separator or len(head) > _HEAD_LIMIT_BYTES:
        return None
    status, *lines = head.split(b"\r\n")
    if status.split(b" ")[1:2] != [b"200"]:
        return None
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines)}
    if headers.get(b"content-length") != str(len(body)).encode():
        return None
    return body
