"""What the commands of `watchfloor user` share: a transaction, how a refusal ends, and what is printed."""

import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeVar

import click
from sqlalchemy.ext.asyncio import AsyncSession

from backend.auth import totp
from backend.auth.bootstrap import in_database
from backend.clock import SYSTEM_CLOCK
from backend.context import Caller, Runtime
from backend.errors import WatchfloorError
from backend.settings import Settings
from console.commands.output import colours_wanted, note, unicode_shown, write_whole_lines
from console.commands.qr import qr_lines
from contract.errors import EXIT_CODE

T = TypeVar("T")
_TRIES: Final = 3
"""A code changes while it is typed; who fails three times has scanned something else."""
_CLOCK_STEPS: Final = 1
"""How far the phone's clock may be off while it is tried out."""
_CODES_A_LINE: Final = 3

as_json_option = click.option("--json", "as_json", is_flag=True, help="Write one JSON object to stdout.")
unconfirmed_option = click.option(
    "--unconfirmed", is_flag=True, help="The holder is not here: do not ask for a first code of the authenticator."
)


class Refusal(click.ClickException):
    """A rule refused the change: one line, and the code every command uses for it."""

    def __init__(self, error: WatchfloorError, command: str) -> None:
        self._command = command
        super().__init__(f"{error.message} {error.hint}" if error.hint else error.message)
        self.exit_code = int(EXIT_CODE[error.code])  # type: ignore[misc]  # click reads the instance's

    def show(self, file: Any = None) -> None:  # noqa: ARG002  click's signature
        """Write the one line."""
        sys.stderr.write(f"watchfloor {self._command}: {self.message}\n")


def run_in_database(work: Callable[[AsyncSession, Runtime, Caller], Awaitable[T]], command: str = "user") -> T:
    """Do one unit of work beside the database; a refusal ends the command, by its name, with its code."""
    try:
        return in_database(Settings(), work)
    except WatchfloorError as error:
        raise Refusal(error, command) from error


def tried_out(name: str, *, wanted: bool) -> str | None:
    """A new authenticator's secret once its holder has typed a code of it; None where nobody is there to be asked."""
    if not (wanted and sys.stdin.isatty() and sys.stdout.isatty()):
        return None
    secret = totp.new_secret(SYSTEM_CLOCK.random_bytes(totp.SECRET_BYTES))
    show_authenticator(secret, totp.provisioning_uri(secret, name))
    for _ in range(_TRIES):
        typed: str = click.prompt("Code it shows now", err=True)
        if totp.matching_step(secret, typed, now=SYSTEM_CLOCK.now(), tolerance=_CLOCK_STEPS, after=0) is not None:
            return secret
        note("That code does not fit.")
    raise click.ClickException("Nothing was changed: the authenticator shows other codes. See that its clock is right.")


def show_authenticator(secret: str, uri: str) -> None:
    """Put a secret on the screen for an authenticator to scan, and in letters for one that cannot."""
    if sys.stdout.isatty() and unicode_shown() and colours_wanted(sys.stdout, os.environ):
        write_whole_lines(qr_lines(uri))
    write_whole_lines(totp_lines(secret, uri))


def totp_lines(secret: str, uri: str) -> list[str]:
    """A secret in letters."""
    return [f"TOTP       {secret}", f"           {uri}"]


def recovery_lines(codes: Sequence[str]) -> list[str]:
    """Recovery codes, a few a line."""
    rows = ["  ".join(codes[start : start + _CODES_A_LINE]) for start in range(0, len(codes), _CODES_A_LINE)]
    return [f"{'Recovery' if not index else '':<11}{row}" for index, row in enumerate(rows)]
