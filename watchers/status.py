"""What a process of ours says of itself: one JSON line at each change, and `/healthz` on this machine.

Owns no rule. A line never carries an address beyond its host, a token or a key.
"""

import asyncio
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Any, Final

import orjson

from watchers.places import PlaceError, is_loopback

MAX_REQUEST_BYTES: Final = 4096
REQUEST_LIMIT_S: Final = 2.0
"""Somebody who connects and says nothing is not waited for."""


class Board:
    """What is known of each thing that is looked after, and whether that has changed."""

    def __init__(self, now: Callable[[], datetime], write: Callable[[str], None] | None = None) -> None:
        self._now = now
        self._write = write or _to_stdout
        self._known: dict[str, dict[str, Any]] = {}

    def tell(self, what: str, state: str, *, ok: bool, why: str = "", **facts: Any) -> None:
        """Note a state; a line is written when the word differs from the last one of the same thing."""
        before = self._known.get(what)
        entry = {"state": state, "ok": ok, "why": why, **facts}
        self._known[what] = entry
        if before is None or before["state"] != state:
            line = {"at": self._now().isoformat(timespec="milliseconds"), "about": what, **entry}
            self._write(orjson.dumps(line).decode())

    def forget(self, what: str) -> None:
        """Nothing is known of it any more."""
        self._known.pop(what, None)

    def health(self) -> tuple[bool, dict[str, Any]]:
        """Whether everything is well, and everything that is known."""
        ok = all(entry["ok"] for entry in self._known.values())
        return ok, {"ok": ok, "about": self._known}


def _to_stdout(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def parse_listen(text: str) -> tuple[str, int]:
    """Read `127.0.0.1:PORT`.

    Raises:
        PlaceError: it is none, or reaches beyond this machine.
    """
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not is_loopback(host) or not (port.isascii() and port.isdigit()) or int(port[:6]) > 65535:  # noqa: PLR2004
        raise PlaceError("health is told on this machine only: --listen 127.0.0.1:PORT")
    return host, int(port)


async def serve_health(board: Board, host: str, port: int) -> asyncio.Server:
    """Answer `GET /healthz`: 200 while all is well, else 503, with what is known as JSON.

    Raises:
        OSError: the address is taken.
    """

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(OSError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError):
                async with asyncio.timeout(REQUEST_LIMIT_S):
                    request = await reader.readuntil(b"\r\n\r\n")
                    writer.write(_response(board, request))
                    await writer.drain()
        finally:
            writer.close()

    return await asyncio.start_server(answer, host, port, limit=MAX_REQUEST_BYTES)


def _response(board: Board, request: bytes) -> bytes:
    if not request.startswith((b"GET /healthz ", b"GET /healthz?")):
        return b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    ok, told = board.health()
    body = orjson.dumps(told)
    words = "200 OK" if ok else "503 Service Unavailable"
    head = f"HTTP/1.1 {words}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close"
    return f"{head}\r\n\r\n".encode() + body
