"""Owns the list of all commands and finds the module of each; imports none until it is called.

Server commands live here: one module each, whose `command` (click) is run by `run_server_command`. All others belong to
`console.cli`.
"""

import os
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pydantic import ValidationError

SERVER_COMMANDS: Final = {
    "demo": "Run everything on this machine: database, backend, simulated executors, console.",
    "serve": "Run the backend on the database of WATCHFLOOR_DATABASE_URL.",
    "migrate": "Bring that database to the current schema.",
    "backup": "Take a backup of that database, or restore one into a scratch server and compare it.",
    "user": "Add or disable accounts, directly in the database.",
    "keys": "Replace the key that signs session tokens, directly in the database.",
    "policy": "Check or show the compliance policy.",
    "ledger": "Let the audit ledger continue after a restore: two people, beside the database.",
    "signer": "Sign the audit ledger's heads, apart from the database.",
    "gate": "Ask for permits, or check them, for bots and signers in other languages.",
    "witness": "Witness the heads of a ledger that runs elsewhere.",
    "watch": "Look, as a second source, at what executors do while they should be halted.",
    "pair": "Run a primary and a standby of PostgreSQL on this machine, to try failovers on.",
    "adapter": "Stop, under a freeze, what has no gate of its own.",
}
"""Name → what it does. The module is `watchfloor.commands.<name>`."""
WITHOUT_BACKEND: Final[dict[tuple[str, ...], str]] = {("audit", "archive", "read"): "archive"}
"""Parts of the console's commands that need what only the server's side has; the module is found as above."""

CONSOLE_SUMMARY: Final = "Open the console (also: no command at all)."
EXIT_USAGE: Final = 2
EXIT_CONFIGURATION: Final = 3
_EXIT_FAULT: Final = 1
_DEBUG_VARIABLE: Final = "WATCHFLOOR_DEBUG"
_EXIT_INTERRUPTED: Final = 130
_SUGGESTIONS: Final = 2
_CLOSE: Final = 0.65
"""Share of letters in common; with less, a short name is suggested for every long one."""


def dispatch(arguments: list[str]) -> int:
    """Run one command other than the console and return its exit code."""
    name, *rest = arguments
    if name in {"--help", "-h", "help"}:
        sys.stdout.write(overview())
        return 0
    if name == "--version":
        from contract.version import __version__

        sys.stdout.write(f"watchfloor {__version__}\n")
        return 0
    apart = WITHOUT_BACKEND.get(tuple(arguments[:3]))
    if apart is not None:
        return run_server_command(apart, arguments[3:], " ".join(arguments[:3]))
    if name in SERVER_COMMANDS:
        return run_server_command(name, rest)
    from console import cli

    if name in cli.COMMANDS:
        return cli.main(arguments)
    sys.stderr.write(_unknown(name))
    return EXIT_USAGE


def summaries() -> dict[str, str]:
    """Return every command and what it does."""
    from console import cli

    return {"console": CONSOLE_SUMMARY, **SERVER_COMMANDS, **cli.COMMANDS}


def overview() -> str:
    """Return the help of the whole command line."""
    commands = summaries()
    width = max(len(name) for name in commands)
    lines = [f"  {name.ljust(width)}  {summary}" for name, summary in commands.items()]
    head = "Usage: watchfloor [COMMAND] [OPTIONS]\n\n  The operations console for automated trading.\n\nCommands:\n"
    tail = "\nEvery command has --help. Without a command the console opens.\n"
    return head + "\n".join(lines) + "\n" + tail


def run_server_command(name: str, arguments: list[str], shown: str | None = None) -> int:
    """Run a command that works on this machine's database or processes; a wrong set-up is one line and exit code 3.

    `shown` is what the person typed, where that is not the module's name.
    """
    shown = shown or name
    from importlib import import_module

    import click
    from pydantic import ValidationError

    from backend.errors import ConfigurationError

    command: click.Command = import_module(f"watchfloor.commands.{name}").command
    try:
        result = command.main(arguments, prog_name=f"watchfloor {shown}", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return _EXIT_INTERRUPTED
    except ConfigurationError as error:
        sys.stderr.write(f"watchfloor {shown}: {_one_line(error)}\n")
        return EXIT_CONFIGURATION
    except ValidationError as error:
        sys.stderr.writelines(f"watchfloor {shown}: {line}\n" for line in _setting_mistakes(error))
        return EXIT_CONFIGURATION
    except Exception as error:  # boundary of the server commands: a fault of ours is told in one line
        if os.environ.get(_DEBUG_VARIABLE):
            raise
        sys.stderr.write(f"watchfloor {shown}: unexpected: {_one_line(error)} (WATCHFLOOR_DEBUG=1 shows where)\n")
        return _EXIT_FAULT
    return result if isinstance(result, int) else 0


def _one_line(error: Exception) -> str:
    from console.term.sanitize import clean

    return clean(str(error)) or type(error).__name__


def _setting_mistakes(error: "ValidationError") -> list[str]:
    """Return one line per wrong setting, named as the operator sets it; values stay out, they may be secret."""
    lines = []
    for mistake in error.errors(include_url=False, include_input=False):
        setting = f"WATCHFLOOR_{'_'.join(str(part) for part in mistake['loc'])}".upper()
        reason = "is not set" if mistake["type"] == "missing" else f"is wrong: {mistake['msg']}"
        lines.append(f"{setting} {reason}.")
    return lines


def _unknown(name: str) -> str:
    from difflib import get_close_matches

    from console.term.sanitize import clean

    close = get_close_matches(name, summaries(), n=_SUGGESTIONS, cutoff=_CLOSE)
    hint = f"Did you mean {' or '.join(f'`{match}`' for match in close)}?" if close else "See `watchfloor --help`."
    return f"watchfloor: no command {clean(name, limit=40)!r}. {hint}\n"
