"""Opens the sealed values of an entry, and says so. `open_sealed` alone is for who records it otherwise."""

from dataclasses import replace
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from backend.audit.events import AuditEvent
from backend.audit.sealing import stored_key
from backend.audit.search import settled
from backend.audit.service import AuditDraft, record
from backend.audit.tables import LedgerEntry, SealedField
from backend.context import Caller, Runtime
from backend.errors import WatchfloorError, known_ident, not_found
from backend.revocations import ErasedSubjectError
from contract.audit import AuditResult
from contract.errors import ErrorCode
from contract.privacy import Revealed
from ledger import seal
from ledger.entry import Entry
from ledger.seal import SealError


async def open_sealed(session: AsyncSession, runtime: Runtime, canon: bytes) -> dict[str, str | None]:
    """The sealed values of one entry, held against their commitments; None for one whose subject was erased.

    Raises:
        SealError: a value is not the one that the entry committed to.
    """
    entry = Entry.from_canon(canon)
    values: dict[str, str | None] = dict.fromkeys(entry.sealed)
    rows = await session.scalars(select(SealedField).where(SealedField.entry_id == UUID(entry.index.id)))
    for row in rows:
        try:
            data_key = await stored_key(session, runtime, row.subject)
        except ErasedSubjectError:
            continue
        if data_key is None or row.field not in entry.sealed:
            raise SealError(f"the sealed {row.field} belongs to no entry or no key")
        opened = seal.decrypt(
            data_key.key,
            row.nonce,
            row.ciphertext,
            log=entry.index.log,
            entry_id=entry.index.id,
            field=row.field,
            committed=entry.sealed[row.field],
        )
        values[row.field] = opened.value.decode()
    return values


async def reveal(session: AsyncSession, runtime: Runtime, caller: Caller, ident: str, reason: str) -> Revealed:
    """Open one entry's sealed values for somebody who has to know them; says so in the same transaction or fails.

    Raises:
        WatchfloorError: NOT_FOUND; CONFLICT for a value that is not the one its entry committed to.
    """
    entry_id = known_ident("audit entry", ident)
    await settled(session, runtime)
    wanted = select(LedgerEntry.canon, LedgerEntry.log, LedgerEntry.seq).where(LedgerEntry.id == entry_id).limit(1)
    row = (await session.execute(wanted)).one_or_none()
    if row is None:
        raise not_found("audit entry", ident)
    told = {"log": row.log, "seq": row.seq, "reason": reason, "fields": sorted(Entry.from_canon(row.canon).sealed)}
    draft = AuditDraft(AuditEvent.FIELD_REVEALED, "reveal personal data", "audit", str(entry_id), new_value=told)
    try:
        values = await open_sealed(session, runtime, row.canon)
    except SealError as error:
        failed = replace(draft, result=AuditResult.FAILURE, error_message="a value is not the one committed to")
        raise WatchfloorError(
            ErrorCode.CONFLICT,
            "A sealed value of this entry is not the one it committed to.",
            hint="Verify the ledger: somebody has changed it.",
            audit=failed,
        ) from error
    recorded = await record(session, runtime, caller, draft)
    return Revealed(entry=str(entry_id), values=values, recorded_as=str(recorded))
