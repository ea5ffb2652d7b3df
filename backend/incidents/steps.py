"""The procedure as a checklist, and the end of an incident: resolved, opened again, closed."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from backend.alerts import service as alerts
from backend.audit.service import AuditDraft
from backend.context import Caller, Runtime
from backend.errors import WatchfloorError, not_found
from backend.incidents import checking, places, telling, views
from backend.incidents.filling import catch_up, quietens
from backend.incidents.tables import IncidentAction, IncidentStep
from backend.incidents.writing import INCIDENT, Writing, writing
from backend.policy.notifying import IncidentTopic
from contract.audit import AuditResult
from contract.errors import ErrorCode
from contract.incidents import (
    AdvanceRequest,
    CloseRequest,
    Incident,
    MilestoneName,
    ReopenRequest,
    ResolveRequest,
    StepActionRequest,
)
from contract.states import IncidentStatus, PostmortemState


async def _steps(work: Writing) -> Sequence[IncidentStep]:
    query = select(IncidentStep).where(IncidentStep.incident == work.row.id).order_by(IncidentStep.number)
    return (await work.session.scalars(query)).all()


def _named(steps: Sequence[IncidentStep], name: str) -> IncidentStep:
    found = next((one for one in steps if one.name.casefold() == name.strip().casefold()), None)
    if found is None:
        raise not_found("step", name)
    return found


async def advance(
    session: AsyncSession, runtime: Runtime, caller: Caller, ident: str, request: AdvanceRequest
) -> Incident:
    """Go on to a step, or back to one; going to where it is already changes nothing.

    Raises:
        WatchfloorError: NOT_FOUND; CONFLICT after the last step, and once it is closed; INVALID_REQUEST for going back
            without saying why.
    """
    work = await writing(session, runtime, caller, ident)
    work.refuse_closed()
    steps = await _steps(work)
    here = _named(steps, work.row.step)
    there = _named(steps, request.step) if request.step is not None else _after(work, steps, here)
    if there is here:
        return await views.show(session, runtime, work.row)
    forward, why = there.number > here.number, request.note.strip()
    if not forward and not why:
        raise _without_reason(there)
    rules = runtime.policy.incident_rules
    work.row.step = there.name
    there.begun_at, there.done_at = there.begun_at or work.now, None
    place = f"{there.name} (step {there.number} of {len(steps)})"
    said = f"{place} has begun" if forward else f"Back to {place}"
    await work.entry("step", f"{said}: {why}" if why else said)
    if forward:
        here.done_at = work.now
        await _reach(work, rules.done.get(here.name), f"{here.name} is done")
    await _reach(work, rules.begun.get(there.name), f"{there.name} has begun")
    work.changed()
    return await work.finish(
        "incidents.step.advanced", "advance incident", {"step": there.name}, old={"step": here.name}
    )


def _after(work: Writing, steps: Sequence[IncidentStep], here: IncidentStep) -> IncidentStep:
    if here is steps[-1]:
        raise WatchfloorError(
            ErrorCode.CONFLICT,
            f"{work.row.id} is at the last step, {here.name}.",
            hint="Resolve it, and close it once its post-mortem is approved.",
        )
    return steps[here.number]


def _without_reason(there: IncidentStep) -> WatchfloorError:
    hint = "What was done stays done; the timeline says why it was not enough."
    return WatchfloorError(ErrorCode.INVALID_REQUEST, f"Say why it goes back to {there.name}.", hint=hint)


async def _reach(work: Writing, name: MilestoneName | None, because: str) -> None:
    if name is not None and await work.first(name, work.now):
        await work.entry("milestone", f"The incident counts as {name.value}: {because}", auto=True)


async def tick(
    session: AsyncSession, runtime: Runtime, caller: Caller, ident: str, request: StepActionRequest
) -> Incident:
    """Tick an action off, or take the tick back; what is so already is left alone unless there is a note.

    Raises:
        WatchfloorError: NOT_FOUND; CONFLICT once it is closed.
    """
    work = await writing(session, runtime, caller, ident)
    work.refuse_closed()
    step = _named(await _steps(work), request.step)
    action = await session.get(IncidentAction, (work.row.id, step.number, request.number))
    if action is None:
        raise not_found(f"action of {step.name}", str(request.number))
    if (action.done_at is not None) == request.done and not request.note:
        return await views.show(session, runtime, work.row)
    if request.done and action.done_at is None:
        action.done_at, action.done_by = work.now, caller.subject
    elif not request.done:
        action.done_at = action.done_by = None
    action.note = request.note or action.note
    said = f": {request.note}" if request.note else ""
    await work.entry("step", f"{action.text} ({step.name}): {'done' if request.done else 'not done after all'}{said}")
    work.changed()
    told = {"step": step.name, "action": action.text, "done": request.done}
    return await work.finish("incidents.step.ticked", "tick action of incident", told)


async def resolve(
    session: AsyncSession, runtime: Runtime, caller: Caller, ident: str, request: ResolveRequest
) -> Incident:
    """Say that it is over.

    Raises:
        WatchfloorError: NOT_FOUND; CONFLICT if it is over already; INVALID_REQUEST for an instant before it started.
    """
    work = await writing(session, runtime, caller, ident)
    if work.row.status != IncidentStatus.OPEN.value:
        raise WatchfloorError(ErrorCode.CONFLICT, f"{work.row.id} is {work.row.status} already.")
    at = checking.instant(request.occurred_at, work.now)
    checking.in_order(MilestoneName.RESOLVED, at, await work.known())
    await catch_up(work)  # it may be closed before the scribe comes round
    work.row.status, work.row.resolved_at = IncidentStatus.RESOLVED.value, work.now
    await work.milestone(MilestoneName.RESOLVED, at, auto=request.occurred_at is None)
    if work.row.drill:
        await alerts.drill_over(work.session, work.runtime, work.caller, work.row.id)
    await work.entry("milestone", f"resolved: {request.note}", occurred_at=at)
    work.changed()
    await telling.tell(work, IncidentTopic.RESOLVED, "resolved", "It is over.", again=str(work.row.version))
    return await work.finish("incidents.record.resolved", "resolve incident", {"note": request.note})


async def reopen(
    session: AsyncSession, runtime: Runtime, caller: Caller, ident: str, request: ReopenRequest
) -> Incident:
    """Say that it is not over after all.

    Raises:
        WatchfloorError: NOT_FOUND; CONFLICT unless it is resolved.
    """
    work = await writing(session, runtime, caller, ident)
    work.refuse_closed()
    if work.row.status != IncidentStatus.RESOLVED.value:
        raise WatchfloorError(ErrorCode.CONFLICT, f"{work.row.id} is open.")
    await places.note(session, work.row, await places.ends(session, runtime))
    work.row.status, work.row.resolved_at = IncidentStatus.OPEN.value, None
    await catch_up(work)  # the scribe goes on from here: nobody has followed what is part of it since it was over
    if quietens(work):
        await alerts.drill_again(session, runtime, caller, work.row.id)
    await work.entry("milestone", f"opened again: {request.why}")
    work.changed()
    return await work.finish("incidents.record.reopened", "reopen incident", {"why": request.why})


async def close(session: AsyncSession, runtime: Runtime, caller: Caller, ident: str, request: CloseRequest) -> Incident:
    """Put the record away for good.

    Raises:
        WatchfloorError: NOT_FOUND; CONFLICT unless it is resolved; REFUSED_BY_POLICY without an approved post-mortem
            where the policy wants one.
    """
    work = await writing(session, runtime, caller, ident)
    work.refuse_closed()
    row = work.row
    if row.status != IncidentStatus.RESOLVED.value:
        raise WatchfloorError(ErrorCode.CONFLICT, f"{row.id} is not resolved.", hint="Resolve it first.")
    if row.postmortem_required and row.postmortem != PostmortemState.APPROVED.value:
        raise _without_postmortem(work)
    row.status = IncidentStatus.CLOSED.value
    if row.drill:
        await alerts.drill_over(session, runtime, caller, row.id)
    await places.forget(session, row.id)
    await work.milestone(MilestoneName.CLOSED, work.now, auto=True)
    await work.entry("milestone", f"closed: {request.note}" if request.note else "closed")
    work.changed()
    return await work.finish("incidents.record.closed", "close incident", {"note": request.note})


def _without_postmortem(work: Writing) -> WatchfloorError:
    row = work.row
    has = "has none" if row.postmortem is None else f"has one in {row.postmortem}"
    told = f"{row.id} is {row.severity}: it cannot be closed without an approved post-mortem, and {has}."
    refused = AuditDraft(
        "incidents.record.closed",
        "close incident",
        resource_type=INCIDENT,
        resource_id=row.id,
        incident=row.id,
        result=AuditResult.DENIED,
        error_message=told,
    )
    hint = "Write it, and have somebody else approve it."
    return WatchfloorError(ErrorCode.REFUSED_BY_POLICY, told, hint=hint, audit=refused)
