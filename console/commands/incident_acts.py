"""`watchfloor incidents note|advance|assign|…`: what people do with an incident."""

from datetime import date, datetime

import click

from console.client import incidents as client
from console.client.api import new_idempotency_key
from console.commands import incident_words as text
from console.commands.base import Call, command
from console.commands.output import note as tell
from console.commands.times import instant_option
from contract.incident_records import ReportSentRequest
from contract.incidents import (
    AdvanceRequest,
    CloseRequest,
    CorrectionRequest,
    FollowUp,
    FollowUpChange,
    FollowUpRequest,
    Incident,
    IncidentChange,
    LinkRequest,
    MilestoneName,
    MilestoneRequest,
    NoteRequest,
    ReopenRequest,
    ResolveRequest,
    RoleRequest,
    StepActionRequest,
)
from contract.states import Severity

_DAY = click.DateTime(["%Y-%m-%d"])
_MILESTONES = click.Choice([one.value for one in MilestoneName])
_STATES = click.Choice(["open", "done", "all"])
SEVERITIES = click.Choice([one.value for one in Severity])


def instant_typed(at: str) -> datetime | None:
    """What `instant_option` has read; None where nothing was typed."""
    return datetime.fromisoformat(at) if at else None


def _done(call: Call, one: Incident) -> None:
    call.answer(one, lambda: text.after(one))


@click.command("note")
@click.argument("ident", metavar="ID")
@click.argument("words", metavar="TEXT")
@click.option("--at", callback=instant_option, help="When it happened; without it, now.")
@click.option("--corrects", metavar="LINE", help="Put this in the place of a line, by its id; the line stays.")
@command("incidents.note")
def note(call: Call, ident: str, *, words: str, at: str, corrects: str | None) -> None:
    """Write a line into the timeline."""
    if corrects is not None:
        correction = CorrectionRequest(text=words, occurred_at=instant_typed(at))
        line = call.ask(lambda api: client.correct(api, ident, corrects, correction))
    else:
        wanted = NoteRequest(text=words, occurred_at=instant_typed(at), idempotency_key=new_idempotency_key())
        line = call.ask(lambda api: client.note(api, ident, wanted))
    call.answer(line, lambda: text.line(line))


@click.command("change")
@click.argument("ident", metavar="ID")
@click.option("--title")
@click.option("--type", "kind", help="One of the policy's list.")
@click.option("--severity", type=SEVERITIES)
@click.option("--service", "services", multiple=True, help="What was affected; repeatable, replaces all.")
@click.option("--loss-usd", metavar="AMOUNT")
@click.option("--loss-eth", metavar="AMOUNT")
@click.option("--users", type=click.IntRange(0), help="How many people it touched.")
@click.option("--description", help="What it did, in words.")
@click.option("--version", type=click.IntRange(1), help="Refuse if somebody changed the same fact after this version.")
@command("incidents.change")
def change(
    call: Call, /, ident: str, *, kind: str | None, services: tuple[str, ...], **facts: str | int | None
) -> None:
    """Change what is said of an incident; what is not named stays."""
    given = {name: value for name, value in facts.items() if value is not None}
    given |= {"type": kind} if kind is not None else {}
    wanted = IncidentChange.model_validate(given | ({"services": list(services)} if services else {}))
    _done(call, call.ask(lambda api: client.change(api, ident, wanted)))


@click.command("milestone")
@click.argument("ident", metavar="ID")
@click.argument("name", type=_MILESTONES)
@click.option("--at", callback=instant_option, required=True, help="When it was reached.")
@click.option("--why", required=True, help="How that is known; it stays on record.")
@command("incidents.milestone")
def milestone(call: Call, ident: str, *, name: str, at: str, why: str) -> None:
    """Say when a milestone was reached, or put right what was said."""
    wanted = MilestoneRequest(name=MilestoneName(name), occurred_at=datetime.fromisoformat(at), why=why)
    _done(call, call.ask(lambda api: client.milestone(api, ident, wanted)))


