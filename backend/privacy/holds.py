"""Legal holds: placed by one person, lifted by two. While one is in force nothing it covers is erased or dropped."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import or_, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from backend.audit import service as audit
from backend.audit.service import AuditDraft
from backend.context import Caller, Runtime
from backend.errors import WatchfloorError, not_found
from backend.lookup import row_named
from backend.paging import COUNT_CAP, cut_page, newest_first
from backend.privacy.people import acting, refuse_the_subject, require_second
from backend.privacy.tables import LegalHoldRow
from contract.base import Page
from contract.errors import ErrorCode
from contract.privacy import LegalHold, LegalHoldReach, LegalHoldRequest, LegalHoldState

PLACED, LIFT_REQUESTED, LIFTED = (
    "privacy.legal_hold.placed", "privacy.legal_hold.lift_requested", "privacy.legal_hold.lifted",
)  # fmt: skip
_ACTIONS = {
    PLACED: "place a legal hold", LIFT_REQUESTED: "ask to lift a legal hold", LIFTED: "lift a legal hold",
}  # fmt: skip
_KEEP_OUT = text("LOCK TABLE legal_holds IN SHARE MODE")
"""Whoever places a hold waits until the erasure has ended, and whoever erases sees every hold."""


async def place(session: AsyncSession, runtime: Runtime, caller: Caller, request: LegalHoldRequest) -> LegalHold:
    """Keep a person's data or a part of a log, from this commit on.

    Raises:
        WatchfloorError: NOT_FOUND for a name the ledger does not know; NOT_ALLOWED for anything but a person.
    """
    ident = runtime.clock.new_id()
    draft = _draft(str(ident), PLACED)
    by = await acting(session, runtime, caller, draft)
    subject = None if request.subject is None else await audit.find_person(session, request.subject)
    if request.subject is not None and subject is None:
        raise not_found("person of the name", request.subject)
    row = LegalHoldRow(
        id=ident,
        subject=subject,
        log=request.log,
        since=request.since,
        until=request.until,
        reason=await audit.stored_without_names(session, runtime, request.reason),
        placed_by=by,
        placed_at=runtime.clock.now(),
    )
    session.add(row)
    await session.flush()
    told = {"subject": subject, "log": request.log, "since": request.since, "until": request.until}
    draft = _draft(str(ident), PLACED, {**told, "reason": request.reason})
    await audit.record(session, runtime, caller, draft)
    return await _wire(session, row)


async def request_lift(session: AsyncSession, runtime: Runtime, caller: Caller, ident: str, reason: str) -> LegalHold:
    """Ask for a legal hold to be lifted; it stays in force.

    Raises:
        WatchfloorError: NOT_FOUND; CONFLICT if it is lifted or somebody has asked already.
    """
    row = await row_named(session, LegalHoldRow, "legal hold", ident, lock=True)
    draft = _draft(str(row.id), LIFT_REQUESTED, {"reason": reason})
    by = await acting(session, runtime, caller, draft)
    if row.lifted_at is not None or row.lift_requested_by is not None:
        raise WatchfloorError(ErrorCode.CONFLICT, "It is lifted already, or somebody has asked.")
    row.lift_requested_by, row.lift_requested_at = by, runtime.clock.now()
    row.lift_reason = await audit.stored_without_names(session, runtime, reason)
    await audit.record(session, runtime, caller, draft)
    return await _wire(session, row)


async def approve_lift(session: AsyncSession, runtime: Runtime, caller: Caller, ident: str) -> LegalHold:
    """Lift a legal hold that somebody else has asked to lift.

    Raises:
        WatchfloorError: NOT_FOUND; CONFLICT if nobody asked; SECOND_PERSON_REQUIRED.
    """
    row = await row_named(session, LegalHoldRow, "legal hold", ident, lock=True)
    draft = _draft(str(row.id), LIFTED)
    by = await acting(session, runtime, caller, draft)
    if row.lifted_at is not None or row.lift_requested_by is None:
        raise WatchfloorError(ErrorCode.CONFLICT, "It is lifted already, or nobody has asked for it.")
    require_second(by, row.lift_requested_by, draft)
    refuse_the_subject(by, row.subject, draft)
    row.lifted_by, row.lifted_at = by, runtime.clock.now()
    await audit.record(session, runtime, caller, _draft(str(row.id), LIFTED, {"requested_by": row.lift_requested_by}))
    return await _wire(session, row)


async def list_holds(session: AsyncSession, *, lifted: bool, cursor: str | None, limit: int) -> Page[LegalHold]:
    """Legal holds, newest first; only those in force unless asked."""
    wanted = select(LegalHoldRow) if lifted else select(LegalHoldRow).where(LegalHoldRow.lifted_at.is_(None))
    paged = newest_first(wanted, LegalHoldRow.placed_at, LegalHoldRow.id, cursor, limit)
    rows = (await session.scalars(paged)).all()
    page, more = cut_page(rows, limit, lambda row: (row.placed_at, row.id))
    return Page(items=[await _wire(session, row) for row in page], next_cursor=more)


async def show(session: AsyncSession, ident: str) -> LegalHold:
    """One legal hold, with how much it keeps.

    Raises:
        WatchfloorError: NOT_FOUND.
    """
    row = await row_named(session, LegalHoldRow, "legal hold", ident)
    amount = await audit.amount_of(session, row.subject, audit.Part(row.log, row.since, row.until))
    reach = LegalHoldReach(entries=amount.entries, sealed_values=amount.sealed_values, count_cap=COUNT_CAP)
    return (await _wire(session, row)).model_copy(update={"reach": reach})


async def in_force_on(session: AsyncSession, subject: str) -> Sequence[LegalHoldRow]:
    """Legal holds that keep a person's data; none can be placed until the session's transaction ends."""
    await session.execute(_KEEP_OUT)
    return await seen_on(session, subject)


async def seen_on(session: AsyncSession, subject: str) -> Sequence[LegalHoldRow]:
    """Legal holds that keep a person's data just now; keeps nobody from placing more."""
    rows = await session.scalars(
        select(LegalHoldRow).where(
            LegalHoldRow.lifted_at.is_(None), or_(LegalHoldRow.subject == subject, LegalHoldRow.log.is_not(None))
        )
    )
    return [row for row in rows.all() if await _covers(session, row, subject)]


async def _covers(session: AsyncSession, row: LegalHoldRow, subject: str) -> bool:
    if row.subject is not None:
        return row.subject == subject
    return await audit.sealed_within(session, subject, log=row.log, since=row.since, until=row.until)


def _draft(ident: str, event_type: str, new_value: dict[str, str | datetime | None] | None = None) -> AuditDraft:
    return AuditDraft(event_type, _ACTIONS[event_type], "legal_hold", ident, new_value=new_value, log=audit.META_LOG)


async def _wire(session: AsyncSession, row: LegalHoldRow) -> LegalHold:
    told = {column.name: getattr(row, column.name) for column in LegalHoldRow.__table__.columns if column.name != "id"}
    return LegalHold(id=str(row.id), state=_state(row), **await audit.shown_with_names(session, told))


def _state(row: LegalHoldRow) -> LegalHoldState:
    if row.lifted_at is not None:
        return LegalHoldState.LIFTED
    return LegalHoldState.IN_FORCE if row.lift_requested_at is None else LegalHoldState.LIFT_REQUESTED
