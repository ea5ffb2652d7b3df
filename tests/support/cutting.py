"""A line to PostgreSQL that breaks where a test wants: just before a COMMIT arrives, or just before its answer does."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from psycopg.conninfo import conninfo_to_dict

Where = Literal["before", "after"]
_SOCKET = ".s.PGSQL.5432"
_PART_BYTES = 65_536


@dataclass
class Line:
    """What clients connect to instead of the server."""

    url: str
    """The database through this line."""
    cut: Where | None = None
    """Where the next COMMIT of a freeze is cut off; once."""
    was_cut: threading.Event = field(default_factory=threading.Event)


@contextmanager
def through_a_line(database_url: str, directory: Path) -> Iterator[Line]:
    """Put a line between clients and a server that listens on a Unix socket."""
    told = conninfo_to_dict(database_url)
    server = f"{told['host']}/{_SOCKET}"
    line = Line(f"postgresql://{told['user']}@/{told['dbname']}?host={quote(str(directory))}")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(directory / _SOCKET))
        listening.listen()
        threading.Thread(target=_accept, args=(listening, server, line), daemon=True).start()
        try:
            yield line
        finally:
            with suppress(OSError):
                listening.shutdown(socket.SHUT_RDWR)


def _accept(listening: socket.socket, server: str, line: Line) -> None:
    with suppress(OSError):  # the end of the test
        while True:
            client, _ = listening.accept()
            beyond = socket.socket(socket.AF_UNIX)
            beyond.connect(server)
            pair = _Pair(client, beyond, line)
            threading.Thread(target=pair.up, daemon=True).start()
            threading.Thread(target=pair.down, daemon=True).start()


class _Pair:
    """One client's connection."""

    def __init__(self, client: socket.socket, server: socket.socket, line: Line) -> None:
        self._client, self._server, self._line = client, server, line
        self._freezes = self._answer_is_lost = False
        self._ended = threading.Barrier(2)

    def up(self) -> None:
        with suppress(OSError):
            while part := self._client.recv(_PART_BYTES):
                self._freezes = self._freezes or b"INSERT INTO freezes" in part
                if self._freezes and b"COMMIT" in part and self._line.cut is not None:
                    where, self._line.cut = self._line.cut, None
                    if where == "before":
                        break
                    self._answer_is_lost = True
                self._server.sendall(part)
        self._end()

    def down(self) -> None:
        with suppress(OSError):
            while part := self._server.recv(_PART_BYTES):
                if self._answer_is_lost:
                    break
                self._client.sendall(part)
        self._end()

    def _end(self) -> None:
        for one in (self._client, self._server):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        if self._freezes and self._line.cut is None:
            self._line.was_cut.set()
        self._ended.wait()  # nobody reads a descriptor that has become another's
        self._client.close()
        self._server.close()
