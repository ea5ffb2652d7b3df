"""Replaces the master key: every data key is wrapped anew, no value is encrypted again. Can be stopped and resumed.

The old key stays in the file until no data key needs it. Must never leave a data key under a key that is gone.
"""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from backend.audit.events import AuditEvent
from backend.audit.identity import ledger_of
from backend.audit.meta import META_LOG
from backend.audit.service import AuditDraft, record
from backend.audit.tables import Ledger, SubjectKey
from backend.context import Caller, Runtime
from backend.errors import ConfigurationError
from backend.keyring import MASTER_KEY_BYTES, FileMasterKeys
from ledger.seal import NONCE_BYTES

BATCH_KEYS: Final = 500
"""Wrapped in one transaction: a process that makes a key meanwhile waits for a few milliseconds."""


@dataclass(frozen=True, slots=True)
class Rotated:
    """What became of the master key."""

    old: str
    new: str
    rewrapped: int


async def rotate(runtime: Runtime, caller: Caller) -> Rotated:
    """Put a new master key in the place of the old one; one that was begun and stopped is finished.

    Raises:
        ConfigurationError: the master key is in no file, or is another than the database's.
    """
    keys = runtime.keyring.master
    if not isinstance(keys, FileMasterKeys):
        raise ConfigurationError("The master key is in a key service: rotate it there.")
    async with runtime.database.transaction() as session:
        old = (await ledger_of(session, runtime)).master_key_id
    begun = keys.current != old or len(keys.wrapping) > 1
    new = keys.current if begun else keys.add(runtime.clock.random_bytes(MASTER_KEY_BYTES))
    async with runtime.database.transaction() as session:
        # waits for every transaction that is making a data key under the old one
        await session.execute(update(Ledger).values(master_key_id=new))
    rewrapped = 0
    while count := await _rewrap(runtime, new):
        rewrapped += count
    async with runtime.database.transaction() as session:
        await _refuse_leftovers(session, new)
        told = {"old": old, "new": new, "rewrapped": rewrapped}
        draft = AuditDraft(
            AuditEvent.MASTER_KEY_ROTATED, "rotate the master key", "master_key", new, new_value=told, log=META_LOG
        )
        await record(session, runtime, caller, draft)
    keys.retire()
    return Rotated(old, new, rewrapped)


async def _rewrap(runtime: Runtime, new: str) -> int:
    """Wrap one batch of data keys under the new master key; 0 when none is left."""
    keys = runtime.keyring.master
    async with runtime.database.transaction() as session:
        rows = await session.scalars(
            select(SubjectKey)
            .where(SubjectKey.master_key_id != new, SubjectKey.wrapped.is_not(None))
            .limit(BATCH_KEYS)
            .with_for_update()
        )
        count = 0
        for row in rows:
            assert row.wrapped is not None  # noqa: S101  asked for above
            place = {"subject": row.subject, "key_id": str(row.id)}
            key = await keys.unwrap(row.wrapped, under=row.master_key_id, **place)
            row.wrapped = await keys.wrap(key, runtime.clock.random_bytes(NONCE_BYTES), under=new, **place)
            row.master_key_id = new
            count += 1
        return count


async def _refuse_leftovers(session: AsyncSession, new: str) -> None:
    wanted = select(func.count()).where(SubjectKey.master_key_id != new, SubjectKey.wrapped.is_not(None))
    left = (await session.execute(wanted)).scalar_one()
    if left:
        raise ConfigurationError(f"{left} data keys are still under an older master key; it is kept. Try again.")
