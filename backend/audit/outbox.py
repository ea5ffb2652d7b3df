"""The way into the ledger: what an act wants to say is queued, and written as the last thing of its transaction.

The entry gets its number only then, so that numbers follow commits closely. Must never commit.
"""

import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncSession

from backend import db
from backend.audit.sealing import Sealed, pack
from backend.audit.tables import AuditOutbox
from backend.context import Runtime
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


def mac_of(key: bytes, canon: bytes) -> bytes:
    """Authenticate an outbox row: the database alone cannot make one up."""
    return hmac.digest(key, canon, hashlib.sha256)


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
    rows = [_row(session, runtime, one) for one in waiting]
    await session.execute(insert(AuditOutbox), rows)
    db.after_commit(session, runtime.outbox_filled.set)


def _row(session: AsyncSession, runtime: Runtime, waiting: Waiting) -> dict[str, Any]:
    stamp = runtime.emitter.take()
    db.after_commit(session, lambda: runtime.emitter.settle(stamp.n))
    db.after_rollback(session, lambda: runtime.emitter.withdraw(stamp.n))
    whole = ledger_entry.Entry(
        index=waiting.index,
        actor_role=waiting.actor_role,
        detail=waiting.detail,
        emitter=ledger_entry.Emitter(
            node=stamp.node, boot=stamp.boot, n=stamp.n, settled=stamp.settled, void=stamp.void
        ),
        sealed={one.field: one.commitment for one in waiting.sealed},
    )
    canon = whole.to_canon()
    return {
        "id": UUID(waiting.index.id),
        "log": waiting.index.log,
        "canon": canon,
        "mac": mac_of(runtime.keyring.outbox, canon),
        "sealed": pack(waiting.sealed),
        "emitted_at": waiting.emitted_at,
    }
