"""`watchfloor audit export|import|follow|saved`: what leaves, what comes in, ways back to a search."""

import sys
from pathlib import Path
from typing import IO, Any, Final

import click

from console.client.api import Api
from console.client.exporting import export_to
from console.client.imports import foreign
from console.client.imports.foreign import ForeignFileError, Outcome
from console.commands.audit_filters import answer_entries, filters, search_all, wanted_of
from console.commands.base import Call, command, finish, paging
from console.commands.output import counted, outside, table, wrapped
from contract.audit import ExportFormat, ForeignSource, RelatedBy, SavedSearches
from contract.errors import ExitCode

REFUSED_SHOWN: Final = 20
"""Refused records on the screen; --json has them all."""
_STDOUT: Final = "-"


@click.command("follow")
@click.argument("ident", metavar="ID")
@click.option(
    "--by",
    type=click.Choice([by.value for by in RelatedBy]),
    default=RelatedBy.REQUEST.value,
    show_default=True,
    help="What the entries share.",
)
@paging
@command("audit.follow")
def follow(call: Call, ident: str, *, by: str, limit: int, cursor: str | None) -> None:
    """Everything that shares actor, request, resource or incident with an entry, newest first."""
    page = call.ask(
        lambda api: search_all(
            lambda at, rows: api.audit_related(ident, RelatedBy(by), limit=rows, cursor=at), cursor, limit
        )
    )
    answer_entries(call, page)


@click.command("saved")
@click.option("--delete", default="", metavar="NAME", help="Delete this one.")
@command("audit.saved")
def saved(call: Call, *, delete: str) -> None:
    """Your saved searches; `audit search --saved NAME` runs one."""
    if delete:
        call.ask(lambda api: api.forget_search(delete))
        call.answer({"deleted": delete}, lambda: [f"Deleted {outside(delete, 60)}."])
        return
    found = call.ask(lambda api: api.saved_searches())
    call.answer(found, lambda: _saved_lines(found))


def _saved_lines(found: SavedSearches) -> list[str]:
    if not found.items:
        return ["No saved searches. Save one: watchfloor audit search … --save NAME"]
    rows = [
        (outside(one.name, 24), outside(" ".join(f"{name}={value}" for name, value in one.filters.items()), 200))
        for one in found.items
    ]
    return table(("name", "search"), rows)


@click.command("export")
@filters
@click.option(
    "--format",
    "form",
    type=click.Choice([form.value for form in ExportFormat]),
    default=ExportFormat.JSONL.value,
    show_default=True,
    help="The form of the file.",
)
@click.option(
    "--out", required=True, metavar="FILE", help="Where to; - is stdout. A file is there whole or not at all."
)
@command("audit.export")
def export(call: Call, /, *, form: str, out: str, **where: Any) -> None:
    """Take every entry that matches out, newest first. Not for roles whose data export is disabled."""
    wanted = wanted_of(**where)
    if out == _STDOUT:
        call.ask(lambda api: _piped(api, form, wanted, sys.stdout.buffer))
        return
    try:
        size = call.ask(lambda api: export_to(api, form, wanted, Path(out)))
    except OSError as error:
        raise click.UsageError(f"Cannot write {outside(out, 200)}: {error.strerror}.") from error
    call.answer(
        {"file": out, "format": form, "bytes": size},
        lambda: wrapped(f"Exported {size:,} bytes of {form} to {outside(out, 200)}.", 0),
    )


async def _piped(api: Api, form: str, where: dict[str, str], file: IO[bytes]) -> None:
    async with api.export(form, where) as pieces:
        async for piece in pieces:
            file.write(piece)
    file.flush()


@click.command("import")
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.Path(path_type=Path))
@click.option(
    "--name", required=True, metavar="NAME", help="The log they go to, import:NAME; small letters and digits."
)
@click.option(
    "--source",
    type=click.Choice(["auto", *(source.value for source in ForeignSource)]),
    default="auto",
    show_default=True,
    help="What kind of log it is.",
)
@click.option(
    "--retention",
    metavar="CLASS",
    help="How long the log is kept, e.g. 7y or forever; the first import settles it. [default: what the policy says]",
)
@command("audit.import")
def import_(call: Call, *, files: tuple[Path, ...], name: str, source: str, retention: str | None) -> None:
    """Take foreign audit logs in: CloudTrail files, JSON arrays or JSON Lines, also gzipped.

    Folders are searched for .json, .jsonl and .gz files. Importing a file again changes nothing. Records that cannot
    be entries are named; exit code 1 says that there were some.
    """
    try:
        outcome = call.ask(lambda api: _import(api, _files(files), name, (source, retention)))
    except ForeignFileError as error:
        raise click.UsageError(str(error)) from error
    body = {
        "log": f"import:{name}",
        "retention": outcome.retention,
        "files": outcome.files,
        "records": outcome.records,
        "imported": outcome.imported,
        "unchanged": outcome.unchanged,
        "truncated": outcome.truncated,
        "refused": [{"file": file, **one.model_dump()} for file, one in outcome.refused],
    }
    call.answer(body, lambda: _told(name, outcome))
    finish(ExitCode.CHECK_FAILED if outcome.refused else ExitCode.OK)


def _files(named: tuple[Path, ...]) -> list[Path]:
    found: list[Path] = []
    for path in named:
        if path.is_dir():
            found += sorted(one for one in path.rglob("*") if one.suffix in {".json", ".jsonl", ".ndjson", ".gz"})
        else:
            found.append(path)
    if not found:
        raise ForeignFileError("There is no .json, .jsonl or .gz file in there.")
    return found


async def _import(api: Api, files: list[Path], name: str, wanted: tuple[str, str | None]) -> Outcome:
    outcome = Outcome()
    source, retention = wanted
    for path in files:
        records, refused = foreign.too_long(foreign.records_of(path))
        kind = foreign.source_of(records) if source == "auto" else ForeignSource(source)
        for chunk in foreign.chunks_of(path.name[-200:], kind, records):
            sent = chunk.model_copy(update={"retention": retention})
            outcome.add(path.name, len(sent.records), await api.import_audit(name, sent))
        outcome.refused += [(path.name, one) for one in refused]
        outcome.records += len(refused)
        outcome.files += 1
    return outcome


def _told(name: str, outcome: Outcome) -> list[str]:
    lines = [
        line
        for file, one in outcome.refused[:REFUSED_SHOWN]
        for line in wrapped(f"{outside(file, 60)} {one.line}: {outside(one.reason, 120)}", 2)
    ]
    if len(outcome.refused) > REFUSED_SHOWN:
        lines.append(f"  … and {len(outcome.refused) - REFUSED_SHOWN:,} more; --json has all.")
    cut = f", {outcome.truncated:,} too long to keep whole" if outcome.truncated else ""
    told = (
        f"{counted(outcome.imported, 'entry', 'entries')} imported into import:{name}, "
        f"{outcome.unchanged:,} unchanged, {len(outcome.refused):,} refused{cut}, "
        f"from {counted(outcome.files, 'file')}."
    )
    kept = f"It is kept {outside(outcome.retention, 20)}." if outcome.retention else ""
    return [*lines, *wrapped(f"{told} {kept}".strip(), 0)]


COMMANDS: Final[tuple[click.Command, ...]] = (follow, saved, export, import_)
"""What joins the group `audit`."""
