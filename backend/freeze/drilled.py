"""What of the floor is practice: holds that drills have put on, and what drills cover now. Reads only."""

from collections.abc import Collection
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from backend.freeze.tables import FreezeDrillRow, FreezeRow


async def holds_of_drills(session: AsyncSession, idents: Collection[str]) -> frozenset[str]:
    """Those of some freezes, by id, that a drill has put on."""
    wanted = [ident for ident in map(_ident, idents) if ident is not None]
    if not wanted:
        return frozenset()
    found = await session.scalars(select(FreezeRow.id).where(FreezeRow.id.in_(wanted), FreezeRow.drill_id.is_not(None)))
    return frozenset(str(ident) for ident in found)


async def scopes_in_drills(session: AsyncSession) -> frozenset[str]:
    """What the drills that are running have frozen."""
    found = await session.scalars(select(FreezeDrillRow.scopes).where(FreezeDrillRow.ended_at.is_(None)))
    return frozenset(scope for scopes in found for scope in scopes)


def _ident(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
