"""The door of a backend: how many connections it takes, and how long and how much a stranger may talk before asking.

Nobody is known before the head of a request is there. Must leave files for the database and for the journals, whoever
knocks: without them no freeze can be made or kept.
"""

import asyncio
import resource
from contextlib import suppress
from typing import Final, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from backend.peer import is_local

HEAD_LIMIT_S: Final = 10.0
"""From the first byte of a request, or the connection, to the end of its head; the slowest honest line is faster."""
MAX_HEAD_BYTES: Final = 64 * 1024
"""Read before the head is there: twice what browsers send at most."""
SPARE_FILES: Final = 200
"""Kept from connections: the database's, journals, the disk, and what the libraries open."""
WANTED_FILES: Final = 65_536
"""Enough for every connection that one backend serves; many systems give 1,024 unless asked."""
LEAST: Final = 32
"""Connections taken even where the system gives hardly any files."""


def ask_for_files() -> None:
    """Have the system give this process as many open files as it may have, as far as they are of use."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = WANTED_FILES if hard == resource.RLIM_INFINITY else min(WANTED_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):  # a system that refuses leaves what there is
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def most_connections() -> int:
    """How many connections leave enough files for everything else."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return WANTED_FILES if soft == resource.RLIM_INFINITY else max(LEAST, soft - SPARE_FILES)


class Door(HttpToolsProtocol):
    """One connection until it is known what it asks for; a WebSocket is handed on once its head is there."""

    _late: asyncio.TimerHandle | None = None
    _head_bytes = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take it, unless too many are there, or it was reset before it could be asked where it comes from."""
        super().connection_made(cast("asyncio.Transport", transport))
        # what came over it and has no address would pass for a caller on this machine, whom no network is forbidden
        unknown = self.client is None and not is_local(transport)
        if unknown or len(self.connections) > most_connections():
            self.transport.abort()
        else:
            self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is expected any more."""
        self._head_is_there()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on, unless the head is longer than any of an honest client; what comes with its end may be a body."""
        self._head_bytes += len(data)
        super().data_received(data)
        if self._late is not None and self._head_bytes > MAX_HEAD_BYTES:
            self.transport.abort()

    def on_message_begin(self) -> None:
        """A further request over the same connection has as long for its head as the first."""
        super().on_message_begin()
        if self._late is None:
            self._expect_head()

    def on_headers_complete(self) -> None:
        """What comes now is somebody's request."""
        self._head_is_there()
        super().on_headers_complete()

    def _expect_head(self) -> None:
        self._head_bytes = 0
        self._late = self.loop.call_later(HEAD_LIMIT_S, self.transport.abort)

    def _head_is_there(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None
