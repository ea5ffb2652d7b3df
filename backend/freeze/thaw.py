"""Lifting holds: one person asks, another approves. A refusal is audited and says how the hold stands now."""

from collections.abc import Callable
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from backend.audit import service as audit
from backend.context import Caller, Runtime
from backend.errors import WatchfloorError
from backend.freeze import core, store, views
from backend.freeze.tables import FreezeRow
from backend.roster import service as roster
from contract.audit import AuditResult
from contract.errors import ErrorCode
from contract.freeze import Freeze, FreezeStatus, ThawApproval, ThawRequest

REQUESTED = "freeze.thaw.requested"
APPROVED = "freeze.thaw.approved"
WITHDRAWN = "freeze.thaw.withdrawn"
_ACTIONS = {REQUESTED: "request thaw", APPROVED: "approve thaw", WITHDRAWN: "withdraw thaw request"}


async def request_thaw(
    session: AsyncSession, runtime: Runtime, caller: Caller, ident: str, request: ThawRequest
) -> Freeze:
    """Ask for a hold to be lifted; it stays in force. Repeating one's own request answers with it.

    Raises:
        WatchfloorError: NOT_FOUND; NOT_ALLOWED for anything but a person; CONFLICT if asked for or lifted already.
    """
    row = await store.row_by_ident(session, ident, lock=True)
    _only_people(caller, row, REQUESTED)
    if (
        row.status == FreezeStatus.THAW_REQUESTED.value
        and core.same_person(row.thaw_requested_by, caller.subject)
        and row.thaw_reason == request.reason
    ):
        [freeze] = await views.show(session, runtime, [row])
        return freeze
    after = _step(row, REQUESTED, lambda state: core.request_thaw(state, by=caller.subject))
    row.thaw_requested_at = await roster.database_now(session)
    row.thaw_reason = request.reason
    return await _take(session, runtime, caller, row, after=after, event_type=REQUESTED, reason=request.reason)


async def approve_thaw(
    session: AsyncSession, runtime: Runtime, caller: Caller, ident: str, approval: ThawApproval
) -> Freeze:
    """Lift a hold that somebody else has asked to lift. Other holds on the same executors stay.

    Raises:
        WatchfloorError: NOT_FOUND; NOT_ALLOWED for anything but a person; SECOND_PERSON_REQUIRED for the requester;
            CONFLICT if nobody asked, it is lifted already, or it changed since the approver looked.
    """
    row = await store.row_by_ident(session, ident, lock=True)
    _only_people(caller, row, APPROVED)
    after = _step(
        row, APPROVED, lambda state: core.approve_thaw(state, by=caller.subject, seen_version=approval.version)
    )
    row.thawed_at = await roster.database_now(session)
    return await _take(session, runtime, caller, row, after=after, event_type=APPROVED, reason=row.thaw_reason)


async def withdraw_thaw(session: AsyncSession, runtime: Runtime, caller: Caller, ident: str) -> Freeze:
    """Take back or turn down a request to lift a hold; the hold stays in force as before.

    Raises:
        WatchfloorError: NOT_FOUND; CONFLICT if nobody has asked or it is lifted already.
    """
    row = await store.row_by_ident(session, ident, lock=True)
    asked_by = row.thaw_requested_by
    after = _step(row, WITHDRAWN, core.withdraw_thaw)
    row.thaw_requested_at = row.thaw_reason = None
    return await _take(session, runtime, caller, row, after=after, event_type=WITHDRAWN, requested_by=asked_by)


def _state(row: FreezeRow) -> core.ThawState:
    return core.ThawState(
        status=FreezeStatus(row.status),
        requested_by=row.thaw_requested_by,
        lifted_by=row.thawed_by,
        version=row.version,
    )


def _only_people(caller: Caller, row: FreezeRow, event_type: str) -> None:
    if caller.kind != "user":
        raise WatchfloorError(
            ErrorCode.NOT_ALLOWED,
            "Only a signed-in person may ask for a thaw or approve one.",
            hint="Two people are needed; a service token is nobody.",
            audit=_draft(row, event_type, result=AuditResult.DENIED, error_message="not a person"),
        )


def _step(
    row: FreezeRow, event_type: str, rule: Callable[[core.ThawState], core.ThawState | core.Refusal]
) -> core.ThawState:
    outcome = rule(_state(row))
    if isinstance(outcome, core.ThawState):
        return outcome
    code = ErrorCode.SECOND_PERSON_REQUIRED if outcome.needs_second_person else ErrorCode.CONFLICT
    result = AuditResult.DENIED if outcome.needs_second_person else AuditResult.FAILURE
    raise WatchfloorError(
        code,
        f"{core.ref_of(row.number)} is {_STATUS_WORDS[FreezeStatus(row.status)]}: {outcome.reason}.",
        hint=outcome.hint,
        audit=_draft(row, event_type, result=result, error_message=outcome.reason),
    )


_STATUS_WORDS = {
    FreezeStatus.ACTIVE: "in force",
    FreezeStatus.THAW_REQUESTED: "in force with a thaw requested",
    FreezeStatus.THAWED: "no longer in force",
}


def _draft(row: FreezeRow, event_type: str, **values: Any) -> audit.AuditDraft:
    return audit.AuditDraft(
        event_type=event_type,
        action=_ACTIONS[event_type],
        resource_type="freeze",
        resource_id=core.ref_of(row.number),
        **values,
    )


async def _take(
    session: AsyncSession,
    runtime: Runtime,
    caller: Caller,
    row: FreezeRow,
    *,
    after: core.ThawState,
    event_type: str,
    **facts: str | None,
) -> Freeze:
    old = {"status": row.status, "version": row.version}
    row.status = after.status.value
    row.thaw_requested_by = after.requested_by
    row.thawed_by = after.lifted_by
    row.version = after.version
    new = {"status": row.status, "version": row.version, "scope": str(store.scope_of(row)), **facts}
    await audit.record(session, runtime, caller, _draft(row, event_type, old_value=old, new_value=new))
    return await views.announce(session, runtime, row)
