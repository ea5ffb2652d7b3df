"""Finding incidents, and the numbers of a span of time. Reads only."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import case, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.expression import ColumnElement

from backend.context import Runtime
from backend.incidents import checking, cursors, metrics, views
from backend.incidents.metrics import Measured
from backend.incidents.numbering import parse_incident_id
from backend.incidents.tables import IncidentRow
from backend.nearest import Span, nearest_rows
from backend.paging import count_capped
from contract.base import Page
from contract.incidents import Incident, IncidentStats
from contract.states import IncidentStatus, Severity

MAX_MEASURED: Final = 20_000
"""Incidents of one span of numbers; decades of any floor's."""
_USUAL_SPAN: Final = timedelta(days=365)
_GRAVITY: Final = case({severity.value: place for place, severity in enumerate(Severity)}, value=IncidentRow.severity)


@dataclass(frozen=True, slots=True)
class IncidentFilter:
    """What a page of incidents is narrowed to; empty leaves a field open."""

    status: Collection[IncidentStatus] = ()
    severity: Collection[Severity] = ()
    type: str | None = None
    q: str | None = None
    """Words of the title or the description, or the beginning of an id."""
    drill: bool | None = None
    since: datetime | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        """The filter as SQL conditions."""
        found: list[ColumnElement[bool]] = []
        if self.status:
            found.append(IncidentRow.status.in_([one.value for one in self.status]))
        if self.severity:
            found.append(IncidentRow.severity.in_([one.value for one in self.severity]))
        if self.type is not None:
            found.append(IncidentRow.type == self.type)
        if self.drill is not None:
            found.append(IncidentRow.drill.is_(self.drill))
        if self.since is not None:
            found.append(IncidentRow.declared_at >= self.since)
        return found + [_says(word) for word in (self.q or "").split()]


def _says(word: str) -> ColumnElement[bool]:
    named = parse_incident_id(word)
    said = [
        IncidentRow.title.icontains(word, autoescape=True),
        IncidentRow.description.icontains(word, autoescape=True),
    ]
    said.append(IncidentRow.id.istartswith(word, autoescape=True))
    return or_(*said, *([IncidentRow.id == named] if named else []))


async def page(
    session: AsyncSession, runtime: Runtime, wanted: IncidentFilter, *, cursor: str | None, limit: int
) -> Page[Incident]:
    """One page of incidents, newest first, without steps and links.

    Raises:
        WatchfloorError: INVALID_REQUEST for a cursor that is not ours.
    """
    conditions = wanted.conditions()
    after = None if cursor is None else cursors.decode(cursor, str)
    query = cursors.page_of(
        select(IncidentRow).where(*conditions), IncidentRow.declared_at, IncidentRow.id,
        after=after, limit=limit, newest=True,
    )  # fmt: skip
    rows, more = cursors.cut((await session.scalars(query)).all(), limit, lambda row: (row.declared_at, row.id))
    total = await count_capped(session, IncidentRow, conditions) if cursor is None else None
    items = await views.show_all(session, runtime, rows)
    return Page(items=items, next_cursor=more, total=total, as_of=runtime.clock.now())


async def declared_around(
    session: AsyncSession, runtime: Runtime, span: Span, limit: int, *, without: str | None
) -> tuple[list[Incident], int]:
    """Incidents declared in a time, nearest to its instant first, and how many there are up to the cap."""
    wanted = [IncidentRow.declared_at >= span.since, IncidentRow.declared_at <= span.until]
    if without is not None:
        wanted.append(IncidentRow.id != without)
    query = select(IncidentRow).where(*wanted)
    rows = await nearest_rows(session, query, IncidentRow.declared_at, IncidentRow.id, span.at, limit)
    return await views.show_all(session, runtime, rows), await count_capped(session, IncidentRow, wanted)


async def open_ones(session: AsyncSession, runtime: Runtime, limit: int) -> list[Incident]:
    """Incidents that are not over, the most severe first, without milestones, steps and links."""
    query = (
        select(IncidentRow)
        .where(IncidentRow.status == IncidentStatus.OPEN.value)
        .order_by(IncidentRow.drill, _GRAVITY, IncidentRow.declared_at.desc(), IncidentRow.id.desc())
        .limit(limit)
    )
    found = await views.show_all(session, runtime, (await session.scalars(query)).all())
    return [one.model_copy(update={"milestones": []}) for one in found]


async def stats(
    session: AsyncSession, runtime: Runtime, *, since: datetime | None, until: datetime | None, drills: bool
) -> IncidentStats:
    """The numbers of incidents declared in a span of time; absent ends are a year ago and now.

    Raises:
        WatchfloorError: INVALID_REQUEST for a span that ends before it begins.
    """
    now = runtime.clock.now()
    last = checking.instant(until, now)
    first = checking.instant(since, now) if since is not None else last - _USUAL_SPAN
    if first > last:
        raise checking.refused("The span ends before it begins.")
    query = (
        select(IncidentRow)
        .where(IncidentRow.drill.is_(drills), IncidentRow.declared_at >= first, IncidentRow.declared_at <= last)
        .order_by(IncidentRow.declared_at.desc())
        .limit(MAX_MEASURED)
    )
    rows = (await session.scalars(query)).all()
    reached = await views.known_milestones(session, rows)
    measured = [Measured(row.declared_at, Severity(row.severity), reached[row.id]) for row in rows]
    targets = {severity: runtime.policy.severities[severity].response_time_minutes for severity in Severity}
    return IncidentStats(
        since=first,
        until=last,
        drills=drills,
        groups=metrics.groups(measured),
        compliance=metrics.compliance(measured, targets, now),
    )
