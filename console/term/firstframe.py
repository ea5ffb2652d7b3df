"""Owns the first thing on the screen: a static frame written before anything heavy is imported.

Imports next to nothing: even `typing` would be a quarter of the time to the frame, so constants carry no `Final`. Must
restore the terminal itself until Textual takes it over.
"""

import os
import signal
import sys
import termios

TYPE_CHECKING = False
"""What type checkers set, without importing it from `typing`."""

if TYPE_CHECKING:
    from types import FrameType
    from typing import Any, NoReturn

ENTER = "\x1b[?1049h\x1b[?25l\x1b[?7l"
"""Alternate screen, no cursor, no automatic wrap: the state Textual wants, so that it need not switch again."""

LEAVE = (
    "\x1b\\\x1b[?2026l\x1b[?1000l\x1b[?1003l\x1b[?1015l\x1b[?1006l\x1b[?1016l\x1b[?2004l\x1b[?2048l\x1b[?1004l"
    "\x1b[<u\x1b[0m\x1b[?7h\x1b[?1049l\x1b[?25h"
)
"""Switches off everything that Textual or the first frame may have switched on; harmless where nothing is on."""

_STDIN = 0
_STDOUT = 1
_LFLAG = 3
_CC = 6
_FALLBACK_SIZE = (80, 24)
_MESSAGE_ROW = 3
_EXIT_BY_SIGNAL = 128


class FirstFrame:
    """The painted frame and what it takes to undo it."""

    def __init__(self, attributes: "list[Any]") -> None:
        self.attributes = attributes
        """The terminal's settings as the operator's shell left them."""
        self.adopted = False
        """True once Textual owns the screen."""

    def adopt(self) -> "list[Any]":
        """Hand the screen over and return the settings to restore at the end."""
        self.adopted = True
        return self.attributes

    def restore(self) -> None:
        """Put the terminal back as it was, if nobody has taken it over."""
        if not self.adopted:
            self.adopted = True
            restore_terminal(self.attributes)


def is_terminal() -> bool:
    """Tell whether both ends of the console are a terminal."""
    return os.isatty(_STDIN) and os.isatty(_STDOUT)


def paint(target: str = "") -> FirstFrame | None:
    """Write the static frame and return its undo, or None where no frame can be shown.

    Echo and line editing go off first: keys typed from now on are kept for the console and do not show. Ctrl-C still
    interrupts until Textual takes over. `target` is the address being connected to.
    """
    if not is_terminal() or os.environ.get("TERM", "dumb") == "dumb":
        return None
    try:
        attributes = termios.tcgetattr(_STDIN)
        columns, rows = os.get_terminal_size(_STDOUT)
    except (termios.error, OSError):
        return None
    if columns < 1 or rows < 1:
        columns, rows = _FALLBACK_SIZE
    frame = FirstFrame(attributes)
    _guard(frame)
    _quiet(attributes)
    _write_all(ENTER + _text(columns, rows, target))
    return frame


def restore_terminal(attributes: "list[Any] | None") -> None:
    """Switch everything off and reset the line settings; never raises, never blocks on a stalled terminal."""
    import contextlib
    import select

    try:
        if select.select([], [_STDOUT], [], 0)[1]:
            os.write(_STDOUT, LEAVE.encode())
    except (OSError, ValueError):
        pass  # the terminal is gone
    if attributes is not None:
        with contextlib.suppress(termios.error):  # the terminal is gone
            termios.tcsetattr(_STDIN, termios.TCSANOW, attributes)


def speaks_utf8() -> bool:
    """Tell whether the locale promises a terminal that shows more than ASCII."""
    environ = os.environ
    locale = environ.get("LC_ALL") or environ.get("LC_CTYPE") or environ.get("LANG") or ""
    return "UTF8" in locale.upper().replace("-", "") and environ.get("TERM") not in {"linux", "vt100", "vt220"}


def _guard(frame: FirstFrame) -> None:
    """Until the console has its own handlers, a signal restores the terminal and ends the process."""

    def leave(number: int, _: "FrameType | None") -> "NoReturn":
        frame.restore()
        os._exit(_EXIT_BY_SIGNAL + number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, leave)
    signal.signal(signal.SIGTSTP, signal.SIG_IGN)


def _quiet(attributes: "list[Any]") -> None:
    changed = [*attributes[:_CC], list(attributes[_CC])]
    changed[_LFLAG] &= ~(termios.ECHO | termios.ICANON | termios.IEXTEN)
    changed[_CC][termios.VMIN] = 1
    changed[_CC][termios.VTIME] = 0
    termios.tcsetattr(_STDIN, termios.TCSANOW, changed)


def _text(columns: int, rows: int, target: str) -> str:
    dots = "…" if speaks_utf8() else "..."
    where = "".join(char for char in target if " " < char <= "~")
    message = f"Connecting to {where} {dots}" if where else f"Connecting {dots}"
    title = " WATCHFLOOR"[:columns]
    state = f"connecting{dots} "
    lines = [f"\x1b[H\x1b[2J\x1b[1m{title}\x1b[0m"]
    if columns > len(title) + len(state):
        lines.append(f"\x1b[1;{columns - len(state) + 1}H{state}")
    if rows > _MESSAGE_ROW:
        lines.append(f"\x1b[{_MESSAGE_ROW};2H{message[: columns - 1]}")
        lines.append(f"\x1b[{rows};2H{'? help  q quit'[: columns - 1]}")
    return "".join(lines)


def _write_all(text: str) -> None:
    sys.stdout.flush()
    data = text.encode("utf-8" if speaks_utf8() else "ascii", "replace")
    while data:
        data = data[os.write(_STDOUT, data) :]
