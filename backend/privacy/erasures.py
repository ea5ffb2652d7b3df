"""Erasing people: asked for by one person, approved by another, never by the one it is about, never under a legal hold.

The order of things survives a crash at any point: what was approved is written down outside the database before the
commit, and that it was done, or not, afterwards. Must never leave a person erased in one place and not in another.
"""

from collections.abc import Sequence

import structlog
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from backend import db
from backend.alerts import service as alerts
from backend.audit import service as audit
from backend.audit.service import AuditDraft, Destroyed
from backend.auth import service as auth
from backend.context import Caller, Runtime
from backend.continuity import service as continuity
from backend.drafts import service as drafts
from backend.errors import ConfigurationError, WatchfloorError, not_found
from backend.freeze import service as freeze
from backend.incidents import service as incidents
from backend.lookup import row_named
from backend.paging import COUNT_CAP, cut_page, newest_first
from backend.privacy import holds
from backend.privacy.people import acting, refuse_the_subject, refused, require_second
from backend.privacy.tables import ErasureRow
from backend.revocations import Step
from backend.transactions import service as transactions
from contract.base import Page
from contract.errors import ErrorCode
from contract.hardware import HardwareAct
from contract.privacy import Erasure, ErasurePreview, ErasureRequest, ErasureStatus, Whose

log = structlog.get_logger(__name__)

REQUESTED, APPROVED, WITHDRAWN, ERASED = (
    "privacy.erasure.requested", "privacy.erasure.approved", "privacy.erasure.withdrawn", "ledger.subject.erased",
)  # fmt: skip
_ACTIONS = {
    REQUESTED: "ask to erase a person", APPROVED: "approve an erasure", WITHDRAWN: "withdraw an erasure",
}  # fmt: skip


async def preview(session: AsyncSession, asked: Whose) -> ErasurePreview:
    """What erasing a person would destroy, what would stay and what forbids it, without doing anything.

    Raises:
        WatchfloorError: NOT_FOUND for somebody the ledger does not know.
    """
    subject = await audit.find_person(session, asked.subject)
    if subject is None:
        raise not_found("person of the name", asked.subject)
    amount = await audit.amount_of(session, subject, audit.Part())
    named = await audit.shown_with_names(session, {"subject": subject})
    return ErasurePreview(
        surrogate=subject,
        entries=amount.entries,
        sealed_values=(amount.sealed_values or 0) + await audit.quarantined_values(session, subject),
        count_cap=COUNT_CAP,
        legal_holds=len(await holds.seen_on(session, subject)),
        **named,
    )


async def request(session: AsyncSession, runtime: Runtime, caller: Caller, asked: ErasureRequest) -> Erasure:
    """Ask for a person to be erased; nothing happens to their data yet.

    Raises:
        WatchfloorError: NOT_FOUND for a name the ledger does not know; CONFLICT if it is asked for already;
            SECOND_PERSON_REQUIRED for the person themselves; NOT_ALLOWED for anything but a person.
    """
    ident = runtime.clock.new_id()
    by = await acting(session, runtime, caller, _draft(str(ident), REQUESTED))
    subject = await audit.find_person(session, asked.subject)
    if subject is None:
        raise not_found("person of the name", asked.subject)
    refuse_the_subject(by, subject, _draft(str(ident), REQUESTED))
    open_one = select(ErasureRow.id).where(
        ErasureRow.subject == subject, ErasureRow.status == ErasureStatus.REQUESTED.value
    )
    if await session.scalar(open_one) is not None:
        raise WatchfloorError(ErrorCode.CONFLICT, "Somebody has asked for this already.")
    row = ErasureRow(
        id=ident,
        subject=subject,
        reason=await audit.stored_without_names(session, runtime, asked.reason),
        status=ErasureStatus.REQUESTED.value,
        requested_by=by,
        requested_at=runtime.clock.now(),
    )
    session.add(row)
    await session.flush()
    new = {"subject": subject, "reason": asked.reason}
    await audit.record(session, runtime, caller, _draft(str(ident), REQUESTED, new))
    return await _wire(session, row)


async def approve(session: AsyncSession, runtime: Runtime, caller: Caller, ident: str) -> Erasure:
    """Erase a person that somebody else has asked to erase. Cannot be taken back.

    Raises:
        WatchfloorError: NOT_FOUND; CONFLICT if it is decided already; SECOND_PERSON_REQUIRED for the one who asked and
            for the person themselves; NOT_ALLOWED under a legal hold, and for anything but a person.
    """
    row = await row_named(session, ErasureRow, "erasure", ident, lock=True)
    draft = _draft(str(row.id), APPROVED)
    by = await acting(session, runtime, caller, draft)
    _refuse_decided(row)
    require_second(by, row.requested_by, draft)
    refuse_the_subject(by, row.subject, draft)
    if await holds.in_force_on(session, row.subject):
        raise refused(
            ErrorCode.NOT_ALLOWED, "A legal hold keeps this person's data.", draft, "Two people can lift it first."
        )
    await auth.require_fresh_key(session, runtime, caller, HardwareAct.APPROVE_ERASURE, str(row.id))
    await _announce_outside(session, runtime, row.subject)
    gone = await _erase_everywhere(session, runtime, row.subject)
    row.status, row.decided_by, row.decided_at = ErasureStatus.ERASED.value, by, runtime.clock.now()
    row.values_erased = gone.values
    await audit.record(session, runtime, caller, told(gone, {"request": row.id, "requested_by": row.requested_by}))
    return await _wire(session, row)


