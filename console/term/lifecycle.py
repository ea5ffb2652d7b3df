"""Owns how the console ends: signals, a lost terminal, a dead parent, and a deadline on all of them.

Whatever happens the process is gone within half a second and the terminal is as it was. The console holds nothing that
must be saved: all state lives in the backend.
"""

import asyncio
import os
import select
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any, Final

from console.term.firstframe import restore_terminal

EXIT_DEADLINE_S: Final = 0.25
"""An orderly exit takes 50 to 150 ms; the promise is 500 ms."""

PARENT_VARIABLE: Final = "WATCHFLOOR_PARENT_PID"
"""Set by a supervisor that wants the console to end with it, even if it is killed."""

TERMINAL_POLL_S: Final = 1.0
"""How often a lost terminal is looked for when the input thread cannot see it."""

_EXIT_BY_SIGNAL: Final = 128
_STDIN: Final = 0


class Lifecycle:
    """Ends one application: politely first, by force at the deadline."""

    def __init__(self, attributes: list[Any] | None) -> None:
        self._attributes = attributes
        self._leave: Callable[[int], None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = threading.Lock()
        self.exit_code: int | None = None
        """The code asked for first; later requests do not change it."""

    def install(self) -> None:
        """Take over SIGTERM, SIGINT and SIGHUP; an ignored SIGHUP stays ignored, the lost terminal tells the same."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            if number == signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN:
                continue
            signal.signal(number, self._on_signal)

    def attach(self, loop: asyncio.AbstractEventLoop, leave: Callable[[int], None]) -> None:
        """Say how to end politely: `leave` is called in the loop with the exit code."""
        self._loop = loop
        self._leave = leave
        if self.exit_code is not None:
            loop.call_soon(leave, self.exit_code)
        self._watch_parent(loop)

    def watch_terminal(self) -> None:
        """Look for a lost terminal once a second; needed only where the input thread does not report it."""
        if self._loop is None:
            return
        if terminal_is_lost():
            self.terminal_lost()
        else:
            self._loop.call_later(TERMINAL_POLL_S, self.watch_terminal)

    def terminal_lost(self) -> None:
        """The terminal is gone (from any thread): end as after a hang-up."""
        self.request_exit(_EXIT_BY_SIGNAL + signal.SIGHUP)

    def request_exit(self, code: int) -> None:
        """End with this code: at once if possible, by force after `EXIT_DEADLINE_S`. Safe from any thread."""
        if not self.arm(code):
            return
        if self._loop is not None and self._leave is not None:
            try:
                self._loop.call_soon_threadsafe(self._leave, code)
            except RuntimeError:
                self.force()  # the loop is closed already

    def arm(self, code: int) -> bool:
        """Start the deadline; False if it is running already."""
        if not self._lock.acquire(blocking=False):
            return False
        self.exit_code = code
        timer = threading.Timer(EXIT_DEADLINE_S, self.force)
        timer.daemon = True
        timer.start()
        return True

    def force(self) -> None:
        """End now, without asking anybody."""
        restore_terminal(self._attributes)
        os._exit(self.exit_code or 0)

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        if self.exit_code is not None:
            self.force()
        self.request_exit(_EXIT_BY_SIGNAL + number)

    def _watch_parent(self, loop: asyncio.AbstractEventLoop) -> None:
        """Wait for the death of the supervisor on its pidfd: no polling, no race with a reused process id."""
        value = os.environ.get(PARENT_VARIABLE, "")
        if not value.isdigit():
            return
        parent = int(value)
        try:
            descriptor = os.pidfd_open(parent)
        except OSError:
            self._poll_parent(loop, parent)
            return
        if os.getppid() != parent:
            self.request_exit(_EXIT_BY_SIGNAL + signal.SIGHUP)
            return

        def on_parent_gone() -> None:
            loop.remove_reader(descriptor)
            self.request_exit(_EXIT_BY_SIGNAL + signal.SIGHUP)

        loop.add_reader(descriptor, on_parent_gone)

    def _poll_parent(self, loop: asyncio.AbstractEventLoop, parent: int) -> None:
        """The fall-back for kernels without pidfd."""
        if os.getppid() != parent:
            self.request_exit(_EXIT_BY_SIGNAL + signal.SIGHUP)
        else:
            loop.call_later(TERMINAL_POLL_S, self._poll_parent, loop, parent)


def terminal_is_lost(descriptor: int = _STDIN) -> bool:
    """Tell whether the other end of the terminal has hung up."""
    poller = select.poll()
    poller.register(descriptor, 0)
    return any(event & (select.POLLHUP | select.POLLERR | select.POLLNVAL) for _, event in poller.poll(0))
