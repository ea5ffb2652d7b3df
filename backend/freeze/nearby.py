"""What happened to holds in a time: put on and lifted. Reads only."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from backend.freeze import core, store
from backend.freeze.tables import FreezeRow
from contract.freeze import FreezeStatus


@dataclass(frozen=True, slots=True)
class Move:
    """A hold that was put on or lifted."""

    at: datetime
    id: str
    text: str
    actor: str | None


async def moves_between(session: AsyncSession, since: datetime, until: datetime, limit: int) -> list[Move]:
    """Holds put on or lifted in a time, oldest first."""
    rows = await session.scalars(
        select(FreezeRow)
        .where(or_(FreezeRow.created_at.between(since, until), FreezeRow.thawed_at.between(since, until)))
        .order_by(FreezeRow.created_at, FreezeRow.id)
        .limit(limit)
    )
    found = [move for row in rows for move in _moves(row) if since <= move.at <= until]
    return sorted(found, key=lambda move: (move.at, move.id))[:limit]


def _moves(row: FreezeRow) -> list[Move]:
    what = f"{core.ref_of(row.number)} {store.scope_of(row)}"
    drill = " (drill)" if row.drill_id is not None else ""
    found = [Move(row.created_at, str(row.id), f"{what} frozen, {row.mode}{drill}: {row.reason}", row.created_by)]
    if row.status == FreezeStatus.THAWED.value and row.thawed_at is not None:
        found.append(Move(row.thawed_at, str(row.id), f"{what} thawed{drill}", row.thawed_by))
    return found
