"""`watchfloor incidents …`: finding, declaring and reading incidents; what people do with them is `incident_acts`."""

from pathlib import Path

import click

from console.client import incidents as client
from console.client.api import new_idempotency_key
from console.commands import incident_words as text
from console.commands import nearby
from console.commands.base import Call, command, paging, write_new
from console.commands.freeze_options import scope_typed
from console.commands.incident_acts import COMMANDS, SEVERITIES, instant_typed
from console.commands.incident_reports import COMMANDS as REPORTS
from console.commands.output import instant, now_of, outside
from console.commands.times import instant_option
from contract.incidents import DeclareRequest, EvidenceQueryRequest
from contract.scope import Scope
from contract.states import IncidentStatus, Severity

_STATUSES = click.Choice([*(one.value for one in IncidentStatus), "all"])
_QUESTIONS = click.Choice(["alert", "freeze", "executors", "risk", "audit"])


@click.group()
def incidents() -> None:
    """Incidents: their record, who works on them, what is left to do."""


for joined in (*COMMANDS, *REPORTS):
    incidents.add_command(joined)


@incidents.command("list")
@click.option("--status", type=_STATUSES, default="open", show_default=True)
@click.option("--severity", type=SEVERITIES, help="Only of this severity.")
@click.option("--type", "kind", help="Only of this type of the policy.")
@click.option("--q", "words", metavar="WORDS", help="Words of the title or the impact, or the beginning of an id.")
@click.option("--drills/--no-drills", "drill", default=None, help="Only drills, or none of them.")
@click.option("--since", callback=instant_option, help="Declared at this time or later.")
@paging
@command("incidents.list")
def list_incidents(
    call: Call,
    *,
    status: str,
    severity: str | None,
    kind: str | None,
    words: str | None,
    drill: bool | None,
    since: str,
    limit: int,
    cursor: str | None,
) -> None:
    """Incidents, newest first."""
    wanted = {
        "status": None if status == "all" else status,
        "severity": severity,
        "type": kind,
        "q": words,
        "drill": None if drill is None else str(drill).lower(),
        "since": since or None,
    }
    where = {name: value for name, value in wanted.items() if value is not None}
    page = call.ask(lambda api: client.incidents(api, limit=limit, cursor=cursor, **where))
    now = now_of(page.as_of)
    none = [f"No incidents ({status}). As of {instant(now)}."]
    call.answer_page(page, lambda: [line for one in page.items for line in text.entry(one, now)] or none)


@incidents.command("declare")
@click.argument("title")
@click.option("--severity", type=SEVERITIES, required=True)
@click.option("--type", "kind", default="other", show_default=True, help="One of the policy's list.")
@click.option("--commander", help="Who commands; without it, you.")
@click.option("--alert", "alerts", multiple=True, metavar="ID", help="An alert that is part of it; repeatable.")
@click.option("--freeze", "freezes", multiple=True, metavar="ID", help="A freeze that is part of it; repeatable.")
@click.option("--scope", "scopes", multiple=True, callback=scope_typed, help="What it is about, besides; repeatable.")
@click.option("--started", callback=instant_option, help="When it started, as far as anybody knows.")
@click.option("--drill", is_flag=True, help="For practice: counted apart, tells nobody outside.")
@command("incidents.declare")
def declare(
    call: Call,
    *,
    title: str,
    severity: str,
    kind: str,
    commander: str | None,
    alerts: tuple[str, ...],
    freezes: tuple[str, ...],
    scopes: tuple[Scope, ...],
    started: str,
    drill: bool,
) -> None:
    """Declare an incident: from alerts, from freezes, or from nothing."""
    wanted = DeclareRequest(
        title=title,
        type=kind,
        severity=Severity(severity),
        commander=commander,
        alerts=list(alerts),
        freezes=list(freezes),
        scopes=list(scopes),
        started_at=instant_typed(started),
        drill=drill,
        idempotency_key=new_idempotency_key(),
    )
    one = call.ask(lambda api: client.declare(api, wanted))
    call.answer(one, lambda: text.after(one))


