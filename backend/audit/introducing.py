"""Gives each person a surrogate at first need, and commits the ledger to whose it is.

The name lies outside the ledger, so that it can be forgotten; the commitment to it lies in `meta`, so that nobody can
be given another's acts unseen. It is a sealed value like others: salted, the salt under the person's own key, so that
with the key destroyed nobody can open it or confirm a guess. Must never let a name be known without its commitment.
"""

from typing import Final

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from backend.audit import meta
from backend.audit.events import AuditEvent
from backend.audit.meta import META_LOG, Announcement
from backend.audit.outbox import Waiting, enqueue
from backend.audit.sealing import Owner, seal_fields
from backend.audit.subjects import ERASED, PREFIX, RANDOM_BYTES, find, is_erased, new_surrogate
from backend.audit.tables import Subject
from backend.context import Runtime
from backend.db import after_commit
from ledger.entry import Detail

NAME: Final = "name"
"""The sealed field of such an entry."""
SUBJECT_RESOURCE: Final = "subject"
"""What such an entry is about: not the account, whose own acts are looked for."""


async def surrogate_of(session: AsyncSession, runtime: Runtime, name: str) -> str:
    """The surrogate of a person, made at first need; remembered only once its transaction is durable.

    An erased name gets no new one by being named again: `ERASED` stands for it. Not to be called within a savepoint:
    one that is rolled back would leave the commitment.
    """
    if name.startswith(PREFIX):
        return name
    known = runtime.subjects.get(name)
    if known is not None:
        return known
    pid = await find(session, name)
    if pid is None and await is_erased(session, runtime, name):
        return ERASED
    if pid is None:
        pid = await _introduced(session, runtime, name)
    found = pid
    after_commit(session, lambda: _remember(runtime, name, found))
    return found


async def _introduced(session: AsyncSession, runtime: Runtime, name: str) -> str:
    pid, now = new_surrogate(runtime.clock.random_bytes(RANDOM_BYTES)), runtime.clock.now()
    row = insert(Subject).values(pid=pid, name=name, created_at=now)
    made = await session.scalar(row.on_conflict_do_nothing(index_elements=["name"]).returning(Subject.pid))
    runtime.names.clear()  # what is written next in this transaction may already tell of them
    if made is None:
        other = await find(session, name)
        assert other is not None  # noqa: S101  whoever was faster has committed it, with the commitment
        return other
    await _commit_to(session, runtime, pid, name)
    return pid


async def _commit_to(session: AsyncSession, runtime: Runtime, pid: str, name: str) -> None:
    ident, now = runtime.clock.new_id(), runtime.clock.now()
    note = Announcement(AuditEvent.SUBJECT_NAMED, "learn a name", SUBJECT_RESOURCE, pid, {})
    sealed = await seal_fields(session, runtime, Owner(META_LOG, str(ident), pid), {NAME: name})
    waiting = Waiting(
        index=meta.index_of(runtime, note, ident, now),
        actor_role="system",
        detail=Detail(),
        sealed=sealed,
        emitted_at=now,
    )
    enqueue(session, runtime, waiting)


def _remember(runtime: Runtime, name: str, pid: str) -> None:
    runtime.subjects.put(name, pid)
    runtime.names.clear()
