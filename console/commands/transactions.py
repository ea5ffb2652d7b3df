"""`watchfloor transactions import FILE` and `transactions list`."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import click

from console.client.api import Api
from console.client.imports.columns import ColumnError
from console.client.imports.readers import FileError, Format, ParquetMissing
from console.client.imports.upload import ImportOrder, ImportReport, Progress, import_file
from console.commands.base import Call, command, finish, glyph_set, paging
from console.commands.output import counted, instant, note, now_of, outside, table, wrapped
from console.commands.times import SINCE_HELP, instant_option
from console.widgets import words
from contract.errors import ExitCode
from contract.transactions import Outcome

REFUSED_SHOWN: Final = 20
"""Refused lines on the screen; --json has them all."""
_BAR_CELLS: Final = 30
_MEGABYTE: Final = 1_000_000


@click.group()
def transactions() -> None:
    """Trades that platforms have reported."""


def _pairs(_context: click.Context, option: click.Parameter, values: Sequence[str]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for value in values:
        left, equals, right = value.rpartition("=") if option.name == "columns" else value.partition("=")
        if not (left and equals and right):
            raise click.BadParameter(f"write it like {option.metavar}, not {value!r}.")
        if left in pairs:
            raise click.BadParameter(f"{left!r} is given twice.")
        pairs[left] = right
    return pairs


@transactions.command("import")
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@click.option(
    "--format",
    "form",
    type=click.Choice([f.value for f in Format]),
    default="auto",
    show_default=True,
    help="Its form.",
)
@click.option(
    "--map", "columns", metavar="COLUMN=FIELD", multiple=True, callback=_pairs, help="Read a column as this field."
)
@click.option(
    "--set", "constants", metavar="FIELD=VALUE", multiple=True, callback=_pairs, help="One value for all lines."
)
@click.option("--skip-bad", is_flag=True, help="Store the good lines although others are refused.")
@command("transactions.import")
def import_(
    call: Call, *, file: Path, form: str, columns: dict[str, str], constants: dict[str, str], skip_bad: bool
) -> None:
    """Import a file of trades: CSV, JSON Lines or Parquet; all of it or nothing.

    Columns are recognised by name. Blank amounts stay blank. A time needs a zone, unless its column is named or
    mapped as block_time_utc, or holds seconds or milliseconds since 1970. Importing a file again changes nothing.
    """
    order = ImportOrder(file, Format(form), columns, constants, skip_bad)
    try:
        with _progress_bar() as on_progress:
            report = call.ask(lambda api: _import(api, order, on_progress))
    except ParquetMissing:
        note("Reading Parquet needs a library that is not installed: pip install 'watchfloor[parquet]'")
        finish(ExitCode.CONFIGURATION)
        return
    except (FileError, ColumnError) as error:
        raise click.UsageError(" ".join(filter(None, (error.message, error.hint)))) from error
    body = {
        "file": file.name,
        "imported": report.imported,
        "unchanged": report.unchanged,
        "refused": [row.model_dump() for row in report.refused],
        "stored": report.stored,
        "ignored_columns": report.ignored_columns,
    }
    call.answer(body, lambda: _told(file, report))
    finish(ExitCode.OK if report.stored else ExitCode.CHECK_FAILED)


async def _import(api: Api, order: ImportOrder, on_progress: Callable[[Progress], None]) -> ImportReport:
    return await import_file(api, order, on_progress)


def _told(file: Path, report: ImportReport) -> list[str]:
    name = outside(file.name, 60)
    lines = []
    if report.ignored_columns:
        lines += wrapped(f"Columns left out: {', '.join(outside(c, 40) for c in report.ignored_columns[:20])}.", 0)
    lines += [f"  line {row.line:>6}: {outside(row.reason, 120)}" for row in report.refused[:REFUSED_SHOWN]]
    if len(report.refused) > REFUSED_SHOWN:
        lines.append(f"  … and {len(report.refused) - REFUSED_SHOWN:,} more; --json has all.")
    if not report.stored:
        refused = f"{counted(len(report.refused), 'line')} of {report.rows:,} refused"
        lines += wrapped(f"Nothing stored: {refused} in {name}. Correct them, or leave them out: --skip-bad", 0)
    else:
        taken = f"{counted(report.imported, 'trade')} imported, {report.unchanged:,} unchanged"
        lines += wrapped(f"{taken}, {len(report.refused):,} refused from {name}.", 0)
    return lines


@contextmanager
def _progress_bar() -> Iterator[Callable[[Progress], None]]:
    """A bar on a terminal's stderr; silence elsewhere. It leaves no trace."""
    if not sys.stderr.isatty():
        yield lambda _progress: None
        return
    try:
        yield _draw
    finally:
        sys.stderr.write("\r\x1b[K")
        sys.stderr.flush()


def _draw(progress: Progress) -> None:
    share = min(progress.done_bytes / max(progress.total_bytes, 1), 1.0)
    g = glyph_set()
    full = int(share * _BAR_CELLS)
    size = f"{progress.done_bytes / _MEGABYTE:.1f} of {progress.total_bytes / _MEGABYTE:.1f} MB"
    doing = "storing" if progress.committing else size
    sys.stderr.write(f"\r\x1b[K{g.full * full}{g.empty * (_BAR_CELLS - full)} {progress.rows:,} lines  {doing}")
    sys.stderr.flush()


@transactions.command("list")
@click.option("--chain", default="", metavar="NAME", help="Only this chain.")
@click.option("--strategy", default="", metavar="NAME", help="Only this strategy.")
@click.option("--wallet", default="", metavar="ADDRESS", help="Only this wallet.")
@click.option("--outcome", type=click.Choice([o.value for o in Outcome]), default=None, help="Only these.")
@click.option("--since", callback=instant_option, default="", metavar="TIME", help=SINCE_HELP)
@click.option("--until", callback=instant_option, default="", metavar="TIME", help="Only before this time.")
@paging
@command("transactions.list")
def list_transactions(call: Call, /, *, limit: int, cursor: str | None, **where: str | None) -> None:
    """Stored trades, newest block first."""
    names = {"since": "from", "until": "to"}
    wanted = {names.get(name, name): value for name, value in where.items() if value}
    page = call.ask(lambda api: api.transactions(limit=limit, cursor=cursor, **wanted))

    def lines() -> list[str]:
        if not page.items:
            return [f"No trades. As of {instant(now_of(page.as_of))}."]
        rows = [
            (
                f"{one.block_time:%Y-%m-%d %H:%M:%S}",
                outside(one.chain, 12),
                outside(one.strategy, 18),
                _outcome(one.outcome),
                words.eth(one.profit_eth, 6),
                words.eth(one.gas_cost_eth, 6),
                outside(one.tx_hash, 70),
            )
            for one in page.items
        ]
        return table(("time (UTC)", "chain", "strategy", "outcome", "profit", "gas", "hash"), rows, right=(4, 5))

    call.answer_page(page, lines)


def _outcome(outcome: Outcome) -> tuple[str, str]:
    g = glyph_set()
    match outcome:
        case Outcome.SUCCESS:
            return f"{g.ok} success", "ok"
        case Outcome.FAILED:
            return f"{g.bad} failed", "bad"
        case Outcome.UNKNOWN:
            return f"{g.unknown} unknown", "dim"
