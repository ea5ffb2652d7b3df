"""What a process knows of the markers it wrote, in a file of its own: it outlives the process, not the machine.

One line a fact: `B boot` for each start of the machine, `L line opened timeline started host` for a connection,
`A seq line sent written acknowledged` for a write that was acknowledged, `F count seq` once only what comes from a
number on is known one by one, and so many before it are counted. Times are microseconds, `written` and `started` since
1970, the others by the machine's monotonic clock, which begins anew with each start. A line that a crash cut off says
nothing. Must never hold up the event loop.
"""

import os
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from backend.diskthread import DiskThread

APPEND_LIMIT_S: Final = 2.0
"""A disk that takes longer is left alone until the next time; what was to be written waits in memory."""
MAX_WAITING_LINES: Final = 500_000
"""Half a day of markers: with a disk away for that long the memory matters more."""
LONG_AGO_US: Final = -(1 << 62)
"""Before every instant by the clock of this start of the machine."""
_MODE: Final = 0o600
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Ack:
    """A marker that a server acknowledged."""

    seq: int
    line: int
    """The connection it went over, counted from 1."""
    sent_us: int
    written_us: int
    acked_us: int

    @property
    def written_at(self) -> datetime:
        """The marker's own time."""
        return _EPOCH + timedelta(microseconds=self.written_us)

    def text(self) -> str:
        """As the file has it."""
        return f"A {self.seq} {self.line} {self.sent_us} {self.written_us} {self.acked_us}\n"


@dataclass(frozen=True, slots=True)
class Line:
    """A connection."""

    number: int
    opened_us: int
    timeline: int
    started_us: int
    """When the server was started, by its own clock."""
    host: str

    @property
    def life(self) -> tuple[int, int]:
        """Which life of which server: another one after a promotion, and after a start."""
        return self.timeline, self.started_us

    def text(self) -> str:
        """As the file has it."""
        return f"L {self.number} {self.opened_us} {self.timeline} {self.started_us} {self.host or '-'}\n"


def in_us(at: datetime) -> int:
    """Microseconds since 1970."""
    return (at - _EPOCH) // timedelta(microseconds=1)


@dataclass
class Known:
    """Connections and acknowledged writes, in their order."""

    acks: list[Ack] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    boot: str = ""
    """Which start of the machine its times are of; empty: nothing is known."""
    forgotten: int = 0
    """How many acknowledged writes are counted and no longer known one by one."""

    def forget(self, keep: int) -> str:
        """Know the last of them only; the line that says so."""
        self.forgotten += max(0, len(self.acks) - keep)
        del self.acks[:-keep]
        return f"F {self.forgotten} {self.acks[0].seq}\n"

    def _begin(self, boot: str) -> None:
        if self.boot not in {"", boot}:
            self.forget_times()
        self.boot = boot

    def forget_times(self) -> None:
        """Have everything so far be of before, whatever the clock that began anew says of it."""
        self.acks = [replace(ack, sent_us=LONG_AGO_US, acked_us=LONG_AGO_US) for ack in self.acks]
        self.lines = [replace(line, opened_us=LONG_AGO_US) for line in self.lines]

    def read(self, text: str) -> None:
        """Add what a file says; lines that are not whole say nothing."""
        for one in text.splitlines(keepends=True):
            word, *values = one.split()[:6] if one.endswith("\n") else [""]
            try:
                if word == "A":
                    seq, line, sent, written, acked = map(int, values)
                    self.acks.append(Ack(seq, line, sent, written, acked))
                elif word == "F":
                    self.forgotten, first = map(int, values)
                    self.acks = [ack for ack in self.acks if ack.seq >= first]
                elif word == "L":
                    number, opened, timeline, started = map(int, values[:4])
                    self.lines.append(Line(number, opened, timeline, started, values[4]))
                elif word == "B":
                    self._begin(values[0])
            except (ValueError, IndexError):
                continue


class MarkerFile:
    """The file of one drill."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._disk = DiskThread(name="recovery markers")
        self._waiting: list[str] = []
        self.problem = ""
        """Why the file lacks what was said last; empty while it does not."""

    async def read(self) -> Known:
        """What an earlier process left; nothing where it left none or the disk does not say."""
        known = Known()
        try:
            text = await self._disk.do(self._text, APPEND_LIMIT_S)
            known.read(text)
            if text and not text.endswith("\n"):
                self._waiting.insert(0, "\n")  # else the next line would be part of the one that was cut off
        except OSError as error:
            self.problem = str(error)
        return known

    def say(self, text: str) -> None:
        """Have a line written with the next ones."""
        if len(self._waiting) < MAX_WAITING_LINES:
            self._waiting.append(text)

    async def flush(self) -> None:
        """Write what was said since; if the disk does not take it, it waits for the next time."""
        lines, self._waiting = self._waiting, []
        if not lines:
            return
        try:
            await self._disk.do(lambda: self._append("".join(lines)), APPEND_LIMIT_S)
        except OSError as error:
            self.problem = str(error)
            self._waiting = lines + self._waiting  # written twice at worst, which says the same twice
        else:
            self.problem = ""

    def close(self) -> None:
        """Let the thread end."""
        self._disk.end()

    def _text(self) -> str:
        try:
            return self._path.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return ""

    def _append(self, text: str) -> None:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, _MODE)
        try:
            whole = text.encode()
            if os.write(file, whole) != len(whole):
                raise OSError("the disk is full")
        finally:
            os.close(file)
