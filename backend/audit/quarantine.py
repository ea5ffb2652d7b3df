"""What the outbox held and the ledger cannot take: kept as it came, and said in the `meta` log.

Must never drop a row, and never let one stall the others.
"""

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import psycopg

from backend.audit import meta
from backend.audit.events import AuditEvent
from backend.context import Runtime

if TYPE_CHECKING:
    from backend.audit.sequencer import Taken

_STORE = """
INSERT INTO audit_quarantine (id, log, canon, mac, sealed, emitted_at, quarantined_at, reason)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
"""


async def store(
    connection: psycopg.AsyncConnection[Any],
    runtime: Runtime,
    refused: Sequence[tuple["Taken", str]],
    told: meta.Told,
) -> None:
    """Keep refused rows and announce each with the hash of its bytes, in the sequencer's transaction."""
    now = runtime.clock.now()
    async with connection.cursor() as cursor:
        await cursor.executemany(
            _STORE,
            [(row.id, row.log, row.canon, row.mac, row.sealed, row.emitted_at, now, reason) for row, reason in refused],
        )
    for row, reason in refused:
        facts = {"log": row.log, "reason": reason, "sha256": hashlib.sha256(row.canon).hexdigest()}
        note = meta.Announcement(AuditEvent.ENTRY_QUARANTINED, "quarantine an entry", "audit_entry", str(row.id), facts)
        await meta.announce(connection, runtime, note, told)
