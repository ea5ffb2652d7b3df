"""`watchfloor ledger`: acts on the audit ledger that need the database and two people, not a running backend."""

import sys
from typing import Any

import click
from sqlalchemy.ext.asyncio import AsyncSession

from backend.audit.heads.rollback import SMALLER
from backend.audit.restore import Lost, Restored, restore
from backend.audit.rotating import rotate
from backend.auth.bootstrap import in_database, in_runtime
from backend.auth.confirming import confirm
from backend.context import Caller, Runtime
from backend.errors import WatchfloorError
from backend.settings import Settings
from console.commands.output import write_json, write_lines
from contract.errors import EXIT_CODE
from contract.permissions import Permission

_MAY = Permission.APPROVE_THAW
"""Whoever may let trading start again may let the ledger continue."""


class _Refusal(click.ClickException):
    """A rule refused: one line, and the code every command uses for it."""

    def __init__(self, error: WatchfloorError) -> None:
        super().__init__(error.message)
        self.exit_code = int(EXIT_CODE[error.code])  # type: ignore[misc]  # click reads the instance's

    def show(self, file: Any = None) -> None:  # noqa: ARG002  click's signature
        """Write the one line."""
        sys.stderr.write(f"watchfloor ledger: {self.message}\n")


@click.group()
def command() -> None:
    """Work on the audit ledger, beside the database of WATCHFLOOR_DATABASE_URL."""


@command.command("restore")
@click.option("--reason", required=True, help="What happened, and why it is right to go on.")
@click.option("--requested-by", required=True, metavar="NAME", help="Who asks for it.")
@click.option("--approved-by", required=True, metavar="NAME", help="Who else has looked, and agrees.")
@click.option("--json", "as_json", is_flag=True, help="Write one JSON object to stdout.")
def restore_ledger(*, reason: str, requested_by: str, approved_by: str, as_json: bool) -> None:
    """Let the ledger continue after a restore, under a new origin.

    For a database that is smaller or other than a head that the signer or a witness holds (alert LEDGER_FAULT).
    What was lost stays on record with both names. Both people may approve thaws, and give a one-time code each.
    """
    codes = [click.prompt(f"One-time code of {name}", err=True) for name in (requested_by, approved_by)]

    async def work(session: AsyncSession, runtime: Runtime, _caller: Caller) -> Restored:
        names = [
            await confirm(session, runtime, name, code, _MAY)
            for name, code in zip((requested_by, approved_by), codes, strict=True)
        ]
        return await restore(session, runtime, reason=reason, requested_by=names[0], approved_by=names[1])

    try:
        done = in_database(Settings(), work)
    except WatchfloorError as error:
        raise _Refusal(error) from error
    if as_json:
        lost = [
            {"log": one.log, "kind": one.kind, "present": one.present, "witnessed": one.witnessed_size}
            for one in done.lost
        ]
        write_json("ledger.restore", {"generation": done.generation, "lost": lost})
        return
    write_lines([f"The ledger continues under generation {done.generation}.", *map(_line, done.lost)])


@command.command("rotate-master-key")
@click.option("--json", "as_json", is_flag=True, help="Write one JSON object to stdout.")
def rotate_master_key(*, as_json: bool) -> None:
    """Replace the master key and wrap every data key under the new one.

    Nothing is encrypted again, and backends that share the key file run on. Stop those of other hosts, and copy the
    file to them afterwards. Safe to repeat.
    """
    done = in_runtime(Settings(), rotate)
    if as_json:
        write_json("ledger.rotate_master_key", {"old": done.old, "new": done.new, "rewrapped": done.rewrapped})
        return
    write_lines([f"Master key {done.new} replaces {done.old}; {done.rewrapped:,} data keys are under it."])


def _line(one: Lost) -> str:
    if one.kind == SMALLER:
        return f"  {one.log}: {one.witnessed_size - one.present:,} witnessed entries are gone"
    return f"  {one.log}: is another log than the one of {one.witnessed_size:,} entries that was witnessed"
