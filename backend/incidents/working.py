"""What people do with an incident while it goes on: facts, roles, steps, links, milestones, notes.

Two people at once lose nothing: notes never conflict, and a fact that somebody else has changed meanwhile is refused
with its name, so that whoever comes second looks at it first.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from backend.context import Caller, Runtime
from backend.errors import WatchfloorError, known_ident, not_found
from backend.incidents import changed, checking, telling, timeline, views
from backend.incidents.declaring import is_reportable, postmortem_required
from backend.incidents.filling import take_in_alerts, take_in_freezes
from backend.incidents.tables import IncidentEntry, IncidentRole
from backend.incidents.writing import Writing, writing
from backend.policy.incidents import COMMANDER
from backend.policy.notifying import IncidentTopic
from contract.errors import ErrorCode
from contract.incident_records import ReportSentRequest
from contract.incidents import (
    CorrectionRequest,
    Incident,
    IncidentChange,
    LinkRequest,
    MilestoneName,
    MilestoneRequest,
    NoteRequest,
    RoleRequest,
    TimelineEntry,
)
from contract.states import IncidentStatus, Severity

_SHOWN: Final[Mapping[str, str]] = {"loss_usd": "loss in USD", "loss_eth": "loss in ETH", "users": "users affected"}


async def note(
    session: AsyncSession, runtime: Runtime, caller: Caller, ident: str, request: NoteRequest
) -> TimelineEntry:
    """Write a line; the same key of the same person answers with the same line.

    Raises:
        WatchfloorError: NOT_FOUND; CONFLICT once it is closed; INVALID_REQUEST.
    """
    work = await writing(session, runtime, caller, ident)
    if request.idempotency_key and (earlier := await _noted(work, request.idempotency_key)):
        return timeline.wire(earlier)
    work.refuse_closed()
    at = checking.instant(request.occurred_at, work.now)
    line = await work.entry("note", request.text, occurred_at=at, idempotency_key=request.idempotency_key)
    await work.finish("incidents.timeline.noted", "note on incident")
    return timeline.wire(line)


async def _noted(work: Writing, key: str) -> IncidentEntry | None:
    wanted = select(IncidentEntry).where(
        IncidentEntry.incident == work.row.id,
        IncidentEntry.actor == work.caller.subject,
        IncidentEntry.idempotency_key == key,
    )
    return (await work.session.execute(wanted)).scalar_one_or_none()


async def correct(  # noqa: PLR0917  what a route has
    session: AsyncSession, runtime: Runtime, caller: Caller, ident: str, entry: str, request: CorrectionRequest
) -> TimelineEntry:
    """Put a later line in the place of an earlier one, which stays as it is.

    Raises:
        WatchfloorError: NOT_FOUND; CONFLICT once it is closed; INVALID_REQUEST.
    """
    work = await writing(session, runtime, caller, ident)
    work.refuse_closed()
    old = await session.get(IncidentEntry, known_ident("line of this timeline", entry))
    if old is None or old.incident != work.row.id:
        raise not_found("line of this timeline", entry)
    at = old.occurred_at if request.occurred_at is None else checking.instant(request.occurred_at, work.now)
    line = await work.entry("correction", request.text, occurred_at=at, corrects=old.id)
    await work.finish("incidents.timeline.corrected", "correct a line of incident", {"corrects": old.number})
    return timeline.wire(line)


async def change(
    session: AsyncSession, runtime: Runtime, caller: Caller, ident: str, request: IncidentChange
) -> Incident:
    """Change what is said of an incident; what is as wanted already is left alone.

    Raises:
        WatchfloorError: NOT_FOUND; INVALID_REQUEST; CONFLICT, naming the facts that others have changed meanwhile.
    """
    work = await writing(session, runtime, caller, ident)
    work.refuse_closed()
    now = {fact: getattr(work.row, fact) for fact in work.row.field_versions}
    wanted = changed.differing(now, _wanted(runtime, request))
    if not wanted:
        return await views.show(session, runtime, work.row)
    _refuse_overtaken(work, wanted, request.version)
    for fact, value in wanted.items():
        await _say(work, fact, now[fact], value)
        setattr(work.row, fact, value)
    if "severity" in wanted:
        _classify(work, Severity(wanted["severity"]))
    work.changed(*wanted)
    if "severity" in wanted:
        await _tell_severity(work, Severity(now["severity"]), Severity(wanted["severity"]))
    old = {fact: _plain(now[fact]) for fact in wanted}
    new = {fact: _plain(value) for fact, value in wanted.items()}
    return await work.finish("incidents.record.changed", "change incident", new, old=old)


def _wanted(runtime: Runtime, request: IncidentChange) -> dict[str, Any]:
    rules = runtime.policy.incident_rules
    given = request.model_dump(exclude={"version"}, exclude_none=True)
    if "title" in given:
        given["title"] = checking.name("title", given["title"])
    if "type" in given:
        given["type"] = checking.one_of("type of incident", given["type"], rules.types)
    if "severity" in given:
        given["severity"] = given["severity"].value
    for fact in ("loss_usd", "loss_eth"):
        if fact in given:
            given[fact] = checking.amount(_SHOWN[fact], given[fact])
    if "users" in given:
        given["users"] = checking.users(given["users"])
    if "services" in given:
        named = [checking.name("service", one) for one in given["services"]]
        listed = [checking.one_of("service", one, rules.services) for one in named] if rules.services else named
        given["services"] = list(dict.fromkeys(listed))
    return given


def _refuse_overtaken(work: Writing, wanted: Mapping[str, Any], seen_version: int | None) -> None:
    facts = changed.overtaken(work.row.field_versions, wanted, seen_version)
    if facts:
        named = ", ".join(_SHOWN.get(one, one) for one in facts)
        raise WatchfloorError(
            ErrorCode.CONFLICT,
            f"Somebody else has changed the {named} of {work.row.id} meanwhile.",
            hint="Look at what it says now, and change it again if it is still wrong.",
        )


async def _say(work: Writing, fact: str, old: Any, new: Any) -> None:
    kind = "severity" if fact == "severity" else "note"
    if fact == "description":
        await work.entry(kind, "The description of the impact was changed")
        return
    shown = _SHOWN.get(fact, fact)
    await work.entry(kind, f"The {shown} was changed from {_words(old)} to {_words(new)}")


def _words(value: Any) -> str:
    match value:
        case None:
            return "unknown"
        case list():
            return ", ".join(value) or "none"
        case _:
            return str(_plain(value))


def _plain(value: Any) -> Any:
    """A fact as the ledger takes it: amounts as text, every digit of them."""
    if isinstance(value, str | int | list | None):
        return value
    whole, _, rest = format(value, "f").partition(".")
    return f"{whole}.{rest.rstrip('0')}".rstrip(".")


def _classify(work: Writing, severity: Severity) -> None:
    row = work.row
    # whoever lowers the severity does not get rid of the report by it
    row.postmortem_required |= postmortem_required(work.runtime, severity, drill=row.drill)
    if row.classified_at is None and is_reportable(work.runtime, severity, drill=row.drill):
        row.classified_at = work.now


async def _tell_severity(work: Writing, before: Severity, now: Severity) -> None:
    graver = list(Severity)
    if graver.index(now) < graver.index(before):
        title, said = f"now {now.value}", f"Its severity was raised from {before.value} to {now.value}."
        await telling.tell(work, IncidentTopic.SEVERITY_RAISED, title, said, again=str(work.row.version))


async def set_milestone(
    session: AsyncSession, runtime: Runtime, caller: Caller, ident: str, request: MilestoneRequest
) -> Incident:
    """Say when a milestone was reached; what was said before stays on the timeline.

    Raises:
        WatchfloorError: NOT_FOUND; CONFLICT once it is closed, and for the end of one that is not over;
            INVALID_REQUEST for an instant that cannot be.
    """
    work = await writing(session, runtime, caller, ident)
    work.refuse_closed()
    _refuse_not_over(work, request.name)
    at = checking.instant(request.occurred_at, work.now)
    known = await work.known()
    checking.in_order(request.name, at, known)
    before = known.get(request.name)
    await work.milestone(request.name, at, auto=False)
    earlier = "" if before is None else f" (before: {_instant(before)})"
    text = f"{request.name.value} at {_instant(at)}{earlier}: {request.why}"
    await work.entry("milestone", text, occurred_at=at)
    work.changed()
    told = {"milestone": request.name.value, "occurred_at": _instant(at), "why": request.why}
    old = None if before is None else {"occurred_at": _instant(before)}
    return await work.finish("incidents.milestone.set", "set milestone of incident", told, old=old)


def _refuse_not_over(work: Writing, name: MilestoneName) -> None:
    """The end of an incident is an act: a time of it can be put right, and does not stand for it."""
    row = work.row
    if name is MilestoneName.CLOSED:
        hint = f"Close it: `watchfloor incidents close {row.id}`, or D on its screen."
        raise WatchfloorError(ErrorCode.CONFLICT, f"{row.id} is not closed by naming a time.", hint=hint)
    if name is MilestoneName.RESOLVED and row.status == IncidentStatus.OPEN.value:
        hint = f"Resolve it: `watchfloor incidents resolve {row.id} --at TIME --note TEXT`, or R on its screen."
        raise WatchfloorError(ErrorCode.CONFLICT, f"{row.id} is not resolved by naming a time.", hint=hint)


def _instant(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


async def set_role(
    session: AsyncSession, runtime: Runtime, caller: Caller, ident: str, request: RoleRequest
) -> Incident:
    """Give a role to somebody, hand it over, or renounce it.

    Raises:
        WatchfloorError: NOT_FOUND; CONFLICT once it is closed; INVALID_REQUEST for a role that the policy lacks.
    """
    work = await writing(session, runtime, caller, ident)
    work.refuse_closed()
    role = checking.one_of("role", request.role, runtime.policy.incident_rules.roles)
    person = None if request.person is None else checking.name("person", request.person)
    query = select(IncidentRole).where(
        IncidentRole.incident == work.row.id, IncidentRole.role == role, IncidentRole.until.is_(None)
    )
    held = await session.scalar(query)
    before = None if held is None else held.person
    if before == person:
        return await views.show(session, runtime, work.row)
    if held is not None:
        held.until = work.now
        await session.flush()
    if person is not None:
        session.add(IncidentRole(incident=work.row.id, role=role, person=person, since=work.now))
    await work.entry("role", _handed_over(role, before, person) + (f": {request.note}" if request.note else ""))
    work.changed()
    if role == COMMANDER and person is not None:
        said = "Command was handed over. Whoever has it now: the timeline says what there is to know."
        await telling.tell(
            work, IncidentTopic.COMMANDER_CHANGED, "another commander", said, again=str(work.row.version)
        )
    told = {"role": role, "person": person}
    return await work.finish("incidents.role.changed", "change role in incident", told, old={"person": before})


def _handed_over(role: str, before: str | None, person: str | None) -> str:
    if person is None:
        return f"{before} is no longer {role}"
    return f"{person} is {role}" if before is None else f"{person} took over as {role} from {before}"


async def link(session: AsyncSession, runtime: Runtime, caller: Caller, ident: str, request: LinkRequest) -> Incident:
    """Make an alert or a freeze part of an incident; doing it twice changes nothing.

    Raises:
        WatchfloorError: NOT_FOUND; CONFLICT for an alert of another incident, and once it is closed.
    """
    work = await writing(session, runtime, caller, ident)
    work.refuse_closed()
    if request.kind == "alert":
        await take_in_alerts(work, [request.id])
    else:
        await take_in_freezes(work, [request.id])
    if not work.entries:
        return await views.show(session, runtime, work.row)
    work.changed()
    told = {"kind": request.kind, "id": request.id}
    return await work.finish("incidents.record.linked", "link to incident", told)


async def report_sent(
    session: AsyncSession, runtime: Runtime, caller: Caller, ident: str, request: ReportSentRequest
) -> Incident:
    """Say that a report went to the authority; saying it again puts the time right.

    Raises:
        WatchfloorError: NOT_FOUND; REFUSED_BY_POLICY where no reports are due; INVALID_REQUEST.
    """
    work = await writing(session, runtime, caller, ident)
    if not runtime.policy.incident_rules.reports.enabled or work.row.classified_at is None:
        raise WatchfloorError(ErrorCode.REFUSED_BY_POLICY, f"No report of {work.row.id} to an authority is due.")
    at = checking.instant(request.sent_at, work.now)
    work.row.reported = {**work.row.reported, request.report: at.isoformat()}
    told = {"to": request.to.strip(), "reference": request.reference.strip()}
    work.row.reports_told = {**work.row.reports_told, request.report: told}
    where = f", reference {told['reference']}" if told["reference"] else ""
    text = f"The {request.report} report was sent to {told['to'] or 'the authority'}{where}"
    await work.entry("note", text, occurred_at=at)
    work.changed()
    told |= {"report": request.report, "sent_at": _instant(at)}
    return await work.finish("incidents.report.sent", "report incident to authority", told)
