"""What is left of the entries that retention dropped from a log. Reads only."""

from typing import Any

from sqlalchemy import Select, SQLColumnExpression, select
from sqlalchemy.ext.asyncio import AsyncSession

from backend.audit.retention_tables import Purge
from ledger.merkle import CompactRange


async def pruned_edge(session: AsyncSession, log: str) -> CompactRange:
    """The tree's edge at the cut of a log; of size 0 when nothing was dropped.

    It is as true as the database: whoever relies on it holds it against a signed head.

    Raises:
        ProofError: the row is not one we wrote.
    """
    return edge_of(await session.scalar(newest_edge(log)))


def newest_edge(log: str | SQLColumnExpression[str]) -> Select[Any]:
    """What selects the stored edge of a log, also from within another statement; `edge_of` reads it."""
    return select(Purge.edge).where(Purge.log == log).order_by(Purge.first_kept_seq.desc()).limit(1)


def edge_of(raw: bytes | None) -> CompactRange:
    """Read a stored edge.

    Raises:
        ProofError: it is not one we wrote.
    """
    return CompactRange() if raw is None else CompactRange.from_bytes(bytes(raw))
