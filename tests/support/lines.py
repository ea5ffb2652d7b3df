"""TCP lines on loopback that a test can cut or silence, and one to a backend that breaks in the middle of a freeze."""

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import StrEnum

_PART_BYTES = 65_536
_FREEZE = b"POST /v1/freezes HTTP"
_ABORT = struct.pack("ii", 1, 0)
"""SO_LINGER: a reset instead of a farewell."""
_HALF_LESS_BYTES = 20
"""How much of a request is withheld that arrives in part."""


class Moment(StrEnum):
    """Where the next freeze stops on its way."""

    BEFORE = "nothing of it arrives"
    HALF = "a part of it arrives"
    AFTER = "it arrives, its answer does not"


class Line:
    """What clients connect to instead of a server."""

    def __init__(self, server: tuple[str, int]) -> None:
        self._server = server
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self.moment: Moment | None = None
        """Where the next freeze stops; once."""
        self.stopped = threading.Event()
        """A freeze has stopped there."""
        self._goes_on = threading.Event()
        self._goes_on.set()
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Break every connection, in both directions at once."""
        ends, self._open = self._open, []
        for end in ends:
            with suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
                end.shutdown(socket.SHUT_RDWR)

    def fall_silent(self) -> None:
        """Carry nothing any more, and say nothing of it."""
        self._goes_on.clear()

    def close(self) -> None:
        """End the line."""
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._goes_on.set()
        self.cut()

    def _accept(self) -> None:
        with suppress(OSError):  # the end of the line
            while True:
                client, _ = self._listening.accept()
                with suppress(OSError):
                    self._join(client, socket.create_connection(self._server))

    def _join(self, client: socket.socket, server: socket.socket) -> None:
        self._open += [client, server]
        pair = _Pair(self, client, server)
        for way in (pair.up, pair.down):
            threading.Thread(target=way, daemon=True).start()


class _Pair:
    """One connection through the line."""

    def __init__(self, line: Line, client: socket.socket, server: socket.socket) -> None:
        self._line, self._client, self._server = line, client, server
        self._stops: Moment | None = None
        self._both_ended = threading.Barrier(2)

    def up(self) -> None:
        with suppress(OSError):
            while part := self._client.recv(_PART_BYTES):
                self._line._goes_on.wait()
                if _FREEZE in part and self._line.moment is not None:
                    self._stops, self._line.moment = self._line.moment, None
                self._pass_on(part)
        self._end()

    def _pass_on(self, part: bytes) -> None:
        match self._stops:
            case None | Moment.AFTER:
                self._server.sendall(part)
            case Moment.HALF if not self._line.stopped.is_set():
                self._server.sendall(part[:-_HALF_LESS_BYTES])
                self._line.stopped.set()
            case _:
                self._line.stopped.set()

    def down(self) -> None:
        with suppress(OSError):
            while part := self._server.recv(_PART_BYTES):
                self._line._goes_on.wait()
                if self._stops is Moment.AFTER:
                    self._line.stopped.set()
                    continue
                self._client.sendall(part)
        self._end()

    def _end(self) -> None:
        for one in (self._client, self._server):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        self._both_ended.wait()  # nobody reads a descriptor that has become another's
        self._client.close()
        self._server.close()


@contextmanager
def line_to(port: int) -> Iterator[Line]:
    """A line to a server on this machine."""
    line = Line(("127.0.0.1", port))
    try:
        yield line
    finally:
        line.close()