@click.command("assign")
@click.argument("ident", metavar="ID")
@click.argument("role")
@click.argument("person", required=False)
@click.option("--note", "said", default="", help="What the next one has to know.")
@command("incidents.assign")
def assign(call: Call, ident: str, *, role: str, person: str | None, said: str) -> None:
    """Give a role to somebody, hand it over, or, without a person, renounce it."""
    wanted = RoleRequest(role=role, person=person, note=said)
    _done(call, call.ask(lambda api: client.role(api, ident, wanted)))


@click.command("advance")
@click.argument("ident", metavar="ID")
@click.argument("step", required=False)
@click.option("--note", "said", default="")
@command("incidents.advance")
def advance(call: Call, ident: str, *, step: str | None, said: str) -> None:
    """Go on to the next step of the procedure, or to a named one."""
    wanted = AdvanceRequest(step=step, note=said)
    _done(call, call.ask(lambda api: client.advance(api, ident, wanted)))


@click.command("tick")
@click.argument("ident", metavar="ID")
@click.argument("step")
@click.argument("number", type=click.IntRange(1, 100))
@click.option("--undo", is_flag=True, help="Take the tick back.")
@click.option("--note", "said", default="")
@command("incidents.tick")
def tick(call: Call, ident: str, *, step: str, number: int, undo: bool, said: str) -> None:
    """Tick an action of the procedure off."""
    wanted = StepActionRequest(step=step, number=number, done=not undo, note=said)
    _done(call, call.ask(lambda api: client.tick(api, ident, wanted)))


@click.command("link")
@click.argument("ident", metavar="ID")
@click.argument("kind", type=click.Choice(["alert", "freeze"]))
@click.argument("target")
@command("incidents.link")
def link(call: Call, ident: str, *, kind: str, target: str) -> None:
    """Make an alert or a freeze part of an incident, with its history."""
    wanted = LinkRequest(kind=kind, id=target)
    _done(call, call.ask(lambda api: client.link(api, ident, wanted)))


@click.command("unlink")
@click.argument("ident", metavar="ID")
@click.argument("alert", metavar="ALERT")
@click.option("--why", required=True, help="Why it does not belong there; it stays on record.")
@command("incidents.unlink")
def unlink(call: Call, ident: str, alert: str, *, why: str) -> None:
    """Take an alert off an incident that it was wrongly made part of; the timeline keeps its lines and says so."""
    _done(call, call.ask(lambda api: client.unlink(api, ident, alert, why)))


@click.command("resolve")
@click.argument("ident", metavar="ID")
@click.option("--note", "said", required=True, help="What ended it.")
@click.option("--at", callback=instant_option, help="When it was over; without it, now.")
@command("incidents.resolve")
def resolve(call: Call, ident: str, *, said: str, at: str) -> None:
    """Say that it is over."""
    wanted = ResolveRequest(note=said, occurred_at=instant_typed(at))
    _done(call, call.ask(lambda api: client.resolve(api, ident, wanted)))


@click.command("reopen")
@click.argument("ident", metavar="ID")
@click.option("--why", required=True)
@command("incidents.reopen")
def reopen(call: Call, ident: str, *, why: str) -> None:
    """Say that it is not over after all."""
    _done(call, call.ask(lambda api: client.reopen(api, ident, ReopenRequest(why=why))))


@click.command("close")
@click.argument("ident", metavar="ID")
@click.option("--note", "said", default="")
@click.option("--yes", is_flag=True, help="Neither show what it closes nor ask.")
@command("incidents.close")
def close(call: Call, ident: str, *, said: str, yes: bool) -> None:
    """Put the record away for good; refused without an approved post-mortem where the policy wants one.

    Shows first what it closes, and asks: a closed incident is never opened again.
    """
    if not yes:
        known = call.ask(lambda api: client.incident(api, ident))
        for line in text.closing(known):
            tell(line)
        click.confirm(f"Close {known.id} for good?", err=True, abort=True)
    _done(call, call.ask(lambda api: client.close(api, ident, CloseRequest(note=said))))


