"""How far the scribe has read its sources: in all, and for incidents that began behind that.

Whoever declares an incident cannot know what the scribe reads before it sees the incident. So the declaration itself
notes where the sources end, and the scribe goes back to there for that incident alone: nothing that is committed while
somebody declares is lost, and what is read twice is written once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from sqlalchemy import ColumnElement, and_, delete, func, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from backend.alerts import service as alerts
from backend.audit import service as audit
from backend.context import Runtime
from backend.incidents.tables import IncidentRow, ScribeCursor

ALERT_EVENTS: Final = "alerts"
_LOG: Final = "audit:"
_ALL_READ: Final = "all-read"
"""Not a source: when all of them were last read to their ends, in seconds since 1970."""
_BETWEEN: Final = " "
"""Between an incident's id and the name of a source."""


def log_source(log: str) -> str:
    """The source that a log of the audit ledger is."""
    return f"{_LOG}{log}"


@dataclass(frozen=True, slots=True)
class Place:
    """How far one source has been read."""

    source: str
    known: bool
    """Whether it has ever been read."""
    everywhere: int
    notes: Mapping[str, int]
    """What single acts have noted, each under a key that begins with the incident's id: for it, less has been read."""

    @property
    def first(self) -> int:
        """Where reading goes on."""
        return min([self.everywhere, *self.notes.values()])

    def of(self, incident: str) -> int:
        """How far it has been read for an incident."""
        own = [end for key, end in self.notes.items() if key.startswith(f"{incident}{_BETWEEN}")]
        return min([self.everywhere, *own])


async def ends(session: AsyncSession, runtime: Runtime) -> dict[str, int]:
    """Where every source ends now."""
    sizes = await audit.sizes(session, runtime.policy.audit_logs)
    logs = {log_source(log): sizes.get(log, 0) for log in runtime.policy.audit_logs}
    return {ALERT_EVENTS: await alerts.newest_event(session), **logs}


async def note(session: AsyncSession, row: IncidentRow, found: Mapping[str, int]) -> None:
    """Have everything behind these ends read for an incident, also what has been read already by then.

    Each act that changes a record has notes of its own: the scribe deletes only what it has seen.
    """
    values = [
        {"source": f"{row.id}{_BETWEEN}{row.last_entry}{_BETWEEN}{source}", "position": end}
        for source, end in sorted(found.items())
    ]
    await session.execute(insert(ScribeCursor).values(values).on_conflict_do_nothing())


async def forget(session: AsyncSession, incident: str) -> None:
    """Read nothing for an incident any more."""
    await session.execute(delete(ScribeCursor).where(_noted_by(incident)))


def _noted_by(incident: str) -> ColumnElement[bool]:
    return ScribeCursor.source.startswith(f"{incident}{_BETWEEN}", autoescape=True)


async def place_of(session: AsyncSession, source: str, end: int, incidents: Sequence[str]) -> Place:
    """How far a source has been read; one that has never been is read from where it ends now."""
    noted = and_(
        ScribeCursor.source.endswith(f"{_BETWEEN}{source}", autoescape=True),
        func.split_part(ScribeCursor.source, _BETWEEN, 1).in_(incidents),
    )
    query = select(ScribeCursor.source, ScribeCursor.position).where(or_(ScribeCursor.source == source, noted))
    notes = {row.source: row.position for row in await session.execute(query)}
    read = notes.pop(source, None)
    return Place(source, read is not None, end if read is None else min(read, end), notes)


async def go_on(session: AsyncSession, place: Place, until: int) -> None:
    """Note that a source has been read up to somewhere, for those incidents too that were behind."""
    if until > place.everywhere or not place.known:
        await _put(session, place.source, max(until, place.everywhere))
    if place.notes and until >= place.everywhere:
        await session.execute(delete(ScribeCursor).where(ScribeCursor.source.in_(place.notes)))
        return
    for key in sorted(key for key, end in place.notes.items() if end < until):
        await _put(session, key, until)


async def all_read_at(session: AsyncSession) -> datetime | None:
    """When every source was last known to be read to its end."""
    query = select(ScribeCursor.position).where(ScribeCursor.source == _ALL_READ)
    found = await session.scalar(query)
    return None if found is None else datetime.fromtimestamp(found, UTC)


async def note_all_read(session: AsyncSession, at: datetime) -> None:
    """Note that every source has been read to its end, as it was at an instant."""
    await _put(session, _ALL_READ, int(at.timestamp()))


async def skip(session: AsyncSession, found: Mapping[str, int]) -> None:
    """Note that nothing before these ends is of interest."""
    query = select(ScribeCursor.source, ScribeCursor.position).where(ScribeCursor.source.in_(found))
    known = {row.source: row.position for row in await session.execute(query)}
    for source, end in sorted(found.items()):
        if known.get(source) != end:
            await _put(session, source, end)


async def _put(session: AsyncSession, source: str, position: int) -> None:
    statement = insert(ScribeCursor).values(source=source, position=position)
    await session.execute(
        statement.on_conflict_do_update(index_elements=[ScribeCursor.source], set_={"position": position})
    )
