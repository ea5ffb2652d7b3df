"""What legal holds keep from being dropped. The holds belong to `backend.privacy`; only their table is read.

A hold is on a person, on a log, or on a person within a log, each between two instants of the entries' own time.
"""

from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from backend.audit.retention.survey import Partition

FREE_OF_HOLDS: Final = """
NOT EXISTS (
    SELECT FROM legal_holds AS hold WHERE hold.lifted_at IS NULL
        AND (hold.log IS NULL OR hold.log = audit_sealed.log)
        AND (hold.subject IS NULL OR hold.subject = audit_sealed.subject)
        AND (hold.since IS NULL OR audit_sealed.occurred_at >= hold.since)
        AND (hold.until IS NULL OR audit_sealed.occurred_at < hold.until))
"""
"""A condition on rows of `audit_sealed`: that no hold in force keeps them."""

# A person is looked for in the bytes of the entries, where their surrogate may stand anywhere, also shortened.
_COVERING = text("""
SELECT hold.id, hold.subject IS NOT NULL AS is_of_person FROM legal_holds AS hold
WHERE hold.lifted_at IS NULL AND (hold.log IS NULL OR hold.log = :log) AND EXISTS (
    SELECT FROM audit_entries AS entry
    WHERE entry.log = :log AND entry.seq >= :seq_from AND entry.seq < :seq_until
        AND (hold.since IS NULL OR entry.occurred_at >= hold.since)
        AND (hold.until IS NULL OR entry.occurred_at < hold.until)
        AND (hold.subject IS NULL
            OR position(convert_to(split_part(hold.subject, ':', 2), 'UTF8') IN entry.canon) > 0))
ORDER BY hold.placed_at, hold.id
""")


async def reasons(session: AsyncSession, partition: Partition) -> list[str]:
    """In words, the holds in force that cover an entry of a partition."""
    values = {"log": partition.log, "seq_from": partition.seq_from, "seq_until": partition.seq_until}
    return [
        f"legal hold {row.id} is on {'a person who stands in it' if row.is_of_person else 'these entries'}"
        for row in await session.execute(_COVERING, values)
    ]


async def forbid_new_ones(session: AsyncSession) -> None:
    """Let no hold be placed until the session's transaction ends: who places one waits, and finds what is left."""
    await session.execute(text("LOCK TABLE legal_holds IN SHARE MODE"))
