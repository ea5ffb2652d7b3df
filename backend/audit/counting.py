"""Counts what somebody did unusually often in the last minutes, over the index of event types. Reads only."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from backend.audit.tables import LedgerEntry

MAX_COUNTED: Final = 10_000
"""Entries, the newest first, that are counted: whoever did as much is found among them."""
MAX_FOUND: Final = 50
"""Actors that one count names, those with the most first."""


@dataclass(frozen=True, slots=True)
class Often:
    """Somebody and how often; a person is a surrogate, None is whoever has no account."""

    who: str | None
    number: int


async def done_often(
    session: AsyncSession,
    logs: Collection[str],
    events: Collection[str],
    since: datetime,
    least: int,
    *,
    about: bool = False,
) -> list[Often]:
    """Who has so many entries of some types since an instant; `about`: of which resource they are, not who did it."""
    who = LedgerEntry.resource_id if about else LedgerEntry.actor
    newest = (
        select(who.label("who"))
        .where(LedgerEntry.log.in_(logs), LedgerEntry.event_type.in_(events), LedgerEntry.occurred_at >= since)
        .order_by(LedgerEntry.occurred_at.desc())
        .limit(MAX_COUNTED)
        .subquery()
    )
    counted = (
        select(newest.c.who, func.count().label("number"))
        .group_by(newest.c.who)
        .having(func.count() >= least)
        .order_by(func.count().desc(), newest.c.who)
        .limit(MAX_FOUND)
    )
    return [Often(row.who, row.number) for row in await session.execute(counted)]
