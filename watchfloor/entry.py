"""Owns the `watchfloor` command: which part of the product an invocation reaches, and that it reaches it fast.

Must import nothing heavy at module level: the console's first frame comes before everything else.
"""

import gc
import os
import sys

TYPE_CHECKING = False
"""What type checkers set, without importing it from `typing`: see `console.term.firstframe`."""

if TYPE_CHECKING:
    from typing import NoReturn

    from console.term.app import TerminalApp
    from console.term.firstframe import FirstFrame

EXIT_USAGE = 2
EXIT_CONFIGURATION = 3
_CONSOLE = "console"
_NEW_OBJECTS = 50_000
"""How many more objects than before call for a garbage collection; with Python's 700, imports take a fifth longer."""
_URL_VARIABLE = "WATCHFLOOR_URL"
_DEBUG_VARIABLE = "WATCHFLOOR_DEBUG"

_OPTIONS = ("--url", "--theme")
_PER_KEY = "--per-key"
_CONSOLE_USAGE = """\
Usage: watchfloor [console] [--url URL] [--theme auto|dark|light|terminal] [--per-key]

  Open the console. The server is --url, else WATCHFLOOR_URL, else the local one;
  the theme is --theme, else WATCHFLOOR_THEME, else what suits the terminal.
  With --per-key, on a bastion, every SSH key has its own session: docs/ssh.md.
"""
_SSH_VARIABLE = "SSH_CONNECTION"
_NO_TERMINAL = "the console needs a terminal; try `watchfloor status`."
_NO_TERMINAL_OVER_SSH = (
    "the console needs a terminal, and takes no command: connect with ssh -t and nothing behind the host."
)


def main() -> None:
    """Run the command line and exit with its code."""
    arguments = sys.argv[1:]
    if not arguments or arguments[0] == _CONSOLE:
        sys.exit(open_console(arguments[1:]))
    if arguments[0].partition("=")[0] in {*_OPTIONS, _PER_KEY}:
        sys.exit(open_console(arguments))
    gc.set_threshold(_NEW_OBJECTS)
    from watchfloor.commands import dispatch

    sys.exit(dispatch(arguments))


def open_console(arguments: list[str]) -> int:
    """Open the console and end with it, or return the exit code of what kept it from opening.

    The first frame is written before anything is imported for it.
    """
    if arguments[:1] in (["--help"], ["-h"]):
        sys.stdout.write(_CONSOLE_USAGE)
        return 0
    options = _options(arguments)
    if options is None:
        sys.stderr.write(_CONSOLE_USAGE)
        return EXIT_USAGE
    url = options.get("--url") or os.environ.get(_URL_VARIABLE, "")
    from console.term import firstframe

    if not firstframe.is_terminal():
        reason = _NO_TERMINAL_OVER_SSH if os.environ.get(_SSH_VARIABLE) else _NO_TERMINAL
        sys.stderr.write(f"watchfloor: {reason}\n")
        return EXIT_CONFIGURATION
    frame = firstframe.paint(url)
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "true")  # looking for some costs a scan of all packages
    try:
        if _PER_KEY in options:
            from console.client import per_key

            os.environ["XDG_STATE_HOME"] = per_key.state_home(os.environ)
        _run(url, options.get("--theme", "auto"), frame)
    except Exception as error:  # boundary: whatever fails, the terminal is usable and one line says what
        if frame is not None:
            frame.restore()
        if os.environ.get(_DEBUG_VARIABLE):
            raise
        sys.stderr.write(f"watchfloor: cannot open the console: {_one_line(error)}\n")
        return EXIT_CONFIGURATION


def _run(url: str, theme: str, frame: "FirstFrame | None") -> "NoReturn":
    from console.client import session
    from console.term import prefetch

    target, reason = session.resolve_or_why(os.environ, url or None)
    if target.token is not None:
        prefetch.start_prefetch(target.url, target.token)
    from console.term.run import run_console

    def build() -> "TerminalApp[None]":
        from console.app import create_app

        return create_app(target.url, target.token, os.environ, theme, reason=reason)

    run_console(build, frame)


def _options(arguments: list[str]) -> dict[str, str] | None:
    """Return the options given, or None if the arguments are not understood."""
    found: dict[str, str] = {}
    rest = list(arguments)
    while rest:
        name, equals, value = rest.pop(0).partition("=")
        if name == _PER_KEY and not equals and name not in found:
            found[name] = ""
            continue
        if name not in _OPTIONS or name in found or not (equals or rest):
            return None
        found[name] = value if equals else rest.pop(0)
    return found


def _one_line(error: Exception) -> str:
    from console.term.sanitize import clean

    return clean(str(error)) or type(error).__name__
