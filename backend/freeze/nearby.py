"""What happened to holds in a time: put on and lifted. Reads only."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from backend.freeze import core, store
from backend.freeze.tables import FreezeRow
from backend.nearest import Span, nearest_rows
from backend.paging import count_capped
from contract.freeze import FreezeStatus


@dataclass(frozen=True, slots=True)
class Move:
    """A hold that was put on or lifted."""

    at: datetime
    id: str
    text: str
    actor: str | None


async def moves_around(session: AsyncSession, span: Span, limit: int) -> tuple[list[Move], int]:
    """Holds put on or lifted in a time, nearest to its instant first, and how many such moves there are."""
    put_on = [FreezeRow.created_at.between(span.since, span.until)]
    lifted = [FreezeRow.thawed_at.between(span.since, span.until), FreezeRow.status == FreezeStatus.THAWED.value]
    rows: dict[UUID, FreezeRow] = {}
    number = 0
    for column, wanted in ((FreezeRow.created_at, put_on), (FreezeRow.thawed_at, lifted)):
        found = await nearest_rows(session, select(FreezeRow).where(*wanted), column, FreezeRow.id, span.at, limit)
        rows |= {row.id: row for row in found}
        number += await count_capped(session, FreezeRow, wanted)
    moves = [move for row in rows.values() for move in _moves(row) if span.since <= move.at <= span.until]
    return sorted(moves, key=lambda move: (abs(move.at - span.at), move.id))[:limit], number


def _moves(row: FreezeRow) -> list[Move]:
    what = f"{core.ref_of(row.number)} {store.scope_of(row)}"
    drill = " (drill)" if row.drill_id is not None else ""
    found = [Move(row.created_at, str(row.id), f"{what} frozen, {row.mode}{drill}: {row.reason}", row.created_by)]
    if row.status == FreezeStatus.THAWED.value and row.thawed_at is not None:
        found.append(Move(row.thawed_at, str(row.id), f"{what} thawed{drill}", row.thawed_by))
    return found
