"""Lifting holds: one person asks, another approves. A refusal is audited and says how the hold stands now.

Nothing here asks whether anything is frozen: a floor on which everything stands still can always be thawed.
"""

from sqlalchemy.ext.asyncio import AsyncSession

from backend.auth import service as auth
from backend.context import Caller, Runtime
from backend.errors import WatchfloorError
from backend.freeze import core, store, thaw_facts, thawing
from backend.freeze import thaw_steps as steps
from backend.freeze.tables import FreezeRow
from contract.audit import AuditResult
from contract.errors import ErrorCode
from contract.freeze import Freeze, FreezeStatus, ThawApproval, ThawRequest
from contract.hardware import HardwareAct

_STATUS_WORDS = {
    FreezeStatus.ACTIVE: "in force",
    FreezeStatus.THAW_REQUESTED: "in force with a thaw requested",
    FreezeStatus.THAWING: "being lifted",
    FreezeStatus.THAWED: "no longer in force",
}
_ASK_AGAIN = "Ask for the thaw again; what stands now is then what a second person approves."


async def request_thaw(
    session: AsyncSession, runtime: Runtime, caller: Caller, ident: str, request: ThawRequest
) -> Freeze:
    """Ask for a hold to be lifted; it stays in force. Repeating one's own request answers with it.

    A request that lapsed, or whose subject has changed since, is replaced by a new one, whoever asks.

    Raises:
        WatchfloorError: NOT_FOUND; NOT_ALLOWED for anything but a person; CONFLICT if asked for or lifted already.
    """
    row = await store.row_by_ident(session, ident, lock=True)
    _only_people(caller, row, steps.REQUESTED)
    facts = await thaw_facts.facts_of(session, row)
    stale = row.thaw_digest != facts.subject.digest or _lapsed(row, facts)
    repeated = core.same_person(row.thaw_requested_by, caller.subject) and row.thaw_reason == request.reason
    if row.status == FreezeStatus.THAW_REQUESTED.value and repeated and not stale:
        return await steps.shown(session, runtime, row)
    after = _or_refuse(row, steps.REQUESTED, core.request_thaw(steps.state_of(row), by=caller.subject, stale=stale))
    await steps.ask(session, runtime, caller, row, after=after, reason=request.reason, facts=facts)
    return await steps.shown(session, runtime, row)


async def approve_thaw(
    session: AsyncSession, runtime: Runtime, caller: Caller, ident: str, approval: ThawApproval
) -> Freeze:
    """Lift a hold that somebody else has asked to lift, in stages. Other holds on the same executors stay.

    Raises:
        WatchfloorError: NOT_FOUND; NOT_ALLOWED for anything but a person; SECOND_PERSON_REQUIRED for the requester;
            REFUSED_BY_POLICY if nobody asked, the request lapsed, anything changed since it was asked for or shown, or
            the hold has not stood long enough; CONFLICT if it is lifted already; INVALID_REQUEST without a digest.
    """
    row = await store.row_by_ident(session, ident, lock=True)
    _only_people(caller, row, steps.APPROVED)
    facts = await thaw_facts.facts_of(session, row)
    outcome = core.approve_thaw(steps.state_of(row), by=caller.subject, seen_version=approval.version)
    after = _or_refuse(row, steps.APPROVED, outcome)
    _only_in_time(runtime, row, facts)
    _only_what_was_shown(row, facts, approval.digest)
    await auth.require_fresh_key(session, runtime, caller, HardwareAct.APPROVE_THAW, f"{row.id} {facts.subject.digest}")
    await steps.begin(session, runtime, caller, row, after=after, facts=facts)
    return await steps.shown(session, runtime, row)


