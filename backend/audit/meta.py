"""The ledger's own log: what was done to the other logs. Kept longer than any of them.

`announce` is for the sequencer and others that work on a connection of their own; acts of people go through
`service.record` with a draft for this log.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import psycopg

from backend.audit.canonical import clean_values
from backend.audit.outbox import mac_of
from backend.context import Runtime
from backend.emitter import Stamp
from ledger.canon import format_instant
from ledger.entry import Detail, Emitter, Entry, Index

META_LOG: Final = "meta"
ACTOR: Final = "system:ledger"

_INSERT = "INSERT INTO audit_outbox (id, log, canon, mac, emitted_at) VALUES (%s, %s, %s, %s, %s)"


@dataclass(frozen=True, slots=True)
class Announcement:
    """What was done to a log."""

    event_type: str
    action: str
    resource_type: str
    resource_id: str
    facts: Mapping[str, Any]


async def announce(
    connection: psycopg.AsyncConnection[Any],
    runtime: Runtime,
    note: Announcement,
) -> Stamp:
    """Put an entry for the `meta` log into the outbox within the connection's transaction.

    The caller settles or withdraws the number once it knows how the transaction ended.
    """
    ident, now = runtime.clock.new_id(), runtime.clock.now()
    stamp = runtime.emitter.take()
    entry = Entry(
        index=Index(
            id=str(ident),
            log=META_LOG,
            occurred_at=format_instant(now),
            category=runtime.policy.audit_category(note.event_type),
            event_type=note.event_type,
            action=note.action,
            actor=ACTOR,
            actor_type="system",
            outcome="success",
            resource_type=note.resource_type,
            resource_id=note.resource_id,
            request_id=None,
            incident=None,
        ),
        actor_role="system",
        detail=Detail(new_value=clean_values(note.facts)),
        emitter=Emitter(node=stamp.node, boot=stamp.boot, n=stamp.n, settled=stamp.settled, void=stamp.void),
        sealed={},
    )
    canon = entry.to_canon()
    await connection.execute(_INSERT, (ident, META_LOG, canon, mac_of(runtime.keyring.outbox, canon), now))
    return stamp
