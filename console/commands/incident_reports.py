"""`watchfloor incidents export|import|reports`: incidents as files, and reports that were written elsewhere."""

import sys
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final, NamedTuple

import click

from console.client import postmortems as client
from console.client.api import Api
from console.client.errors import ApiError
from console.commands.base import Call, command, finish, paging, write_new
from console.commands.output import counted, note, outside, table, write_whole_lines
from console.term.sanitize import clean
from contract.errors import ErrorCode, ExitCode
from contract.postmortem import MAX_REPORT_CHARS, ExportFormat, ImportedReport, ReportImportRequest

_STDOUT: Final = "-"
_ENDINGS: Final = frozenset({".md", ".markdown"})
_MAX_NAME_CHARS: Final = 300
_REFUSALS: Final = frozenset({ErrorCode.INVALID_REQUEST, ErrorCode.TOO_LARGE})
"""Of one report: the others go on."""


class _Refused(NamedTuple):
    """A file that could not be taken in."""

    name: str
    why: str


@click.command("export")
@click.argument("ident", metavar="ID")
@click.option(
    "--format",
    "form",
    type=click.Choice([form.value for form in ExportFormat]),
    default=ExportFormat.MARKDOWN.value,
    show_default=True,
    help="pdf needs the extra of that name where the backend runs.",
)
@click.option("--version", type=click.IntRange(1), help="Of the post-mortem. [default: the newest]")
@click.option("--out", required=True, metavar="FILE", help="Where to, a file that is not there yet; - is stdout.")
@command("incidents.export")
def export(call: Call, ident: str, *, form: str, version: int | None, out: str) -> None:
    """An incident with its post-mortem as a file. Not for roles whose data export is disabled."""
    content = call.ask(lambda api: client.export(api, ident, ExportFormat(form), version))
    if out == _STDOUT:
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
        return
    write_new(Path(out), content)
    body = {"file": out, "format": form, "bytes": len(content)}
    call.answer(body, lambda: [f"Exported {len(content):,} bytes of {form} to {outside(out, 200)}."])


@click.command("import")
@click.argument(
    "files", nargs=-1, required=True, metavar="FILE|FOLDER...", type=click.Path(path_type=Path, exists=True)
)
@click.option("--collection", default="imported", show_default=True, help="A name for reports that belong together.")
@command("incidents.import")
def import_(call: Call, *, files: tuple[Path, ...], collection: str) -> None:
    """Take in reports in Markdown that were written elsewhere, as they are; folders are searched for .md files.

    Title, date and sections are found by themselves. Importing a file again changes nothing. Files that cannot be
    taken in are named; exit code 1 says that there were some.
    """
    taken, refused = call.ask(lambda api: _import(api, files, collection))
    body = {
        "imported": [one.model_dump(mode="json") for one in taken if not one.unchanged],
        "unchanged": [one.model_dump(mode="json") for one in taken if one.unchanged],
        "refused": [one._asdict() for one in refused],
    }
    call.answer(body, lambda: _lines(taken, refused))
    finish(ExitCode.CHECK_FAILED if refused else ExitCode.OK)


async def _import(api: Api, files: tuple[Path, ...], collection: str) -> tuple[list[ImportedReport], list[_Refused]]:
    taken: list[ImportedReport] = []
    refused: list[_Refused] = []
    for path, name in _found(files):
        try:
            text = path.read_bytes().decode()
            wanted = ReportImportRequest(name=name[-_MAX_NAME_CHARS:], text=text, collection=collection)
            taken.append(await client.import_report(api, wanted))
        except UnicodeDecodeError:
            refused.append(_Refused(name, "it is not UTF-8"))
        except ValueError:
            refused.append(_Refused(name, f"it is empty, has NUL in it, or more than {MAX_REPORT_CHARS:,} characters"))
        except OSError as error:
            refused.append(_Refused(name, error.strerror or "it cannot be read"))
        except ApiError as error:
            if error.code not in _REFUSALS:
                raise
            refused.append(_Refused(name, str(error)))
    return taken, refused


def _found(files: tuple[Path, ...]) -> Iterator[tuple[Path, str]]:
    """Each file, and its name: its path within the folder that was named, or as it was typed."""
    for path in files:
        if path.is_dir():
            inside = sorted(one for one in path.rglob("*") if one.suffix.lower() in _ENDINGS and one.is_file())
            yield from ((one, one.relative_to(path).as_posix()) for one in inside)
        else:
            typed = PurePosixPath(path.as_posix())
            plain = not typed.is_absolute() and ".." not in typed.parts
            yield path, str(typed) if plain else typed.name


def _lines(taken: list[ImportedReport], refused: list[_Refused]) -> list[str]:
    new = [one for one in taken if not one.unchanged]
    lines = [f"Imported {counted(len(new), 'report')}; {len(taken) - len(new)} unchanged, {len(refused)} refused."]
    lines += _table(new) if new else []
    return [*lines, *(f"Refused {outside(one.name, 100)}: {outside(one.why)}" for one in refused)]


def _table(found: list[ImportedReport]) -> list[str]:
    rows = [(one.id, one.date or "-", str(len(one.sections)), outside(one.title, 120)) for one in found]
    return table(("id", "date", "sections", "title"), rows, right={2})


@click.group("reports")
def reports() -> None:
    """Reports of incidents that were written elsewhere."""


@reports.command("list")
@click.option(
    "--q", "words", metavar="WORDS", help='Words of the text; "in quotes" for a phrase, -word for none of it.'
)
@click.option("--collection", help="Only of this collection.")
@paging
@command("incidents.reports.list")
def list_reports(call: Call, *, words: str | None, collection: str | None, limit: int, cursor: str | None) -> None:
    """Imported reports, newest import first."""
    page = call.ask(lambda api: client.reports(api, limit=limit, cursor=cursor, q=words, collection=collection))
    call.answer_page(page, lambda: _table(page.items) if page.items else ["No reports."])


@reports.command("show")
@click.argument("ident", metavar="ID")
@command("incidents.reports.show")
def show_report(call: Call, ident: str) -> None:
    """One report's text. Into a file or pipe it goes as it was given, to the byte."""
    found = call.ask(lambda api: client.report(api, ident))
    if call.as_json:
        call.answer(found, list)
    elif sys.stdout.isatty():
        write_whole_lines(clean(found.text, limit=MAX_REPORT_CHARS, multiline=True).split("\n"))
    else:
        sys.stdout.flush()
        sys.stdout.buffer.write(found.text.encode())
        sys.stdout.buffer.flush()
    if not call.as_json:
        note(f"{found.report.id} {found.report.name}")


COMMANDS: Final = (export, import_, reports)
