"""Reading on in the ledger, for who writes down elsewhere what happened: entries of some types, each log in its order.

Entries get their places in the order in which they are committed, so that whoever goes on from a place misses nothing.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from backend.audit.tables import LedgerEntry, LedgerHead


@dataclass(frozen=True, slots=True)
class Followed:
    """What an entry is found by."""

    seq: int
    id: str
    occurred_at: datetime
    event_type: str
    action: str
    actor: str | None
    """A surrogate, if it was a person: see `service.shown_with_names`."""
    outcome: str
    resource_type: str | None
    resource_id: str | None


async def sizes(session: AsyncSession, logs: Collection[str]) -> dict[str, int]:
    """How many entries some logs have; a log without any is not named."""
    query = select(LedgerHead.log, LedgerHead.size).where(LedgerHead.log.in_(logs))
    return {row.log: row.size for row in await session.execute(query)}


async def entries_between(
    session: AsyncSession, log: str, first: int, until: int, beginnings: Sequence[str], *, limit: int
) -> list[Followed]:
    """Entries of a log from one place to before another whose types begin so, cut at a dot, in their order."""
    if not beginnings or until <= first:
        return []
    entry = LedgerEntry
    fits = [entry.event_type.startswith(f"{one}.", autoescape=True) for one in beginnings]
    query = (
        select(
            entry.seq, entry.id, entry.occurred_at, entry.event_type, entry.action, entry.actor, entry.outcome,
            entry.resource_type, entry.resource_id,
        )
        .where(entry.log == log, entry.seq >= first, entry.seq < until)
        .where(or_(entry.event_type.in_(beginnings), *fits))
        .order_by(entry.seq)
        .limit(limit)
    )  # fmt: skip
    return [Followed(**{**row, "id": str(row["id"])}) for row in (await session.execute(query)).mappings()]
