"""Whether the ledger may grow: a fault that was found and not yet resolved forbids it. Any process may ask.

The sequencer asks within the statement that takes entries from the outbox.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from backend.audit.heads_tables import LedgerFault


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with one log, in the words of an alert."""

    log: str
    origin: str
    kind: str
    source: str
    witnessed_size: int
    own_size: int
    found_at: datetime

    def __str__(self) -> str:
        if self.kind == "smaller":
            return (
                f"The log {self.log} has {self.own_size:,} entries in the database; {self.source} holds a signed head"
                f" of {self.witnessed_size:,}. Nothing is appended until a restore is approved."
            )
        if self.kind == "generation":
            return (
                f"The ledger's generation in the database is not the one that {self.source} knows of ({self.origin})."
                " Nothing is appended until a restore is approved."
            )
        return (
            f"The log {self.log} in the database is not a continuation of the head of {self.witnessed_size:,} entries"
            f" that {self.source} holds. Nothing is appended until a restore is approved."
        )


async def ledger_fault(session: AsyncSession) -> Fault | None:
    """The oldest open fault, or None: the ledger may grow."""
    row = await session.scalar(
        select(LedgerFault).where(LedgerFault.resolved_at.is_(None)).order_by(LedgerFault.found_at).limit(1)
    )
    return None if row is None else as_fault(row)


async def open_faults(session: AsyncSession) -> list[Fault]:
    """Every open fault, at most one an origin."""
    rows = await session.scalars(
        select(LedgerFault).where(LedgerFault.resolved_at.is_(None)).order_by(LedgerFault.origin)
    )
    return [as_fault(row) for row in rows]


def as_fault(row: LedgerFault) -> Fault:
    """What a row says."""
    return Fault(row.log, row.origin, row.kind, row.source, row.witnessed_size, row.own_size, row.found_at)
