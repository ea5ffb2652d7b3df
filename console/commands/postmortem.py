"""`watchfloor postmortem …`: written together, read, and approved by somebody else."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import click

from console.client import postmortems as client
from console.client.api import Api
from console.client.errors import ClientError
from console.client.session import state_dir
from console.commands.base import Call, command, finish
from console.commands.output import counted, note, outside, table, write_whole_lines
from console.term.sanitize import clean
from contract.errors import ExitCode
from contract.postmortem import (
    MAX_REPORT_CHARS,
    MAX_SECTION_CHARS,
    ApprovePostmortemRequest,
    EditOutcome,
    ExportFormat,
    OpenPostmortemRequest,
    Postmortem,
    PostmortemSection,
    SectionAnswer,
    SectionEdit,
    SendBackRequest,
)

_STDIN: Final = "-"


@click.group()
def postmortem() -> None:
    """Post-mortems: written together, approved by somebody who has not written them."""


@postmortem.command("open")
@click.argument("ident", metavar="ID")
@click.option("--template", default="incident", show_default=True, help="incident, or sre; of the first version only.")
@command("postmortem.open")
def open_(call: Call, ident: str, *, template: str) -> None:
    """Open the post-mortem of an incident, prefilled from its record; of an approved one, the next version.

    One that is open is brought up to date where nobody has edited it.
    """
    made = call.ask(lambda api: client.open_one(api, ident, OpenPostmortemRequest(template=template).template))
    call.answer(made, lambda: _standing(made))


@postmortem.command("show")
@click.argument("ident", metavar="ID")
@click.option("--version", type=click.IntRange(1), help="Another than the newest.")
@click.option("--sections", is_flag=True, help="Only which sections there are, and who has edited them.")
@command("postmortem.show")
def show(call: Call, ident: str, *, version: int | None, sections: bool) -> None:
    """The Markdown, and on stderr its SHA-256, which approving it names. Into a file or pipe it goes to the byte."""
    made = call.ask(lambda api: client.postmortem(api, ident, version))
    if call.as_json or sections:
        call.answer(made, lambda: _standing(made))
        return
    content = call.ask(lambda api: client.export(api, ident, ExportFormat.MARKDOWN, made.version))
    if sys.stdout.isatty():
        write_whole_lines(clean(content.decode(), limit=MAX_REPORT_CHARS, multiline=True).split("\n"))
    else:
        sys.stdout.flush()
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
    note(f"Version {made.version}, {made.state}. SHA-256 {hashlib.sha256(content).hexdigest()}")


@postmortem.command("edit")
@click.argument("ident", metavar="ID")
@click.argument("section")
@click.option("--file", "source", metavar="FILE", help="Take the text from a file, - for stdin, instead of an editor.")
@click.option(
    "--base", type=click.IntRange(0), help="With --file: the section's version it was made from. [default: the newest]"
)
@command("postmortem.edit")
def edit(call: Call, ident: str, section: str, *, source: str | None, base: int | None) -> None:
    """Edit a section in $VISUAL or $EDITOR; what others write meanwhile in other lines is kept too.

    Where others have written in the same lines, both are shown between marks: keep what is right, take the marks out.
    With --file such a conflict goes to stdout, nothing is saved, and the exit code is 1.
    """
    found = _section(call.ask(lambda api: client.postmortem(api, ident)), section)
    if source is not None:
        wanted = SectionEdit(text=_text_of(source), base_version=found.version if base is None else base)
        answer: SectionAnswer | None = _sent(call, ident, found, wanted)
    else:
        answer = _edited(call, ident, found)
    if answer is None:
        call.answer({"outcome": "unchanged"}, lambda: ["Nothing was changed."])
        return
    told = _outcome(answer)
    call.answer(answer, lambda: told)
    finish(ExitCode.CHECK_FAILED if answer.outcome is EditOutcome.CONFLICT else ExitCode.OK)


def _edited(call: Call, ident: str, found: PostmortemSection) -> SectionAnswer | None:
    """Have it edited until it is saved, or left as it was shown."""
    shown, version = found.text, found.version
    while True:
        text = _in_editor(shown, found.key)
        if text == shown:
            return None
        answer = _sent(call, ident, found, SectionEdit(text=text, base_version=version))
        if answer.conflict is None:
            return answer
        note("Others have written in the same lines: both are shown between marks. Left as it is, nothing is saved.")
        _kept(ident, found.key, text)
        shown, version = answer.conflict, answer.section.version


def _in_editor(text: str, key: str) -> str:
    from console.term.external import EditorRefusedError, editor_command, text_file

    try:
        editor = editor_command(os.environ)
    except EditorRefusedError as error:
        raise click.UsageError(f"{error} Or give the text with --file.") from error
    with text_file(text, key) as path:
        try:
            code = subprocess.run([*editor, str(path)], check=False).returncode
        except OSError as error:
            raise click.UsageError(f"{editor[0]} does not run: {error.strerror}.") from error
        if code:
            raise click.UsageError(f"{editor[0]} ended with {code}: nothing was changed.")
        written = path.read_text(encoding="utf-8", errors="replace")
    return _storable(written.removesuffix("\n"))


def _text_of(source: str) -> str:
    try:
        content = sys.stdin.buffer.read() if source == _STDIN else Path(source).read_bytes()
        return _storable(content.decode().removesuffix("\n"))
    except (OSError, UnicodeDecodeError) as error:
        why = "not UTF-8" if isinstance(error, UnicodeDecodeError) else error.strerror
        raise click.BadParameter(f"{source}: {why}", param_hint="--file") from error


def _storable(text: str) -> str:
    if len(text) > MAX_SECTION_CHARS:
        raise click.UsageError(f"A section has at most {MAX_SECTION_CHARS:,} characters, this has {len(text):,}.")
    return text.replace("\x00", "")


def _sent(call: Call, ident: str, found: PostmortemSection, wanted: SectionEdit) -> SectionAnswer:
    """Send it; what cannot be sent is kept in a file, whatever was the matter."""
    try:
        return call.ask(lambda api: client.edit(api, ident, found.key, wanted))
    except ClientError:
        _kept(ident, found.key, wanted.text)
        raise


def _kept(ident: str, key: str, text: str) -> None:
    directory = Path(state_dir(os.environ)) / "unsent"
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    name = "".join(one if one.isalnum() or one in "-_" else "_" for one in f"{ident}-{key}")
    path = directory / f"{name[:100]}.md"
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    note(f"What you wrote is kept in {path}.")


@postmortem.command("submit")
@click.argument("ident", metavar="ID")
@command("postmortem.submit")
def submit(call: Call, ident: str) -> None:
    """Ask for it to be approved by somebody who has written none of it; from then on nobody edits it."""
    _answered(call, lambda api: client.submit(api, ident))


@postmortem.command("send-back")
@click.argument("ident", metavar="ID")
@click.option("--why", required=True, help="What has to change; whoever wrote it reads this.")
@command("postmortem.send-back")
def send_back(call: Call, ident: str, *, why: str) -> None:
    """Turn a submitted one down: it can be edited again."""
    _answered(call, lambda api: client.send_back(api, ident, SendBackRequest(why=why)))


@postmortem.command("approve")
@click.argument("ident", metavar="ID")
@click.option(
    "--sha256", required=True, metavar="HEX", help="Of the Markdown you have read: `postmortem show` says it."
)
@command("postmortem.approve")
def approve(call: Call, ident: str, *, sha256: str) -> None:
    """Approve what you have read, as somebody who has written none of it. It never changes again."""
    _answered(call, lambda api: client.approve(api, ident, ApprovePostmortemRequest(sha256=sha256)))


def _answered(call: Call, question: Callable[[Api], Awaitable[Postmortem]]) -> None:
    made = call.ask(question)
    call.answer(made, lambda: _standing(made))


def _section(made: Postmortem, wanted: str) -> PostmortemSection:
    """The section that somebody named by its key or title."""
    named = wanted.strip().casefold()
    found = next((one for one in made.sections if named in {one.key.casefold(), one.title.casefold()}), None)
    if found is None:
        keys = ", ".join(one.key for one in made.sections)
        raise click.BadParameter(f"There is no section {wanted!r}. One of: {keys}.", param_hint="SECTION")
    return found


def _outcome(answer: SectionAnswer) -> list[str]:
    if answer.conflict is not None:
        return clean(answer.conflict, limit=MAX_SECTION_CHARS * 4, multiline=True).split("\n")
    how = "Saved, with what others have written meanwhile" if answer.outcome is EditOutcome.MERGED else "Saved"
    return [f"{how}: {outside(answer.section.title, 60)}, version {answer.section.version}."]


def _standing(made: Postmortem) -> list[str]:
    lines = [f"{outside(made.incident, 20)} post-mortem version {made.version}: {made.state}"]
    if made.sent_back_why:
        lines.append(f"  sent back: {outside(made.sent_back_why)}")
    if made.sha256:
        lines += [f"  approved by {outside(made.approved_by, 40)}", f"  SHA-256 {outside(made.sha256, 64)}"]
    rows = [
        (one.key, str(one.version), outside(one.edited_by, 30) if one.edited_by else "the record", _size(one))
        for one in made.sections
    ]
    return [*lines, *table(("section", "version", "written by", "length"), rows)]


def _size(one: PostmortemSection) -> str:
    return counted(len(one.text.split()), "word")