async def withdraw(session: AsyncSession, runtime: Runtime, caller: Caller, ident: str) -> Erasure:
    """Take back or turn down a request to erase a person.

    Raises:
        WatchfloorError: NOT_FOUND; CONFLICT if it is decided already.
    """
    row = await row_named(session, ErasureRow, "erasure", ident, lock=True)
    draft = _draft(str(row.id), WITHDRAWN, {"subject": row.subject, "requested_by": row.requested_by})
    row.decided_by = await acting(session, runtime, caller, draft)
    _refuse_decided(row)
    row.status, row.decided_at = ErasureStatus.WITHDRAWN.value, runtime.clock.now()
    await audit.record(session, runtime, caller, draft)
    return await _wire(session, row)


async def list_erasures(session: AsyncSession, *, cursor: str | None, limit: int) -> Page[Erasure]:
    """Requests to erase people, newest first."""
    paged = newest_first(select(ErasureRow), ErasureRow.requested_at, ErasureRow.id, cursor, limit)
    rows = (await session.scalars(paged)).all()
    page, more = cut_page(rows, limit, lambda row: (row.requested_at, row.id))
    return Page(items=[await _wire(session, row) for row in page], next_cursor=more)


def told(gone: Destroyed, more: dict[str, object]) -> AuditDraft:
    """What the `meta` log says of an erasure: by it a verification knows that values are gone rightly."""
    facts = {"keys": list(gone.key_ids), "values": gone.values, **more}
    return AuditDraft(ERASED, "erase a person", "subject", gone.subject, new_value=facts, log=audit.META_LOG)


async def erase_again(session: AsyncSession, runtime: Runtime, subjects: Sequence[str]) -> list[Destroyed]:
    """Erase people once more whom an older database has brought back."""
    return [await _erase_everywhere(session, runtime, subject) for subject in subjects]


async def _erase_everywhere(session: AsyncSession, runtime: Runtime, subject: str) -> Destroyed:
    gone = await audit.destroy(session, runtime, subject)
    if gone.name is not None:
        await auth.forget_account(session, runtime, gone.name, stand_in=subject)
        await freeze.forget_person(session, gone.name, stand_in=subject)
        await alerts.forget_person(session, gone.name, stand_in=subject)
        await transactions.forget_person(session, gone.name, stand_in=subject)
        await incidents.forget_person(session, gone.name, stand_in=subject)
        await continuity.forget_person(session, gone.name, stand_in=subject)
        await drafts.forget_person(session, gone.name)
    return gone


async def _announce_outside(session: AsyncSession, runtime: Runtime, subject: str) -> None:
    """Write down outside the database what is about to be done, and afterwards whether it was.

    Raises:
        WatchfloorError: UNAVAILABLE if it cannot be written: then nothing is erased either.
    """
    now = runtime.clock.now()
    try:
        await runtime.revocations.append(subject, Step.APPROVED, now)
    except (OSError, ConfigurationError) as error:
        log.exception("erasure_not_noted")
        raise WatchfloorError(
            ErrorCode.UNAVAILABLE, "The erasure cannot be noted outside the database; nothing was erased."
        ) from error

    async def note(step: Step) -> None:
        try:
            await runtime.revocations.append(subject, step, runtime.clock.now())
        except (OSError, ConfigurationError):  # `replay` finds the database and the file apart and notes it then
            log.exception("erasure_outcome_not_noted", step=step.value)

    db.on_outcome(session, lambda: note(Step.DONE), lambda: note(Step.VOID))


def _refuse_decided(row: ErasureRow) -> None:
    if row.status != ErasureStatus.REQUESTED.value:
        raise WatchfloorError(ErrorCode.CONFLICT, f"This request is {row.status} already.")


def _draft(ident: str, event_type: str, new_value: dict[str, str] | None = None) -> AuditDraft:
    return AuditDraft(event_type, _ACTIONS[event_type], "erasure", ident, new_value=new_value, log=audit.META_LOG)


async def _wire(session: AsyncSession, row: ErasureRow) -> Erasure:
    told = {
        "subject": row.subject, "reason": row.reason, "requested_by": row.requested_by, "decided_by": row.decided_by,
    }  # fmt: skip
    named = await audit.shown_with_names(session, told)
    return Erasure(
        id=str(row.id),
        surrogate=row.subject,
        status=ErasureStatus(row.status),
        requested_at=row.requested_at,
        decided_at=row.decided_at,
        values_erased=row.values_erased,
        **named,
    )
