"""The steps a hold takes on its way to being lifted, and back: each changes the row, is audited and is published.

Must be called with the hold's row locked. Decides nothing about who may take a step.
"""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from backend.audit import service as audit
from backend.context import Caller, Runtime
from backend.freeze import core, store, thaw_facts, thawing, views
from backend.freeze.tables import FreezeRow
from contract.freeze import Freeze, FreezeStatus

REQUESTED = "freeze.thaw.requested"
APPROVED = "freeze.thaw.approved"
WITHDRAWN = "freeze.thaw.withdrawn"
EXPIRED = "freeze.thaw.expired"
BROKEN_OFF = "freeze.thaw.broken_off"
COMPLETED = "freeze.thaw.completed"
DRILL_OVER = "freeze.hold.drill_over"
_ACTIONS = {
    REQUESTED: "request thaw",
    APPROVED: "approve thaw",
    WITHDRAWN: "withdraw thaw request",
    EXPIRED: "let thaw request lapse",
    BROKEN_OFF: "break off thaw",
    COMPLETED: "complete thaw",
    DRILL_OVER: "lift a drill's hold",
}
_MAX_AUDITED_NAMES = 50
"""An entry has a bounded size; the digest stands for the rest."""


def state_of(row: FreezeRow) -> core.ThawState:
    """Where the hold stands."""
    return core.ThawState(
        status=FreezeStatus(row.status),
        requested_by=row.thaw_requested_by,
        lifted_by=row.thawed_by,
        version=row.version,
    )


def draft(row: FreezeRow, event_type: str, **values: Any) -> audit.AuditDraft:
    """The entry of a step, or of its refusal."""
    return audit.AuditDraft(
        event_type=event_type,
        action=_ACTIONS[event_type],
        resource_type="freeze",
        resource_id=core.ref_of(row.number),
        **values,
    )


async def shown(session: AsyncSession, runtime: Runtime, row: FreezeRow) -> Freeze:
    """The hold for whoever has just taken a step, with what lifting it means now."""
    await session.flush()
    [freeze] = await views.show(session, runtime, [row])
    return freeze.model_copy(update={"thaw": await thaw_facts.show(session, runtime, row)})


async def ask(
    session: AsyncSession,
    runtime: Runtime,
    caller: Caller,
    row: FreezeRow,
    *,
    after: core.ThawState,
    reason: str,
    facts: thaw_facts.Facts,
) -> Freeze:
    """Note who asks, why, and what about; it lapses by itself."""
    row.thaw_requested_at = facts.now
    row.thaw_reason = reason
    row.thaw_expires_at = facts.now + timedelta(minutes=runtime.policy.thaw.request_minutes)
    row.thaw_subject = facts.subject.plain()
    row.thaw_digest = facts.subject.digest
    told = {"reason": reason, "digest": facts.subject.digest, "expires_at": row.thaw_expires_at.isoformat()}
    return await _take(session, runtime, caller, row, after=after, event_type=REQUESTED, **told)


async def begin(
    session: AsyncSession,
    runtime: Runtime,
    caller: Caller,
    row: FreezeRow,
    *,
    after: core.ThawState,
    facts: thaw_facts.Facts,
) -> Freeze:
    """Let the first executors go; all of them, and the hold with them, where there is nobody to watch."""
    rules = runtime.policy.thaw
    first = thawing.first_stage(row.id, facts.subject.executors, thaw_facts.first_percent(rules))
    told = {
        "reason": row.thaw_reason,
        "requested_by": row.thaw_requested_by,
        "digest": facts.subject.digest,
        "let_go_first": len(first),
        "let_go": len(facts.subject.executors),
        "first": sorted(first)[:_MAX_AUDITED_NAMES],
    }
    if first and rules.watch_seconds:
        row.thaw_released = sorted(first)
        row.thaw_looked_at = facts.now
        row.thaw_watch_until = facts.now + timedelta(seconds=rules.watch_seconds)
        return await _take(session, runtime, caller, row, after=after, event_type=APPROVED, **told)
    _lift(row, facts.now)
    return await _take(session, runtime, caller, row, after=core.finish_thaw(after), event_type=APPROVED, **told)


async def finish(session: AsyncSession, runtime: Runtime, caller: Caller, row: FreezeRow, *, now: datetime) -> Freeze:
    """Let the rest go: the hold is over."""
    _lift(row, now)
    after = core.finish_thaw(state_of(row))
    return await _take(session, runtime, caller, row, after=after, event_type=COMPLETED, approved_by=row.thawed_by)


async def end_drill(
    session: AsyncSession, runtime: Runtime, caller: Caller, row: FreezeRow, *, now: datetime
) -> Freeze:
    """Lift the hold of a drill that is over: it was never there to protect anything."""
    _lift(row, now)
    after = core.end_drill(state_of(row), by=caller.subject)
    return await _take(session, runtime, caller, row, after=after, event_type=DRILL_OVER)


async def step_back(
    session: AsyncSession, runtime: Runtime, caller: Caller, row: FreezeRow, *, event_type: str, **told: Any
) -> Freeze:
    """Put the hold back in force as it was. One that had let executors go covers them again, under a new epoch.

    The new epoch makes permits worthless that were given meanwhile, and what those executors had proved before.
    """
    after = core.put_back(state_of(row))
    told["requested_by"] = row.thaw_requested_by
    if row.status == FreezeStatus.THAWING.value:
        told["approved_by"] = row.thawed_by
        await _cover_again(session, row)
        told["epoch"] = row.epoch
    row.thaw_requested_at = row.thaw_reason = row.thaw_expires_at = None
    row.thaw_subject = row.thaw_digest = None
    return await _take(session, runtime, caller, row, after=after, event_type=event_type, **told)


async def _cover_again(session: AsyncSession, row: FreezeRow) -> None:
    counters = await store.lock_counters(session)
    await store.raise_counters(session, epoch=counters.epoch + 1, number=counters.number)
    row.epoch = counters.epoch + 1
    row.held_since = counters.now
    await store.forget_answers(session, row.id, row.thaw_released or [])
    row.thaw_released = row.thaw_watch_until = row.thaw_looked_at = None


def _lift(row: FreezeRow, now: datetime) -> None:
    row.thawed_at = now
    row.thaw_released = row.thaw_watch_until = row.thaw_looked_at = None


async def _take(
    session: AsyncSession,
    runtime: Runtime,
    caller: Caller,
    row: FreezeRow,
    *,
    after: core.ThawState,
    event_type: str,
    **facts: Any,
) -> Freeze:
    old = {"status": row.status, "version": row.version}
    row.status = after.status.value
    row.thaw_requested_by = after.requested_by
    row.thawed_by = after.lifted_by
    row.version = after.version
    new = {"status": row.status, "version": row.version, "scope": str(store.scope_of(row)), **facts}
    await audit.record(session, runtime, caller, draft(row, event_type, old_value=old, new_value=new))
    return await views.announce(session, runtime, row)