@click.command("report-sent")
@click.argument("ident", metavar="ID")
@click.argument("report", type=click.Choice(["initial", "intermediate", "final"]))
@click.option("--to", default="", help="The authority, or whoever took it there.")
@click.option("--reference", default="", help="Under which it is known there.")
@click.option("--at", callback=instant_option, help="When it was sent; without it, now.")
@command("incidents.report-sent")
def report_sent(call: Call, ident: str, report: str, *, to: str, reference: str, at: str) -> None:
    """Say that a report went to the authority: its clock stops, the next begins. Saying it again puts it right."""
    wanted = ReportSentRequest(report=report, to=to, reference=reference, sent_at=instant_typed(at))
    _done(call, call.ask(lambda api: client.report_sent(api, ident, wanted)))


@click.group("follow-ups")
def follow_ups() -> None:
    """What is to be done so that it does not happen again."""


@follow_ups.command("list")
@click.option("--state", type=_STATES, default="open", show_default=True)
@click.option("--owner")
@click.option("--incident", metavar="ID")
@click.option("--limit", type=click.IntRange(1, 500), default=50, show_default=True)
@click.option("--cursor", metavar="TEXT", help="Go on where the last page ended.")
@command("incidents.follow-ups.list")
def list_follow_ups(call: Call, /, *, limit: int, **where: str | None) -> None:
    """Follow-up actions, the longest overdue first."""
    given = {name: value for name, value in where.items() if value is not None}
    page = call.ask(lambda api: client.follow_ups(api, limit=limit, **given))
    call.answer_page(page, lambda: [line for one in page.items for line in text.follow_up(one)] or ["Nothing to do."])


@follow_ups.command("add")
@click.argument("ident", metavar="ID")
@click.argument("words", metavar="TEXT")
@click.option("--owner")
@click.option("--due", type=_DAY, help="By this day, UTC.")
@command("incidents.follow-ups.add")
def add_follow_up(call: Call, ident: str, *, words: str, owner: str | None, due: datetime | None) -> None:
    """Write down something to be done."""
    wanted = FollowUpRequest(text=words, owner=owner, due_on=_day(due))
    _shown(call, call.ask(lambda api: client.follow_up(api, ident, wanted)))


@follow_ups.command("change")
@click.argument("ident", metavar="ID")
@click.argument("number", type=click.IntRange(1))
@click.option("--text", "words")
@click.option("--owner")
@click.option("--due", type=_DAY, help="By this day, UTC.")
@click.option("--done/--not-done", default=None)
@click.option("--note", "said")
@click.option("--version", type=click.IntRange(1), help="Refuse if somebody changed it after this version.")
@command("incidents.follow-ups.change")
def change_follow_up(
    call: Call,
    ident: str,
    number: int,
    *,
    words: str | None,
    owner: str | None,
    due: datetime | None,
    done: bool | None,
    said: str | None,
    version: int | None,
) -> None:
    """Change something to be done, or say that it is done."""
    given = {"text": words, "owner": owner, "due_on": _day(due), "done": done, "note": said, "version": version}
    wanted = FollowUpChange.model_validate({name: value for name, value in given.items() if value is not None})
    _shown(call, call.ask(lambda api: client.change_follow_up(api, ident, number, wanted)))


def _day(at: datetime | None) -> date | None:
    return None if at is None else at.date()


def _shown(call: Call, one: FollowUp) -> None:
    call.answer(one, lambda: text.follow_up(one))


COMMANDS = (
    note, change, milestone, assign, advance, tick, link, unlink, resolve, reopen, close, report_sent, follow_ups,
)  # fmt: skip
"""What `watchfloor incidents` takes in."""
