"""Declaring an incident: its number without gaps or doubles, its first lines, roles, steps, links and snapshot.

The number is given out under a lock of its year's row, in the transaction that writes the incident: whoever fails gives
it back, whoever comes next waits for the outcome.
"""

from datetime import datetime
from typing import Final

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from backend.context import Caller, Runtime
from backend.incidents import checking, places, snapshots, telling, views
from backend.incidents.filling import MAX_SCOPES, take_in_alerts, take_in_freezes
from backend.incidents.numbering import incident_id
from backend.incidents.tables import IncidentAction, IncidentNumber, IncidentRole, IncidentRow, IncidentStep
from backend.incidents.writing import Writing
from backend.policy.incidents import COMMANDER
from backend.policy.notifying import IncidentTopic
from contract.incidents import DeclareRequest, Incident, MilestoneName
from contract.states import IncidentStatus, Severity

_FACTS: Final = (
    "title", "type", "severity", "services", "loss_usd", "loss_eth", "users", "description",
)  # fmt: skip
"""What people change of the record, each with its own version."""


async def declare(session: AsyncSession, runtime: Runtime, caller: Caller, request: DeclareRequest) -> Incident:
    """Declare an incident; the same key of the same person answers with the same one.

    Raises:
        WatchfloorError: INVALID_REQUEST, also for a start after it was detected; NOT_FOUND for an alert or freeze;
            CONFLICT for an alert of another incident.
    """
    ends = await places.ends(session, runtime)  # before the instant: whatever is later lies behind them
    now = runtime.clock.now()
    kind = checking.one_of("type of incident", request.type, runtime.policy.incident_rules.types)
    title = checking.name("title", request.title)
    commander = checking.name("commander", request.commander or caller.subject)
    started_at = None if request.started_at is None else checking.instant(request.started_at, now)
    seen = await snapshots.look(session, runtime)  # before the lock: whoever comes next waits for what follows
    number = await _next_number(session, now.year)
    if request.idempotency_key and (earlier := await _by_key(session, caller, request.idempotency_key)):
        return await views.show(session, runtime, earlier)
    await session.execute(update(IncidentNumber).where(IncidentNumber.year == now.year).values(last=number))
    row = _row(runtime, caller, request, title=title, kind=kind, number=number, now=now)
    session.add(row)
    await session.flush()
    await places.note(session, row, ends)
    work = Writing(session, runtime, caller, row, now)
    what = "A drill" if request.drill else "An incident"
    await work.entry("milestone", f"{what} was declared: {title} ({kind}, {request.severity.value})")
    await _begin_procedure(work)
    await _take_role(work, commander)
    if started_at is not None:
        await work.milestone(MilestoneName.STARTED, started_at, auto=False)
    found = await take_in_alerts(work, request.alerts)
    await take_in_freezes(work, request.freezes)
    await work.first(MilestoneName.DETECTED, now)
    if started_at is not None:
        checking.in_order(MilestoneName.STARTED, started_at, await work.known())
    if caller.kind == "user":  # whoever declares it has taken it on
        await work.first(MilestoneName.ACKNOWLEDGED, now)
    await snapshots.keep(work, seen)
    told = {"title": title, "type": kind, "severity": request.severity.value, "drill": request.drill}
    said = f"Declared as {kind}, {request.severity.value}."
    await telling.tell(work, IncidentTopic.DECLARED, title, said)
    about = {"scopes": row.scopes, "commander": commander, "alerts": len(found), "freezes": len(request.freezes)}
    return await work.finish("incidents.record.declared", "declare incident", {**told, **about})


async def _next_number(session: AsyncSession, year: int) -> int:
    locked = (
        insert(IncidentNumber)
        .values(year=year, last=0)
        .on_conflict_do_update(index_elements=[IncidentNumber.year], set_={"last": IncidentNumber.last})
        .returning(IncidentNumber.last)
    )
    return (await session.execute(locked)).scalar_one() + 1


async def _by_key(session: AsyncSession, caller: Caller, key: str) -> IncidentRow | None:
    wanted = select(IncidentRow).where(IncidentRow.declared_by == caller.subject, IncidentRow.idempotency_key == key)
    return (await session.execute(wanted)).scalar_one_or_none()


def _row(
    runtime: Runtime, caller: Caller, request: DeclareRequest, *, title: str, kind: str, number: int, now: datetime
) -> IncidentRow:
    return IncidentRow(
        id=incident_id(now.year, number),
        year=now.year,
        number=number,
        title=title,
        type=kind,
        severity=request.severity.value,
        status=IncidentStatus.OPEN.value,
        step=runtime.policy.incidents.procedure[0].step,
        drill=request.drill,
        scopes=list(dict.fromkeys(map(str, request.scopes)))[:MAX_SCOPES],
        declared_by=caller.subject,
        declared_at=now,
        updated_at=now,
        services=[],
        description="",
        postmortem_required=postmortem_required(runtime, request.severity, drill=request.drill),
        classified_at=now if is_reportable(runtime, request.severity, drill=request.drill) else None,
        reported={},
        reports_told={},
        version=1,
        field_versions=dict.fromkeys(_FACTS, 1),
        last_entry=0,
        last_follow_up=0,
        idempotency_key=request.idempotency_key or None,
    )


def postmortem_required(runtime: Runtime, severity: Severity, *, drill: bool) -> bool:
    """Whether one of this severity cannot be closed without a report; practice can."""
    return not drill and severity in runtime.policy.incident_rules.post_mortem_required


def is_reportable(runtime: Runtime, severity: Severity, *, drill: bool) -> bool:
    """Whether an authority has to hear of one of this severity."""
    return not drill and severity in runtime.policy.incident_rules.reports.severities


async def _begin_procedure(work: Writing) -> None:
    procedure = work.runtime.policy.incidents.procedure
    for number, step in enumerate(procedure, 1):
        begun_at = work.now if number == 1 else None
        work.session.add(IncidentStep(incident=work.row.id, number=number, name=step.step, begun_at=begun_at))
    await work.session.flush()
    for number, step in enumerate(procedure, 1):
        work.session.add_all(
            IncidentAction(incident=work.row.id, step=number, number=place, text=action, note="")
            for place, action in enumerate(step.actions, 1)
        )
    await work.entry("step", f"{procedure[0].step} (step 1 of {len(procedure)}) has begun")
    begun = work.runtime.policy.incident_rules.begun.get(procedure[0].step)
    if begun is not None:
        await work.first(begun, work.now)


async def _take_role(work: Writing, commander: str) -> None:
    work.session.add(IncidentRole(incident=work.row.id, role=COMMANDER, person=commander, since=work.now))
    await work.entry("role", f"{commander} is {COMMANDER}")
