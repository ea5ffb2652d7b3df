"""`watchfloor drill report|sign|finding`: what a recovery drill leaves behind, and who vouches for it."""

import sys
from datetime import date, datetime
from pathlib import Path
from typing import Final

import click

from console.client import recovery as client
from console.client.api import new_idempotency_key
from console.commands.base import Call, command, write_new
from console.commands.output import instant, note, outside, write_whole_lines
from console.term.sanitize import clean
from contract.recovery import FindingRequest, SignRequest

_MAX_SHOWN_CHARS: Final = 1_000_000
_FORMS: Final = ("md", "html", "json", "pdf")


@click.command("report")
@click.argument("ref")
@click.option("--format", "form", type=click.Choice(_FORMS), default="md", show_default=True)
@click.option("--output", "out", type=click.Path(path_type=Path, dir_okay=False), help="A file that is not there yet.")
@command("drill.report")
def report(call: Call, ref: str, *, form: str, out: Path | None) -> None:
    """The report; on stderr the SHA-256 of its facts, which signing names. A PDF needs --output."""
    if form == "pdf":
        if out is None:
            raise click.UsageError("A PDF is no text: say --output FILE.")
        _saved(call, out, call.ask(lambda api: client.report_pdf(api, ref)), form)
        return
    found = call.ask(lambda api: client.report(api, ref, form))
    if out is not None:
        _saved(call, out, found.text.encode(), form)
    elif call.as_json:
        call.answer(found, list)
        return
    elif sys.stdout.isatty():
        write_whole_lines(clean(found.text, limit=_MAX_SHOWN_CHARS, multiline=True).split("\n"))
    else:
        sys.stdout.write(found.text)
    signed = (
        f"signed by {outside(found.signed_by, 40)}, {instant(found.signed_at)}" if found.signed_by else "not signed"
    )
    note(f"SHA-256 of the facts {outside(found.sha256, 64)}, {signed}.")


def _saved(call: Call, out: Path, content: bytes, form: str) -> None:
    write_new(out, content, option="--output")
    body = {"file": str(out), "format": form, "bytes": len(content)}
    call.answer(body, lambda: [f"Wrote {len(content):,} bytes of {form} to {outside(str(out), 200)}."])


@click.command("sign")
@click.argument("ref")
@click.option("--sha256", required=True, metavar="HEX", help="Of the report you have read: `drill report` says it.")
@click.option("--statement", required=True, help="What you vouch for, in a few words.")
@command("drill.sign")
def sign(call: Call, ref: str, *, sha256: str, statement: str) -> None:
    """Sign a report off, as another person than who ran the drill."""
    request = SignRequest(report_sha256=sha256, statement=statement)
    made = call.ask(lambda api: client.sign(api, ref, request))
    call.answer(made, lambda: [f"{outside(made.ref, 24)} is signed by {outside(made.signed_by, 40)}."])


@click.command("finding")
@click.argument("ref")
@click.option("--action", required=True, help="What has to be done.")
@click.option("--owner", required=True, help="By whom.")
@click.option("--due", required=True, type=click.DateTime(formats=["%Y-%m-%d"]), help="Until when.")
@command("drill.finding")
def finding(call: Call, ref: str, *, action: str, owner: str, due: datetime) -> None:
    """Make a finding of a drill a follow-up action."""
    request = FindingRequest(
        action=action, owner=owner, due=date(due.year, due.month, due.day), idempotency_key=new_idempotency_key()
    )
    made = call.ask(lambda api: client.finding(api, ref, request))
    whose = f"{outside(made.owner, 40)}, due {made.due_on}"
    call.answer(made, lambda: [f"Kept in {outside(made.incident, 20)}: {outside(made.text, 200)} ({whose})."])
