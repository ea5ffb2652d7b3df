"""Owns one program in one pty and the times at which its output would reach the operator. Judges nothing.

Times are taken when bytes leave the pty; a synchronised update (mode 2026) counts when it ends. With a `Line` they are
the times at the far end of a slow connection, computed rather than waited for.
"""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Self

import psutil
import pyte

from tests.support.modes import leftovers

QUIET_S: Final = 0.06
"""No output for this long ends a paint."""
START_LIMIT_S: Final = 60.0
_MODE_QUERY: Final = re.compile(rb"\x1b\[\?(\d+)\$p")
_PYTE_TROUBLE: Final = re.compile(rb"\x1b\[[<>=][\d;]*u|\x1b\[\?\d+\$p")
"""Sequences that pyte would print as text."""
_SYNC_BEGIN: Final = b"\x1b[?2026h"
_SYNC_END: Final = b"\x1b[?2026l"


@dataclass
class Line:
    """A connection with a round trip and a bandwidth; no jitter, no loss."""

    rtt_s: float = 0.0
    bytes_per_s: float = float("inf")
    _free_at_s: float = 0.0

    def arrival_s(self, sent_s: float, size: int) -> float:
        """Return when output sent now is complete at the far end; a key took half a round trip to get here."""
        self._free_at_s = max(self._free_at_s, sent_s) + size / self.bytes_per_s
        return self._free_at_s + self.rtt_s


@dataclass
class Session:
    """A program under measurement. Use as a context manager."""

    argv: Sequence[str]
    columns: int = 120
    rows: int = 40
    env: Mapping[str, str] = field(default_factory=dict)
    line: Line = field(default_factory=Line)
    ignore_hang_up: bool = False

    def __post_init__(self) -> None:
        self.screen = pyte.Screen(self.columns, self.rows)
        self._stream = pyte.ByteStream(self.screen)
        self._pending = b""
        self._shown: dict[int, tuple[object, ...]] = {}
        self.received = bytearray()
        self.started_s = 0.0
        self.last_read_s = 0.0
        self.painted_s = 0.0
        """When the last visible change was complete at the operator's end."""
        self.pid = self._fd = -1
        self.exit_code: int | None = None

    def __enter__(self) -> Self:
        self.started_s = time.monotonic()
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            self._become_the_program()
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", self.rows, self.columns, 0, 0))
        self.attributes: list[Any] = termios.tcgetattr(self._fd)
        return self

    def __exit__(self, *_: object) -> None:
        if self.exit_code is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        self.hang_up()

    @property
    def text(self) -> str:
        """The screen as lines of text."""
        return "\n".join(self.screen.display)

    def pump(self, seconds: float) -> bool:
        """Take in what the program writes within the time; whether the visible screen changed."""
        end = time.monotonic() + seconds
        changed = False
        while self._fd >= 0 and (left := end - time.monotonic()) > 0:
            if not select.select([self._fd], [], [], left)[0]:
                break
            try:
                data = os.read(self._fd, 65_536)
            except OSError:  # EIO: the program has closed its side
                break
            changed = self._take(data, time.monotonic()) or changed
        return changed

    def wait_for(self, condition: Callable[[str], bool], limit_s: float = START_LIMIT_S) -> float:
        """Return the seconds from the start until the screen satisfied the condition.

        Raises:
            TimeoutError: it never did; the message holds the screen.
        """
        end = time.monotonic() + limit_s
        while time.monotonic() < end:
            if condition(self.text):
                return self.painted_s - self.started_s
            self._read_once(0.05)
            if self.exited():
                break
        raise TimeoutError(f"not shown within {limit_s} s (exit code {self.exit_code}):\n{self.text}")

    def settle(self, quiet_s: float = 0.3, limit_s: float = 5.0) -> None:
        """Wait until nothing has been written for a while."""
        end = time.monotonic() + limit_s
        while time.monotonic() < end and self._read_once(quiet_s) is not None:
            pass

    def key(self, key: str, limit_s: float = 3.0) -> tuple[float, int] | None:
        """Press a key; return seconds until the first visible change and the bytes it caused, or None without one."""
        before = len(self.received)
        sent_s = time.monotonic()
        self.type(key)
        first_s: float | None = None
        while time.monotonic() - sent_s < limit_s:
            changed = self._read_once(QUIET_S if first_s is not None else 0.01)
            if changed and first_s is None:
                first_s = self.painted_s
            elif changed is None and first_s is not None:
                return first_s - sent_s, len(self.received) - before
        return None

    def type(self, text: str) -> None:
        """Send keys."""
        os.write(self._fd, text.encode())

    def cpu_s(self) -> float:
        """Return the processor seconds used so far."""
        times = psutil.Process(self.pid).cpu_times()
        return float(times.user + times.system)

    def hang_up(self) -> None:
        """Close the terminal, as a dropped line does."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def exited(self) -> bool:
        """Whether the program has ended."""
        if self.exit_code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.exit_code = os.waitstatus_to_exitcode(status)
        return self.exit_code is not None

    def wait_exit(self, limit_s: float = 5.0) -> float | None:
        """Return the seconds until the end of the program, or None if it lives on."""
        began_s = time.monotonic()
        while time.monotonic() - began_s < limit_s:
            if self.exited():
                ended_s = time.monotonic()
                self.pump(0.05)
                return ended_s - began_s
            self._read_once(0.002)
            if self._fd < 0:
                time.sleep(0.002)
        return None

    def left_on(self) -> set[str]:
        """Return what the program left changed in the terminal."""
        left = leftovers(bytes(self.received))
        if self._fd >= 0 and termios.tcgetattr(self._fd) != self.attributes:
            left.add("line settings")
        return left

    def _become_the_program(self) -> None:
        if self.ignore_hang_up:
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
        environ = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor", "LANG": "C.UTF-8", **self.env}
        for name in ("NO_COLOR", "COLUMNS", "LINES"):
            environ.pop(name, None)
        os.execvpe(self.argv[0], list(self.argv), environ)  # noqa: S606  no shell

    def _read_once(self, patience_s: float) -> bool | None:
        """Read one piece; whether the screen changed, None if nothing came in time."""
        if self._fd < 0 or not select.select([self._fd], [], [], patience_s)[0]:
            return None
        try:
            data = os.read(self._fd, 65_536)
        except OSError:  # EIO: the program has closed its side
            return None
        return self._take(data, time.monotonic())

    def _take(self, data: bytes, read_s: float) -> bool:
        self.received += data
        self.last_read_s = read_s
        arrival_s = self.line.arrival_s(read_s, len(data))
        for mode in _MODE_QUERY.findall(data):
            self.type(f"\x1b[?{mode.decode()};{2 if mode == b'2026' else 0}$y")
        self._pending += data
        if self._pending.rfind(_SYNC_BEGIN) > self._pending.rfind(_SYNC_END):
            return False
        self._stream.feed(_PYTE_TROUBLE.sub(b"", self._pending))
        self._pending = b""
        if not self._differs():
            return False
        self.painted_s = arrival_s
        return True

    def _differs(self) -> bool:
        """Whether a cell's character or look is not what it was."""
        differs = False
        for y in self.screen.dirty:
            line = tuple(self.screen.buffer[y][x] for x in range(self.columns))
            if self._shown.get(y) != line:
                self._shown[y] = line
                differs = True
        self.screen.dirty.clear()
        return differs
