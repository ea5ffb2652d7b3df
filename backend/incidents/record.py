"""The whole record of one incident, for what is written from it: reports, exports."""

from dataclasses import dataclass
from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from backend.context import Runtime
from backend.incidents import evidence, followups, timeline, views
from backend.incidents.writing import row_of
from contract.base import Page
from contract.incidents import Evidence, FollowUp, Incident, TimelineEntry

MAX_LINES: Final = 5_000
"""Lines of a timeline that a report is made from."""


@dataclass(frozen=True, slots=True)
class Record:
    """Everything that is known of one incident."""

    incident: Incident
    timeline: list[TimelineEntry]
    """Oldest first, what was corrected among it."""
    evidence: list[Evidence]
    follow_ups: list[FollowUp]


async def record_of(session: AsyncSession, runtime: Runtime, ident: str) -> Record:
    """The record as it stands.

    Raises:
        WatchfloorError: NOT_FOUND.
    """
    row = await row_of(session, ident)
    return Record(
        incident=await views.show(session, runtime, row),
        timeline=await timeline.whole(session, row.id, MAX_LINES),
        evidence=(await evidence.pieces(session, row.id)).items,
        follow_ups=await followups.of_incident(session, runtime, row.id),
    )


async def get_incident(session: AsyncSession, runtime: Runtime, ident: str) -> Incident:
    """One incident, whole.

    Raises:
        WatchfloorError: NOT_FOUND.
    """
    return await views.show(session, runtime, await row_of(session, ident))


async def incident_timeline(
    session: AsyncSession, runtime: Runtime, ident: str, *, order: timeline.Order, cursor: str | None, limit: int
) -> Page[TimelineEntry]:
    """One page of an incident's timeline.

    Raises:
        WatchfloorError: NOT_FOUND; INVALID_REQUEST for a cursor that is not ours.
    """
    row = await row_of(session, ident)
    now = runtime.clock.now()
    return await timeline.page(session, row.id, order=order, cursor=cursor, limit=limit, as_of=now)
