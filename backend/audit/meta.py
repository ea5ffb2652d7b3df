"""The ledger's own log: what was done to the other logs. Kept longer than any of them.

`announce` is for the sequencer and others that work on a connection of their own, inside `telling`; acts of people go
through `service.record` with a draft for this log.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import psycopg

from backend import db
from backend.audit.authentic import mac_of
from backend.audit.canonical import clean_values
from backend.audit.fitting import fitted
from backend.audit.renewal import is_stale
from backend.context import Runtime
from backend.emitter import Doubt, Stamp
from ledger.canon import format_instant
from ledger.entry import Detail, Emitter, Entry, Index

META_LOG: Final = "meta"
ACTOR: Final = "system:ledger"

_INSERT = """
INSERT INTO audit_outbox (id, log, canon, mac, emitted_at) VALUES (%s, %s, %s, %s, %s)
RETURNING (SELECT generation FROM audit_ledger)
"""
_TAKE_BACK = "DELETE FROM audit_outbox WHERE id = %s"


@dataclass(frozen=True, slots=True)
class Announcement:
    """What was done to a log."""

    event_type: str
    action: str
    resource_type: str
    resource_id: str
    facts: Mapping[str, Any]


Told = list[tuple[Stamp, UUID]]
"""Entries announced in a transaction."""


@asynccontextmanager
async def telling(connection: psycopg.AsyncConnection[Any], runtime: Runtime) -> AsyncIterator[Told]:
    """One transaction of a connection; once it has ended, settles the numbers of what was put into the list given."""
    told: Told = []
    server_pid, complete = connection.info.backend_pid, False
    try:
        async with connection.transaction():
            yield told
            complete = True
    except BaseException as error:
        for stamp, ident in told:
            if complete and not db.is_decided(error):
                runtime.emitter.doubt(Doubt(stamp, ident, server_pid))
            else:
                runtime.emitter.withdraw(stamp)
        raise
    for stamp, _ in told:
        runtime.emitter.settle(stamp)


async def announce(
    connection: psycopg.AsyncConnection[Any], runtime: Runtime, note: Announcement, told: Told | None = None
) -> Stamp:
    """Put an entry for the `meta` log into the outbox within the connection's transaction.

    `told` is the list of `telling`; a caller without one settles or withdraws the number itself once it knows how the
    transaction ended. A failure here withdraws it.
    """
    ident, now = runtime.clock.new_id(), runtime.clock.now()
    stamp = runtime.emitter.take()
    try:
        canon = fitted(entry_of(runtime, note, stamp, ident, now))
        row = (ident, META_LOG, canon, mac_of(runtime.keyring.outbox, canon), now)
        found = await (await connection.execute(_INSERT, row)).fetchone()
        if await is_stale(connection, runtime, stamp, found[0] if found else None):
            await connection.execute(_TAKE_BACK, (ident,))
            return await announce(connection, runtime, note, told)
    except BaseException:
        runtime.emitter.withdraw(stamp)
        raise
    if told is not None:
        told.append((stamp, ident))
    return stamp


def entry_of(runtime: Runtime, note: Announcement, stamp: Stamp, ident: UUID, now: datetime) -> Entry:
    """Make the entry of an announcement."""
    return Entry(
        index=index_of(runtime, note, ident, now),
        actor_role="system",
        detail=Detail(new_value=clean_values(note.facts)),
        emitter=Emitter(node=stamp.node, boot=stamp.boot, n=stamp.n, settled=stamp.settled, void=stamp.void),
        sealed={},
    )


def index_of(runtime: Runtime, note: Announcement, ident: UUID, now: datetime) -> Index:
    """What the entry of an announcement is found by."""
    return Index(
        id=str(ident),
        log=META_LOG,
        occurred_at=format_instant(now.astimezone(UTC)),
        category=runtime.policy.audit_category(note.event_type),
        event_type=str(note.event_type),
        action=note.action,
        actor=ACTOR,
        actor_type="system",
        outcome="success",
        resource_type=note.resource_type,
        resource_id=note.resource_id,
        request_id=None,
        incident=None,
    )
