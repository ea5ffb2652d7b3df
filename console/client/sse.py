"""Owns the parsing of `text/event-stream` by the WHATWG rules, fed in chunks of any size, in bounded memory. No I/O."""

from typing import Final, NamedTuple

MAX_LINE_BYTES: Final = 1_000_000
"""The largest event of ours (500 executors) has some 200 kB; a longer line is an attack or another service."""

MAX_EVENT_BYTES: Final = 4_000_000
"""Bound of all lines of one event together."""

_BOM: Final = b"\xef\xbb\xbf"
_CR: Final = 13


class StreamTooLarge(Exception):  # noqa: N818  it names what is wrong
    """A line or an event exceeds its bound; the connection must be given up."""


class ServerSentEvent(NamedTuple):
    """One dispatched event."""

    event: str
    data: str
    last_event_id: str


class Parser:
    """Turns bytes into events; the state between two chunks is at most one line and one event."""

    def __init__(self, last_event_id: str = "") -> None:
        self.last_event_id = last_event_id
        self._id = last_event_id
        self._line = bytearray()
        self._after_cr = False
        self._at_start = True
        self._event = ""
        self._data: list[str] = []
        self._size_bytes = 0

    def feed(self, chunk: bytes) -> list[ServerSentEvent]:
        """The events that this chunk completes, in order.

        Raises:
            StreamTooLarge: a line or event exceeds its bound.
        """
        found: list[ServerSentEvent] = []
        start = 0
        if self._after_cr and chunk[:1] == b"\n":
            start = 1
        if chunk:
            self._after_cr = False
        while start < len(chunk):
            end, following = _line_end(chunk, start)
            self._line += chunk[start:end]
            if len(self._line) > MAX_LINE_BYTES:
                raise StreamTooLarge(f"a line of the stream is longer than {MAX_LINE_BYTES} bytes")
            if end == len(chunk):
                break
            self._after_cr = following == len(chunk) and chunk[-1] == _CR
            self._take_line(found)
            start = following
        return found

    def _take_line(self, found: list[ServerSentEvent]) -> None:
        raw = bytes(self._line)
        self._line.clear()
        if self._at_start:
            self._at_start = False
            raw = raw.removeprefix(_BOM)
        if not raw:
            self._dispatch(found)
        elif not raw.startswith(b":"):
            name, _, value = raw.partition(b":")
            self._take_field(name, value.removeprefix(b" ").decode("utf-8", "replace"))

    def _take_field(self, name: bytes, value: str) -> None:
        match name:
            case b"event":
                self._event = value
            case b"data":
                self._size_bytes += len(value) + 1
                if self._size_bytes > MAX_EVENT_BYTES:
                    raise StreamTooLarge(f"an event of the stream is larger than {MAX_EVENT_BYTES} bytes")
                self._data.append(value)
            case b"id" if "\x00" not in value:
                self._id = value
            case _:
                pass  # `retry` and unknown fields: the client decides itself when to come back

    def _dispatch(self, found: list[ServerSentEvent]) -> None:
        self.last_event_id = self._id
        if self._data:
            found.append(ServerSentEvent(self._event or "message", "\n".join(self._data), self.last_event_id))
        self._event = ""
        self._data = []
        self._size_bytes = 0


def _line_end(chunk: bytes, start: int) -> tuple[int, int]:
    """Where the line that begins at `start` ends, and where the next one begins; the chunk's end if it does not."""
    lf = chunk.find(b"\n", start)
    cr = chunk.find(b"\r", start, lf if lf >= 0 else len(chunk))
    if cr >= 0:
        return cr, cr + 2 if chunk[cr + 1 : cr + 2] == b"\n" else cr + 1
    if lf >= 0:
        return lf, lf + 1
    return len(chunk), len(chunk)