@incidents.command("show")
@click.argument("ident", metavar="ID")
@command("incidents.show")
def show(call: Call, ident: str) -> None:
    """One incident: roles, milestones, clocks, impact, the procedure's checklist."""
    one = call.ask(lambda api: client.incident(api, ident))
    call.answer(one, lambda: text.record(one))


@incidents.command("around")
@click.argument("ident", metavar="ID")
@click.option("--minutes", type=click.IntRange(1, 1_440), help="So many before and after; else as the policy says.")
@command("incidents.around")
def around(call: Call, ident: str, minutes: int | None) -> None:
    """What changed around the time at which it began: alerts, freezes, deploys, incidents, the audit log."""
    near = call.ask(lambda api: client.around(api, ident, minutes=minutes))
    call.answer(near, lambda: nearby.around(near))


@incidents.command("timeline")
@click.argument("ident", metavar="ID")
@click.option("--newest-first", is_flag=True)
@paging
@command("incidents.timeline")
def timeline(call: Call, ident: str, *, newest_first: bool, limit: int, cursor: str | None) -> None:
    """What happened, in the order in which it did."""
    page = call.ask(lambda api: client.timeline(api, ident, limit=limit, cursor=cursor, newest_first=newest_first))
    call.answer_page(page, lambda: [line for one in page.items for line in text.line(one)])


@incidents.group()
def evidence() -> None:
    """What is kept with an incident, hashed."""


@evidence.command("list")
@click.argument("ident", metavar="ID")
@command("incidents.evidence.list")
def list_evidence(call: Call, ident: str) -> None:
    """What is kept with an incident."""
    page = call.ask(lambda api: client.evidence(api, ident))
    call.answer_page(page, lambda: [line for one in page.items for line in text.piece(one)] or ["Nothing is kept."])


@evidence.command("add")
@click.argument("ident", metavar="ID")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--description", default="", help="What it shows.")
@command("incidents.evidence.add")
def add_evidence(call: Call, ident: str, file: Path, description: str) -> None:
    """Keep a file with an incident, as it is; at most 10 MiB."""
    import mimetypes

    content = file.read_bytes()
    media_type = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    kept = call.ask(
        lambda api: client.attach(
            api, ident, content, name=file.name[:200], media_type=media_type, description=description
        )
    )
    call.answer(kept, lambda: text.piece(kept))


@evidence.command("query")
@click.argument("ident", metavar="ID")
@click.argument("kind", type=_QUESTIONS)
@click.argument("query", default="")
@click.option("--description", default="", help="What it shows.")
@command("incidents.evidence.query")
def add_answer(call: Call, ident: str, kind: str, query: str, description: str) -> None:
    """Keep what Watchfloor answers now: about an alert or freeze by id, executors, risk, words in the audit log."""
    wanted = EvidenceQueryRequest(kind=kind, query=query, description=description)
    kept = call.ask(lambda api: client.attach_query(api, ident, wanted))
    call.answer(kept, lambda: text.piece(kept))


@evidence.command("get")
@click.argument("ident", metavar="ID")
@click.argument("piece")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="A file that is not there yet.")
@command("incidents.evidence.get")
def get_evidence(call: Call, ident: str, piece: str, out: Path) -> None:
    """Write a piece of evidence to a file, as it was attached."""
    content = call.ask(lambda api: client.content(api, ident, piece))
    write_new(out, content)
    call.answer(
        {"incident": ident, "piece": piece, "bytes": len(content), "file": str(out)},
        lambda: [f"{len(content):,} bytes in {outside(str(out))}."],
    )


@incidents.command("stats")
@click.option("--since", callback=instant_option, help="Without it: a year ago.")
@click.option("--until", callback=instant_option, help="Without it: now.")
@click.option("--drills", is_flag=True, help="The numbers of drills.")
@command("incidents.stats")
def stats(call: Call, *, since: str, until: str, drills: bool) -> None:
    """How long detecting, answering, mitigating and resolving took, and how many were answered in time."""
    span = {name: at for name, at in (("since", since), ("until", until)) if at}
    found = call.ask(lambda api: client.stats(api, drills=drills, **span))
    call.answer(found, lambda: text.numbers(found))
