"""Makes what the ledger knows of a person unreadable: destroys the key, the sealed values and the name.

Touches no entry. Whether it may be done is `backend.privacy`'s to say. Must never take anything back.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import delete, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from backend.audit import quarantined
from backend.audit.personal_tables import ErasedName
from backend.audit.search_tables import SavedSearchRow
from backend.audit.subjects import blind_of
from backend.audit.tables import Subject, SubjectKey
from backend.context import Runtime
from backend.db import after_commit

_ERASE_LIMIT = text("SET LOCAL statement_timeout = 120000")
"""Milliseconds: somebody may have been at work for years, and each entry keeps a value or two."""


@dataclass(frozen=True, slots=True)
class Destroyed:
    """What was destroyed of one subject."""

    subject: str
    name: str | None
    """What the ledger called them until now; for telling other areas, never to be written down."""
    key_ids: tuple[UUID, ...]
    values: int


async def destroy(session: AsyncSession, runtime: Runtime, subject: str) -> Destroyed:
    """Destroy a subject's key, sealed values and name within the session's transaction. Safe to repeat."""
    now = runtime.clock.now()
    await session.execute(_ERASE_LIMIT)
    name = await session.scalar(select(Subject.name).where(Subject.pid == subject).with_for_update())
    key_ids = await session.scalars(
        update(SubjectKey)
        .where(SubjectKey.subject == subject, SubjectKey.wrapped.is_not(None))
        .values(wrapped=None, destroyed_at=now)
        .returning(SubjectKey.id)
    )
    destroyed = tuple(key_ids.all())
    # who left no sealed value has no key: they must not get one later
    await session.execute(
        insert(SubjectKey)
        .values(
            id=runtime.clock.new_id(),
            subject=subject,
            master_key_id=runtime.keyring.master.current,
            created_at=now,
            destroyed_at=now,
        )
        .on_conflict_do_nothing(index_elements=["subject"])
    )
    gone = await session.execute(
        text("WITH gone AS (DELETE FROM audit_sealed WHERE subject = :subject RETURNING 1) SELECT count(*) FROM gone"),
        {"subject": subject},
    )
    aside = await quarantined.forget(session, runtime, subject)
    if name is not None:
        await session.execute(delete(SavedSearchRow).where(SavedSearchRow.owner == name))
        await session.execute(insert(ErasedName).values(blind=blind_of(runtime, name)).on_conflict_do_nothing())
    await session.execute(update(Subject).where(Subject.pid == subject).values(name=None, erased_at=now))
    after_commit(session, lambda: _forget(runtime, subject))
    return Destroyed(subject, name, destroyed, gone.scalar_one() + aside)


async def destroyed_subjects(session: AsyncSession) -> set[str]:
    """Every subject whose key this database says is destroyed."""
    wanted = select(SubjectKey.subject).where(SubjectKey.wrapped.is_(None), SubjectKey.destroyed_at.is_not(None))
    return set((await session.scalars(wanted)).all())


async def still_there(session: AsyncSession, subjects: Iterable[str]) -> list[str]:
    """Which of some subjects this database still has a name or a key of: what an older copy brings back."""
    wanted = list(subjects)
    named = select(Subject.pid).where(Subject.pid.in_(wanted), Subject.name.is_not(None))
    keyed = select(SubjectKey.subject).where(SubjectKey.subject.in_(wanted), SubjectKey.wrapped.is_not(None))
    return sorted((await session.scalars(named.union(keyed))).all())


def _forget(runtime: Runtime, subject: str) -> None:
    runtime.data_keys.forget(subject)
    runtime.subjects.clear()
    runtime.names.clear()
