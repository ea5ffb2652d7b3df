"""The whole record of one incident, for what is written from it: reports, exports."""

from dataclasses import dataclass
from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from backend.context import Caller, Runtime
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


async def record_of(session: AsyncSession, runtime: Runtime, ident: str, *, audit: bool = False) -> Record:
    """The record as it stands; lines from the audit log say what they say only if asked to (`audit`).

    Raises:
        WatchfloorError: NOT_FOUND.
    """
    row = await row_of(session, ident)
    return Record(
        incident=await views.show(session, runtime, row),
        timeline=await timeline.whole(session, row.id, MAX_LINES, audit=audit),
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
    session: AsyncSession,
    runtime: Runtime,
    caller: Caller,
    ident: str,
    *,
    order: timeline.Order,
    cursor: str | None,
    limit: int,
) -> Page[TimelineEntry]:
    """One page of an incident's timeline; what lines from the audit log say is for whoever may see that log.

    Raises:
        WatchfloorError: NOT_FOUND; INVALID_REQUEST for a cursor that is not ours.
    """
    row = await row_of(session, ident)
    now, audit = runtime.clock.now(), timeline.may_see_audit(caller)
    return await timeline.page(session, row.id, order=order, cursor=cursor, limit=limit, audit=audit, as_of=now)
