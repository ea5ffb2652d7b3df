"""Owns Textual's driver for the console: takes over the first frame, ends at once, survives a lost terminal.

Differs from Textual's own driver in what it waits for, not in what it writes.
"""

import contextlib
import os
import select
import signal
import sys
import termios
from codecs import getincrementaldecoder
from collections.abc import Callable
from dataclasses import dataclass
from io import TextIOWrapper
from typing import Any, Final, TextIO, cast

from textual._xterm_parser import XTermParser
from textual.app import App
from textual.drivers.linux_driver import LinuxDriver

from console.term.firstframe import FirstFrame

_ALTERNATE_SCREEN: Final = "\x1b[?1049h"
_READ_BYTES: Final = 4096
_ESCAPE_POLL_MS: Final = 10


def _nothing() -> None:
    """The callback of somebody who does not listen."""


class _TerminalFile:
    """The terminal as a file that never fails: what cannot be written is dropped, and said once."""

    def __init__(self, file: TextIO, on_lost: Callable[[], None]) -> None:
        self._file = file
        self._on_lost = on_lost
        self._lost = False

    def write(self, text: str) -> None:
        """Write the text, or drop it."""
        self._attempt(lambda: self._file.write(text))

    def flush(self) -> None:
        """Send what was written."""
        self._attempt(self._file.flush)

    def fileno(self) -> int:
        """Return the descriptor of the terminal."""
        return self._file.fileno()

    def _attempt(self, action: Callable[[], object]) -> None:
        if self._lost:
            return
        try:
            action()
        except (OSError, ValueError):
            self._lost = True
            self._on_lost()


@dataclass
class TerminalLink:
    """What the driver takes from its application and whom it tells; an application has it as `terminal_link`."""

    first_frame: FirstFrame | None = None
    """Taken over by the first start."""
    on_lost: Callable[[], None] = _nothing
    """Called once when the terminal is gone, from any thread."""
    on_start: Callable[[], None] = _nothing
    """Called whenever the screen was switched to: what it shows is unknown."""


class ConsoleDriver(LinuxDriver):
    """Reads keys without polling, reports a lost terminal, and does not switch screens twice."""

    def __init__(
        self, app: App[Any], *, debug: bool = False, mouse: bool = True, size: tuple[int, int] | None = None
    ) -> None:
        super().__init__(app, debug=debug, mouse=mouse, size=size)
        self._link: TerminalLink = getattr(app, "terminal_link", None) or TerminalLink()
        # Standard output, not error: a redirected error log must not swallow the screen.
        self._file = cast("TextIOWrapper", _TerminalFile(sys.__stdout__ or sys.stdout, self._link.on_lost))
        self._wake: tuple[int, int] | None = None
        self._skip_alternate = False
        self._keeps_typed = False

    def start_application_mode(self) -> None:
        """Switch to the application's screen, or adopt the first frame's."""
        frame, self._link.first_frame = self._link.first_frame, None
        self._skip_alternate = frame is not None
        self._wake = os.pipe()
        super().start_application_mode()  # type: ignore[no-untyped-call]  # Textual leaves it bare
        if frame is not None:
            self.attrs_before = frame.adopt()
        self._link.on_start()

    def resume_application_mode(self) -> None:
        """Start again after a stop; after an unannounced one (SIGSTOP) the old threads still run: end them first."""
        if self._wake is not None:
            self._keeps_typed = True
            self.suspend_application_mode()
            self._keeps_typed = False
        super().resume_application_mode()

    def write(self, data: str) -> None:
        """Queue data for the terminal."""
        if self._skip_alternate and data == _ALTERNATE_SCREEN:
            self._skip_alternate = False
            return
        super().write(data)

    def disable_input(self) -> None:
        """End the input thread now instead of at its next poll; what was typed for a program that ends is dropped.

        Replaces Textual's, which always drops it: after an unannounced stop those are keys meant for the console.
        """
        wake, self._wake = self._wake, None
        if wake is None:
            return
        signal.signal(signal.SIGWINCH, signal.SIG_DFL)
        self._disable_mouse_support()
        os.write(wake[1], b"x")
        if self._key_thread is not None:
            self._key_thread.join()
        os.close(wake[0])
        os.close(wake[1])
        if not self._keeps_typed:
            with contextlib.suppress(termios.error):
                termios.tcflush(self.fileno, termios.TCIFLUSH)

    def stop_application_mode(self) -> None:
        """Restore the terminal, with the one mode that Textual forgets."""
        if self._mouse_pixels:
            self.write("\x1b[?1016l")
        super().stop_application_mode()

    def run_input_thread(self) -> None:
        """Wait for input and dispatch it; sleeps until there is some, except within an escape sequence."""
        if self._wake is None:
            return
        wake = self._wake[0]
        poller = select.poll()
        poller.register(self.fileno, select.POLLIN)
        poller.register(wake, select.POLLIN)
        parser = XTermParser(self._debug)
        decode = getincrementaldecoder("utf-8")(errors="replace").decode
        while True:
            ready = dict(poller.poll(self._patience_ms(parser)))
            if wake in ready:
                return
            if self.fileno in ready:
                data = self._read()
                if not data:
                    self._link.on_lost()
                    return
                self._dispatch(parser, decode(data))
            for event in parser.tick():
                self.process_message(event)

    def _read(self) -> bytes:
        try:
            return os.read(self.fileno, _READ_BYTES)
        except OSError:
            return b""  # EIO: the other end is gone

    def _dispatch(self, parser: XTermParser, text: str) -> None:
        if text:  # an empty text, as from half a character, would end the parser
            for event in parser.feed(text):
                self.process_message(event)

    @staticmethod
    def _patience_ms(parser: XTermParser) -> int | None:
        """Return how long to wait for input: for ever, unless the parser must decide about a lone escape."""
        return None if parser._timeout_time is None else _ESCAPE_POLL_MS  # noqa: SLF001  the parser has no accessor
