"""`watchfloor backup`: takes backups of the database, and restores them into a scratch server to compare them."""

import signal
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Any

import click

from backend.settings import Settings
from console.commands.output import outside, wrapped, write_json, write_lines
from contract.errors import ExitCode
from watchfloor.backup.restoring import Outcome, restore_test
from watchfloor.backup.taking import Taken, take
from watchfloor.backup.tools import BackupFailedError

_KINDS = click.Choice(["pg_dump", "pg_basebackup"])


@click.group()
def command() -> None:
    """Take backups of the database, and see whether they restore."""


@command.command("take")
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False))
@click.option("--kind", type=_KINDS, default="pg_dump", show_default=True, help="How it is taken.")
@click.option("--json", "as_json", is_flag=True, help="Write one JSON object to stdout.")
def take_backup(directory: Path, *, kind: str, as_json: bool) -> int:
    """Take a backup of the database of WATCHFLOOR_DATABASE_URL into DIRECTORY.

    Beside it is written what it holds: rows of every table, the ledger's heads, hashes of its files.
    """
    url = Settings().database_url.replace("postgresql+psycopg://", "postgresql://", 1)  # comes from the environment
    try:
        taken = take(url, directory.resolve(), kind)
    except BackupFailedError as error:
        sys.stderr.write(f"watchfloor backup take: {outside(str(error), 500)}\n")
        return ExitCode.CHECK_FAILED
    if as_json:
        write_json("backup.take", {"path": str(taken.path), "manifest": taken.manifest.model_dump(mode="json")})
    else:
        write_lines(_taken(taken))
    return ExitCode.OK


def _taken(taken: Taken) -> list[str]:
    rows = sum(taken.manifest.tables.values())
    entries = sum(head.size for head in taken.manifest.heads)
    return [
        f"{taken.path}",
        f"  {len(taken.manifest.tables):,} tables, {rows:,} rows, {entries:,} entries of the ledger",
    ]


@command.command("restore-test")
@click.argument("place", type=click.Path(path_type=Path, exists=True))
@click.option("--kind", type=_KINDS, help="Only backups of this kind; else of either.")
@click.option(
    "--scratch", type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Where the scratch server's files are put, else the temporary directory; for root a place that the server's"
    " account can reach, if this is none.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Write one JSON object to stdout.")
def restore_backup(place: Path, *, kind: str | None, scratch: Path | None, as_json: bool) -> int:
    """Restore the newest backup at PLACE into a scratch server, and compare it with its manifest.

    PLACE is a backup, or a directory of some. No server in use is touched. Exit code 1: it does not restore, does not
    hold what it should, or nothing says what it should hold.
    """
    signal.signal(signal.SIGTERM, _end)
    outcome = restore_test(place, kind, (scratch or Path(tempfile.gettempdir())).resolve())
    if as_json:
        write_json("backup.restore_test", asdict(outcome))
    else:
        write_lines(_lines(outcome))
    return ExitCode.OK if outcome.ok else ExitCode.CHECK_FAILED


def _end(_number: int, _frame: FrameType | None) -> Any:
    """Stop the scratch server and remove its files, as at Ctrl-C."""
    raise KeyboardInterrupt


def _lines(outcome: Outcome) -> list[str]:
    word = {True: "ok", False: "FAILED", None: "not compared"}[outcome.ok]
    return [f"{word}  {outside(outcome.name, 200)}", *wrapped(outside(outcome.found, 1000), 2)]
