"""A terminal for tests: runs a real program in a pty and shows what a person would see (pyte). Owns no assertion."""

import fcntl
import os
import pty
import select
import signal
import struct
import termios
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import pyte

KEYS = {
    "enter": "\r",
    "esc": "\x1b",
    "tab": "\t",
    "up": "\x1b[A",
    "down": "\x1b[B",
    "ctrl+c": "\x03",
    "backspace": "\x7f",
}
_PATIENCE_S = 30.0
"""How long a wait lasts before the test fails: far above anything normal, so that a busy machine does not fail it."""
_SLICE_S = 0.05


class TimedOutError(AssertionError):
    """The screen never showed what was waited for; the message holds the last screen."""


@dataclass
class Terminal:
    """One program in one pty of a given size. Use as a context manager: it is ended with the test."""

    argv: list[str]
    env: Mapping[str, str] = field(default_factory=dict)
    columns: int = 80
    rows: int = 24
    cwd: str | None = None

    def __post_init__(self) -> None:
        self.screen = pyte.Screen(self.columns, self.rows)
        self._stream = pyte.ByteStream(self.screen)
        self.received = bytearray()
        self.pid = 0
        self._fd = -1
        self._status: int | None = None

    def __enter__(self) -> Self:
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            if self.cwd:
                os.chdir(self.cwd)
            environment = {**os.environ, "TERM": "xterm-256color", "LANG": "C.UTF-8", **self.env}
            os.execvpe(self.argv[0], self.argv, environment)  # noqa: S606  no shell
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", self.rows, self.columns, 0, 0))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._status is None:
            os.kill(self.pid, signal.SIGKILL)
            self.wait_exit()
        self.hang_up()

    @property
    def text(self) -> str:
        """The screen as lines of text."""
        return "\n".join(line.rstrip() for line in self.screen.display)

    def hang_up(self) -> None:
        """Close the terminal, as a dropped line does."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def pump(self, seconds: float = _SLICE_S) -> None:
        """Read what the program wrote for up to `seconds`."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and self._fd >= 0:
            ready, _, _ = select.select([self._fd], [], [], left)
            if not ready:
                return
            try:
                data = os.read(self._fd, 65536)
            except OSError:  # Linux answers EIO once the program has closed its side
                return
            if not data:
                return
            self.received += data
            self._stream.feed(data)

    def wait_for(self, *needles: str, gone: str | None = None, patience_s: float = _PATIENCE_S) -> str:
        """Wait until the screen shows every needle (and no longer shows `gone`)."""
        return self.wait_until(
            lambda text: all(needle in text for needle in needles) and (gone is None or gone not in text),
            f"{needles!r}" + (f" without {gone!r}" if gone else ""),
            patience_s=patience_s,
        )

    def wait_until(self, condition: Callable[[str], bool], what: str, *, patience_s: float = _PATIENCE_S) -> str:
        """Wait until a condition on the screen's text holds."""
        end = time.monotonic() + patience_s
        while time.monotonic() < end:
            self.pump()
            if condition(self.text):
                return self.text
            if self.exited():
                raise TimedOutError(f"the program ended ({self._status}) before the screen showed {what}:\n{self.text}")
        raise TimedOutError(f"the screen never showed {what}; it shows:\n{self.text}")

    def type(self, text: str) -> None:
        """Type text as a person would: one write."""
        os.write(self._fd, text.encode())

    def press(self, *keys: str) -> None:
        """Press keys by name, or single characters, with a breath between them so that each is seen."""
        for key in keys:
            self.type(KEYS.get(key, key))
            self.pump(0.05)

    def settle(self, seconds: float) -> None:
        """Let time pass while reading what the program writes, as a person who looks before typing."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.pump()

    def exited(self) -> bool:
        """Whether the program has ended."""
        if self._status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._status = status
        return self._status is not None

    def wait_exit(self, patience_s: float = _PATIENCE_S) -> int:
        """Wait for the end; the exit code, or 128 + signal."""
        end = time.monotonic() + patience_s
        while not self.exited():
            if time.monotonic() > end:
                raise TimedOutError(f"the program did not end; the screen shows:\n{self.text}")
            self.pump()
        assert self._status is not None
        code = os.waitstatus_to_exitcode(self._status)
        return code if code >= 0 else 128 - code
