"""The way into the ledger: what an act wants to say is queued, and written as the last thing of its transaction.

The entry gets its number only then, so that numbers follow commits closely. Must never commit, and never let an act
fail because of how much it had to say.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg
from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from backend import db
from backend.audit import doubts
from backend.audit.authentic import mac_of
from backend.audit.events import SETTLING, UNHURRIED
from backend.audit.fitting import fitted
from backend.audit.renewal import is_stale
from backend.audit.sealing import Sealed, pack
from backend.audit.tables import AuditOutbox, Ledger
from backend.context import Runtime
from backend.emitter import Doubt, Stamp
from backend.write_path import pause_s
from ledger import entry as ledger_entry

_QUEUE = "audit_queue"
_FILE = insert(AuditOutbox).returning(select(Ledger.generation).scalar_subquery())
"""What the ledger's generation is once nobody can change it before this transaction has ended."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """An entry that lacks only its number."""

    index: ledger_entry.Index
    actor_role: str | None
    detail: ledger_entry.Detail
    sealed: tuple[Sealed, ...]
    emitted_at: datetime


def enqueue(session: AsyncSession, runtime: Runtime, waiting: Waiting) -> None:
    """Have an entry written with the session's transaction.

    A rolled-back savepoint does not take its entries back: record after the savepoint has succeeded.
    """
    queue: list[Waiting] = session.info.setdefault(_QUEUE, [])
    queue.append(waiting)
    if len(queue) == 1:
        db.before_commit(session, lambda: _write(session, runtime))


async def _write(session: AsyncSession, runtime: Runtime) -> None:
    waiting: list[Waiting] = session.info.pop(_QUEUE, [])
    if pause := pause_s(runtime.write_path.waiting):
        await asyncio.sleep(pause)
    await doubts.resolve(session, runtime)
    await _file(session, runtime, waiting)
    db.after_commit(session, lambda: runtime.write_path.filed(len(waiting)))
    if any(one.index.event_type not in UNHURRIED for one in waiting):
        db.after_commit(session, runtime.outbox_filled.set)


async def _file(session: AsyncSession, runtime: Runtime, waiting: Sequence[Waiting]) -> None:
    """Number entries and file them; once more if a restore of the ledger makes this process another one."""
    connection = await _driver(session)
    while True:
        stamps = [_stamp(session, runtime, one, connection.info.backend_pid) for one in waiting]
        rows = [_row(runtime, one, stamp) for one, stamp in zip(waiting, stamps, strict=True)]
        generation = (await session.execute(_FILE, rows)).scalars().first()
        if not await is_stale(connection, runtime, stamps[0], generation):
            return
        await session.execute(delete(AuditOutbox).where(AuditOutbox.id.in_([row["id"] for row in rows])))


async def _driver(session: AsyncSession) -> psycopg.AsyncConnection[Any]:
    raw = await (await session.connection()).get_raw_connection()
    connection: psycopg.AsyncConnection[Any] | None = raw.driver_connection
    assert connection is not None  # noqa: S101  the session has just used it
    return connection


def _stamp(session: AsyncSession, runtime: Runtime, waiting: Waiting, server_pid: int) -> Stamp:
    emitter, ident = runtime.emitter, UUID(waiting.index.id)
    stamp = emitter.take(settling=waiting.index.event_type in SETTLING)
    db.after_commit(session, lambda: emitter.settle(stamp))
    db.after_rollback(session, lambda: emitter.withdraw(stamp))
    db.if_in_doubt(session, lambda: emitter.doubt(Doubt(stamp, ident, server_pid)))
    return stamp


def _row(runtime: Runtime, waiting: Waiting, stamp: Stamp) -> dict[str, Any]:
    whole = ledger_entry.Entry(
        index=waiting.index,
        actor_role=waiting.actor_role,
        detail=waiting.detail,
        emitter=ledger_entry.Emitter(
            node=stamp.node, boot=stamp.boot, n=stamp.n, settled=stamp.settled, void=stamp.void
        ),
        sealed={one.field: one.commitment for one in waiting.sealed},
    )
    canon, sealed = fitted(whole), pack(waiting.sealed)
    return {
        "id": UUID(waiting.index.id),
        "log": waiting.index.log,
        "canon": canon,
        "mac": mac_of(runtime.keyring.outbox, canon, sealed),
        "sealed": sealed,
        "emitted_at": waiting.emitted_at,
    }
