"""Lines of a timeline: how they are written, read back in order, and what the audit ledger keeps of them.

The order is total and stable: by when it happened, then by the number under which it was recorded.
"""

import hashlib
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final, Literal
from uuid import UUID

import orjson
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from backend.context import Caller
from backend.incidents import cursors
from backend.incidents.scribing import FROM_AUDIT
from backend.incidents.tables import IncidentEntry
from contract.alerts import Link
from contract.base import Page
from contract.incidents import TimelineEntry
from contract.permissions import Permission

MAX_TEXT_CHARS: Final = 12_000
"""A note at its longest with what Watchfloor says around it."""
Order = Literal["asc", "desc"]
WITHHELD: Final = "An entry of the audit log, for whoever may see that log."
SCRIBE: Final = "system:incident-scribe"
"""Who wrote the line, in the place of who did what it tells."""


def digest_of(entries: Iterable[IncidentEntry]) -> str:
    """SHA-256 over what some lines say: what the audit ledger keeps of them.

    One line of JSON for each: number, when it happened, kind, text. Without who said it, which the ledger's own entry
    tells, so that an erased name does not break it.
    """
    digest = hashlib.sha256()
    for one in entries:
        at = one.occurred_at.astimezone(UTC).isoformat(timespec="microseconds")
        digest.update(orjson.dumps([one.number, at, one.kind, one.text]) + b"\n")
    return digest.hexdigest()


def may_see_audit(caller: Caller) -> bool:
    """Whether a caller may read what lines from the audit log say."""
    return Permission.VIEW_AUDIT_LOGS in caller.permissions


def wire(row: IncidentEntry, corrected_by: UUID | None = None, *, audit: bool = False) -> TimelineEntry:
    """A line as it travels; one from the audit log says what it says only to whoever may see that log (`audit`)."""
    withheld = not audit and (row.source_key or "").startswith(FROM_AUDIT)
    return TimelineEntry(
        id=str(row.id),
        number=row.number,
        occurred_at=row.occurred_at,
        recorded_at=row.recorded_at,
        actor=SCRIBE if withheld else row.actor,
        auto=row.auto,
        kind=row.kind,
        text=WITHHELD if withheld else row.text,
        link=None if row.link is None or withheld else Link.model_validate(row.link),
        corrects=None if row.corrects is None else str(row.corrects),
        corrected_by=None if corrected_by is None else str(corrected_by),
        withheld=withheld,
    )


async def page(
    session: AsyncSession,
    incident: str,
    *,
    order: Order,
    cursor: str | None,
    limit: int,
    audit: bool,
    as_of: datetime | None = None,
) -> Page[TimelineEntry]:
    """One page of a timeline; `audit` as of `wire`.

    Raises:
        WatchfloorError: INVALID_REQUEST for a cursor that is not ours.
    """
    after = None if cursor is None else cursors.decode(cursor, int)
    query = cursors.page_of(
        select(IncidentEntry).where(IncidentEntry.incident == incident),
        IncidentEntry.occurred_at,
        IncidentEntry.number,
        after=after,
        limit=limit,
        newest=order == "desc",
    )
    rows, more = cursors.cut((await session.scalars(query)).all(), limit, lambda row: (row.occurred_at, row.number))
    corrected = await corrections(session, [row.id for row in rows])
    return Page(items=[wire(row, corrected.get(row.id), audit=audit) for row in rows], next_cursor=more, as_of=as_of)


async def corrections(session: AsyncSession, entries: Sequence[UUID]) -> dict[UUID, UUID]:
    """Of some lines those that were corrected, with the newest correction."""
    if not entries:
        return {}
    query = (
        select(IncidentEntry.corrects, IncidentEntry.id)
        .where(IncidentEntry.corrects.in_(entries))
        .order_by(IncidentEntry.number)
    )
    return {row.corrects: row.id for row in await session.execute(query) if row.corrects is not None}


async def whole(session: AsyncSession, incident: str, limit: int, *, audit: bool) -> list[TimelineEntry]:
    """The first lines of a timeline, oldest first: for what is written from the record."""
    return (await page(session, incident, order="asc", cursor=None, limit=limit, audit=audit)).items
