"""The way into the ledger: what an act wants to say is queued, and written as the last thing of its transaction.

The entry gets its number only then, so that numbers follow commits closely. Must never commit, and never let an act
fail because of how much it had to say.
"""

import asyncio
import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncSession

from backend import db
from backend.audit import doubts
from backend.audit.events import SETTLING
from backend.audit.fitting import fitted
from backend.audit.sealing import Sealed, pack
from backend.audit.tables import AuditOutbox
from backend.context import Runtime
from backend.emitter import Doubt
from backend.write_path import pause_s
from ledger import entry as ledger_entry

_QUEUE = "audit_queue"


@dataclass(frozen=True, slots=True)
class Waiting:
    """An entry that lacks only its number."""

    index: ledger_entry.Index
    actor_role: str | None
    detail: ledger_entry.Detail
    sealed: tuple[Sealed, ...]
    emitted_at: datetime


def mac_of(key: bytes, canon: bytes, sealed: bytes | None = None) -> bytes:
    """Authenticate an outbox row: the database alone cannot make one up, or give an entry other personal values."""
    # canonical bytes hold no NUL, so that no two pairs are the same message
    return hmac.digest(key, canon if sealed is None else canon + b"\0" + sealed, hashlib.sha256)


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
    server_pid = await _server_pid(session)
    rows = [_row(session, runtime, one, server_pid) for one in waiting]
    await session.execute(insert(AuditOutbox), rows)
    db.after_commit(session, lambda: runtime.write_path.filed(len(rows)))
    db.after_commit(session, runtime.outbox_filled.set)


async def _server_pid(session: AsyncSession) -> int:
    raw = await (await session.connection()).get_raw_connection()
    connection: psycopg.AsyncConnection[Any] | None = raw.driver_connection
    return connection.info.backend_pid if connection else 0


def _row(session: AsyncSession, runtime: Runtime, waiting: Waiting, server_pid: int) -> dict[str, Any]:
    emitter, ident = runtime.emitter, UUID(waiting.index.id)
    stamp = emitter.take(settling=waiting.index.event_type in SETTLING)
    db.after_commit(session, lambda: emitter.settle(stamp.n))
    db.after_rollback(session, lambda: emitter.withdraw(stamp.n))
    db.if_in_doubt(session, lambda: emitter.doubt(Doubt(stamp.n, ident, server_pid)))
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
        "id": ident,
        "log": waiting.index.log,
        "canon": canon,
        "mac": mac_of(runtime.keyring.outbox, canon, sealed),
        "sealed": sealed,
        "emitted_at": waiting.emitted_at,
    }
