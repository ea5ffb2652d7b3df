"""Opens the sealed values of an entry. Whoever calls it must record that it did."""

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from backend.audit.sealing import ErasedSubjectError, data_key_of
from backend.audit.tables import SealedField
from backend.context import Runtime
from ledger import seal
from ledger.entry import Entry


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
            data_key = await data_key_of(session, runtime, row.subject)
        except ErasedSubjectError:
            continue
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
