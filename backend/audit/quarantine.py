"""What the outbox held and the ledger cannot take: kept as it came, and said in the `meta` log.

Must never drop a row, and never let one stall the others.
"""

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import psycopg

from backend.audit import meta
from backend.audit.events import AuditEvent
from backend.audit.quarantined import remade
from backend.audit.sealing import subjects_in, without_subjects
from backend.context import Runtime

if TYPE_CHECKING:
    from backend.audit.sequencer import Taken

_ERASED: Final = """
SELECT subject FROM audit_subject_keys WHERE subject = ANY(%s) AND wrapped IS NULL
"""
_HELD: Final = "SELECT 1 FROM audit_subject_keys WHERE subject = ANY(%s) ORDER BY subject FOR SHARE"
"""Taken first: an erasure that is under way ends before it is asked who is erased."""
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
    erased = await _erased(connection, [row for row, _ in refused])
    async with connection.cursor() as cursor:
        await cursor.executemany(
            _STORE,
            [
                (row.id, row.log, row.canon, *_kept(runtime, row, erased), row.emitted_at, now, reason)
                for row, reason in refused
            ],
        )
    for row, reason in refused:
        facts = {"log": row.log, "reason": reason, "sha256": hashlib.sha256(row.canon).hexdigest()}
        note = meta.Announcement(AuditEvent.ENTRY_QUARANTINED, "quarantine an entry", "audit_entry", str(row.id), facts)
        await meta.announce(connection, runtime, note, told)


async def _erased(connection: psycopg.AsyncConnection[Any], rows: Sequence["Taken"]) -> set[str]:
    """Who was erased while their entries waited: their values must not be kept after all."""
    people = sorted({one for row in rows if row.sealed is not None for one in subjects_in(row.sealed)})
    if not people:
        return set()
    await connection.execute(_HELD, (people,))
    found = await connection.execute(_ERASED, (people,))
    return {subject for (subject,) in await found.fetchall()}


def _kept(runtime: Runtime, row: "Taken", erased: set[str]) -> tuple[bytes, bytes | None]:
    """The keyed hash and the personal values that a row goes into quarantine with."""
    if row.sealed is None or not erased.intersection(subjects_in(row.sealed)):
        return row.mac, row.sealed
    sealed, _ = without_subjects(row.sealed, erased)
    return remade(runtime.keyring.outbox, row.canon, row.mac, row.sealed, sealed), sealed
