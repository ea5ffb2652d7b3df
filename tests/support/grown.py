"""Logs of any size without the acts that would fill them: entries are appended the way the sequencer appends them."""

import psycopg

from backend.audit import ledger_rows
from backend.audit.ledger_rows import Placed, append
from backend.context import Runtime
from ledger.canon import format_instant
from ledger.entry import Detail, Emitter, Entry, Index


def placed(runtime: Runtime, log: str) -> Placed:
    """One entry with nothing special about it."""
    ident = runtime.clock.new_id()
    entry = Entry(
        index=Index(
            id=str(ident),
            log=log,
            occurred_at=format_instant(runtime.clock.now()),
            category="monitoring",
            event_type="alerts.alert.raised",
            action="alert raised",
            actor="system:test",
            actor_type="system",
            outcome="success",
            resource_type=None,
            resource_id=None,
            request_id=None,
            incident=None,
        ),
        actor_role="system",
        detail=Detail(),
        emitter=Emitter(node="test", boot="00" * 8, n=1, settled=0, void=()),
        sealed={},
    )
    return ledger_rows.placed(ident, entry, entry.to_canon())


async def grow(runtime: Runtime, log: str, count: int) -> None:
    """Append `count` entries to a log in one transaction."""
    async with await runtime.database.dedicated("test") as connection:
        await grow_on(connection, runtime, log, count)


async def grow_on(
    connection: psycopg.AsyncConnection[tuple[object, ...]], runtime: Runtime, log: str, count: int
) -> None:
    """Append on a connection of the caller's."""
    async with connection.transaction():
        entries = [placed(runtime, log) for _ in range(count)]
        await append(connection, runtime.keyring.outbox, log, entries, runtime.clock.now())