async def withdraw_thaw(session: AsyncSession, runtime: Runtime, caller: Caller, ident: str) -> Freeze:
    """Take back or turn down a request, or break off a thaw that is taking effect; the hold is in force as before.

    Raises:
        WatchfloorError: NOT_FOUND; CONFLICT if nobody has asked or it is lifted already.
    """
    row = await store.row_by_ident(session, ident, lock=True)
    under_way = row.status == FreezeStatus.THAWING.value
    event_type = steps.BROKEN_OFF if under_way else steps.WITHDRAWN
    _or_refuse(row, event_type, core.withdraw_thaw(steps.state_of(row)))
    told = {"why": "a person stopped it"} if under_way else {}
    await steps.step_back(session, runtime, caller, row, event_type=event_type, **told)
    return await steps.shown(session, runtime, row)


def _lapsed(row: FreezeRow, facts: thaw_facts.Facts) -> bool:
    return row.thaw_expires_at is None or row.thaw_expires_at <= facts.now


def _only_people(caller: Caller, row: FreezeRow, event_type: str) -> None:
    if caller.kind != "user":
        raise WatchfloorError(
            ErrorCode.NOT_ALLOWED,
            "Only a signed-in person may ask for a thaw or approve one.",
            hint="Two people are needed; a service token is nobody.",
            audit=steps.draft(row, event_type, result=AuditResult.DENIED, error_message="not a person"),
        )


def _or_refuse(row: FreezeRow, event_type: str, outcome: core.ThawState | core.Refusal) -> core.ThawState:
    if isinstance(outcome, core.ThawState):
        return outcome
    raise _refusal(row, event_type, _code_of(outcome), outcome.reason, outcome.hint)


def _code_of(refusal: core.Refusal) -> ErrorCode:
    if refusal.needs_second_person:
        return ErrorCode.SECOND_PERSON_REQUIRED
    return ErrorCode.REFUSED_BY_POLICY if refusal.by_rule else ErrorCode.CONFLICT


def _only_in_time(runtime: Runtime, row: FreezeRow, facts: thaw_facts.Facts) -> None:
    if _lapsed(row, facts):
        minutes = runtime.policy.thaw.request_minutes
        reason = f"the request of {row.thaw_requested_by} has lapsed after {minutes} min"
        raise _refusal(row, steps.APPROVED, ErrorCode.REFUSED_BY_POLICY, reason, _ASK_AGAIN)
    left = thawing.seconds_left(thaw_facts.earliest_approval(row, runtime.policy.thaw), facts.now)
    if left:
        reason = f"it has to stand for {left} s more before it may be lifted"
        raise _refusal(row, steps.APPROVED, ErrorCode.REFUSED_BY_POLICY, reason, f"Approve again in {left} s.")


def _only_what_was_shown(row: FreezeRow, facts: thaw_facts.Facts, digest: str | None) -> None:
    ref = core.ref_of(row.number)
    if digest is None:
        reason = "an approval has to name the digest of what it approves"
        hint = f"Look at it (GET /v1/freezes/{ref}) and send its thaw.digest: open alerts, other holds and executors."
        raise _refusal(row, steps.APPROVED, ErrorCode.INVALID_REQUEST, reason, hint)
    if changed := thaw_facts.differences(row, facts.subject):
        reason = f"it is not what it was when the thaw was asked for ({'; '.join(changed)})"
        raise _refusal(row, steps.APPROVED, ErrorCode.REFUSED_BY_POLICY, reason, _ASK_AGAIN)
    if digest != facts.subject.digest:
        reason = "what you were shown is not what stands now"
        raise _refusal(row, steps.APPROVED, ErrorCode.REFUSED_BY_POLICY, reason, "Look at it again, then approve.")


def _refusal(row: FreezeRow, event_type: str, code: ErrorCode, reason: str, hint: str | None) -> WatchfloorError:
    by_rule = code in {ErrorCode.SECOND_PERSON_REQUIRED, ErrorCode.REFUSED_BY_POLICY}
    result = AuditResult.DENIED if by_rule else AuditResult.FAILURE
    return WatchfloorError(
        code,
        f"{core.ref_of(row.number)} is {_STATUS_WORDS[FreezeStatus(row.status)]}: {reason}.",
        hint=hint,
        audit=steps.draft(row, event_type, result=result, error_message=reason),
    )
