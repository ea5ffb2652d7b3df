"""Owns the commands that speak to a backend: which there are, and how every one of them ends.

Imports nothing heavy until a command is called. `main` is the one place where a failure becomes a sentence on stderr
and an exit code; no traceback reaches the person unless WATCHFLOOR_DEBUG is set.
"""

import os
import sys
from io import TextIOWrapper
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import click
    from pydantic import ValidationError

COMMANDS: Final = {
    "login": "Sign in and keep the session.",
    "logout": "End the session.",
    "whoami": "Who the session belongs to and what it may do.",
    "usb-key": "Make a hardware key on USB, for where the console is local.",
    "status": "One glance: alerts, freezes, executors, age of the last assessment.",
    "risk": "Where the floor stands against the policy's limits.",
    "alerts": "List, show, acknowledge, assign, escalate and silence alerts.",
    "silences": "List, show and end silences.",
    "incidents": "Declare incidents, keep their record, see what is left to do and how long things took.",
    "postmortem": "Write post-mortems together, have them approved by somebody else.",
    "notifications": "Where people are told outside the console, and what was sent; tests.",
    "freeze": "Stop trading in a scope, now.",
    "freezes": "List, show and watch freezes.",
    "thaw": "Ask for a freeze to be lifted, or approve it as the second person.",
    "executors": "List the trading bots.",
    "transactions": "Import and list trades.",
    "audit": "Search the audit log.",
    "privacy": "Erase a person, by two people; legal holds.",
    "access": "Access windows and access reviews.",
    "elevation": "Ask for permissions for a time, or grant them as the second person.",
    "changes": "Deploys: list them, and record one.",
    "token": "Issue, rotate, revoke and list the tokens of machines.",
    "sessions": "Who is signed in: list, end and unlock.",
    "drill": "Recovery drills: fail the database over, measure, fail back; reports and their sign-off.",
    "cluster": "Who is primary of the database's cluster, and who follows.",
    "backups": "The backup matrix: which there are, how old, and whether they restore.",
    "compliance": "What the compliance document's dashboard shows.",
}
"""Name → what it does."""

_MODULES: Final = {
    "login": "signin",
    "logout": "signin",
    "whoami": "signin",
    "status": "overview",
    "freeze": "freezes",
    "thaw": "freezes",
    "compliance": "risk",
    "usb-key": "usb_key",
}
"""Where a command is not in the module of its own name."""
_EXIT_INTERRUPTED: Final = 130
_EXIT_BROKEN_PIPE: Final = 141
"""What a shell reports for a program that its reader cut off."""
_DEBUG_VARIABLE: Final = "WATCHFLOOR_DEBUG"


def main(arguments: list[str]) -> int:
    """Run one command and return its exit code."""
    try:
        return _run(arguments)
    except BrokenPipeError:
        # the reader has gone; nothing more may be written, not even by the interpreter's last flush
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _EXIT_BROKEN_PIPE
    except KeyboardInterrupt:
        return _EXIT_INTERRUPTED


def _run(arguments: list[str]) -> int:
    name, *rest = arguments
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")
    if name == "status":
        from console.commands import status

        if status.quick(rest):
            return 0
    code = _ended(name, rest)
    sys.stdout.flush()
    return code


def load(name: str) -> "click.Command":
    """The click command of a name in `COMMANDS`."""
    from importlib import import_module

    module = import_module(f"console.commands.{_MODULES.get(name, name)}")
    found: click.Command = getattr(module, name.replace("-", "_"))
    return found


def _ended(name: str, arguments: list[str]) -> int:
    """Boundary of every command: whatever happens becomes a sentence and an exit code."""
    import click
    from pydantic import ValidationError

    from console.client.errors import ClientError
    from console.client.session import SessionError
    from contract.errors import ExitCode

    code: int = ExitCode.OK
    try:
        # not click's own `main`: it answers a broken pipe and Ctrl-C in its own way
        command = load(name)
        with command.make_context(f"watchfloor {name}", arguments) as context:
            command.invoke(context)
    except click.exceptions.Exit as end:
        code = end.exit_code
    except click.UsageError as error:
        _show_usage(error)
        code = ExitCode.USAGE
    except click.exceptions.Abort:
        code = _EXIT_INTERRUPTED
    except ClientError as error:
        _say(error.message, _sign_in_hint(error) or error.hint)
        code = error.exit_code
    except SessionError as error:
        _say(error.message, error.hint)
        code = ExitCode.CONFIGURATION
    except ValidationError as error:
        _say(_mistake(error), None)
        code = ExitCode.USAGE
    except BrokenPipeError:
        raise
    except Exception as error:  # boundary of the command line: a fault of ours is told in one line
        if os.environ.get(_DEBUG_VARIABLE):
            raise
        _say(f"Unexpected: {type(error).__name__}: {error}", f"Set {_DEBUG_VARIABLE}=1 to see where.")
        code = ExitCode.CHECK_FAILED
    return code


def _say(message: str, hint: str | None) -> None:
    from console.term.sanitize import clean

    sys.stderr.write(f"watchfloor: {clean(message)}\n")
    if hint:
        sys.stderr.write(f"  {clean(hint)}\n")


def _show_usage(error: "click.UsageError") -> None:
    import click

    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()
        return
    where = error.ctx.command_path if error.ctx else "watchfloor"
    _say(error.format_message(), f"See `{where} --help`.")


def _sign_in_hint(error: Exception) -> str | None:
    from contract.errors import ErrorCode

    signed_out = getattr(error, "code", None) is ErrorCode.NOT_AUTHENTICATED
    return "Sign in: watchfloor login --user NAME" if signed_out else None


def _mistake(error: "ValidationError") -> str:
    """The first wrong argument; its value stays out, it may be a password."""
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    return f"{where}: {str(first['msg']).removeprefix('Value error, ')}"
