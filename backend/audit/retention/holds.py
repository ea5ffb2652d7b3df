"""What legal holds keep from being dropped. The holds belong to `backend.privacy`; only their table is read.

A hold is on a person, on a log, or on a person within a log, each between two instants of the entries' own time.
Those on people are answered by `heldpeople`: where a person stands only the bytes of the entries say.
"""

from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from backend.audit.retention.survey import Partition

FREE_OF_HOLDS: Final = """
NOT EXISTS (
    SELECT FROM legal_holds AS hold WHERE hold.lifted_at IS NULL AND hold.subject = audit_sealed.subject
        AND (hold.log IS NULL OR hold.log = audit_sealed.log)
        AND (hold.since IS NULL OR audit_sealed.occurred_at >= hold.since)
        AND (hold.until IS NULL OR audit_sealed.occurred_at < hold.until))
AND NOT EXISTS (
    SELECT FROM legal_holds AS hold
    WHERE hold.lifted_at IS NULL AND hold.subject IS NULL AND hold.log = audit_sealed.log
        AND (hold.since IS NULL OR audit_sealed.occurred_at >= hold.since)
        AND (hold.until IS NULL OR audit_sealed.occurred_at < hold.until))
"""
"""A condition on rows of `audit_sealed`: that no hold in force keeps them. Two parts, so that each finds its index."""

_OF_LOG = text("""
SELECT hold.id FROM legal_holds AS hold
WHERE hold.lifted_at IS NULL AND hold.subject IS NULL AND hold.log = :log AND EXISTS (
    SELECT FROM audit_entries AS entry
    WHERE entry.log = :log AND entry.seq >= :seq_from AND entry.seq < :seq_until
        AND (hold.since IS NULL OR entry.occurred_at >= hold.since)
        AND (hold.until IS NULL OR entry.occurred_at < hold.until))
ORDER BY hold.placed_at, hold.id
""")


async def on_entries(session: AsyncSession, partition: Partition) -> list[str]:
    """In words, the holds on a log in force that cover an entry of a partition."""
    values = {"log": partition.log, "seq_from": partition.seq_from, "seq_until": partition.seq_until}
    return [f"legal hold {ident} is on these entries" for ident in await session.scalars(_OF_LOG, values)]


async def forbid_new_ones(session: AsyncSession) -> None:
    """Let no hold be placed until the session's transaction ends: who places one waits, and finds what is left."""
    await session.execute(text("LOCK TABLE legal_holds IN SHARE MODE"))
