"""One look at an Alertmanager: what fires there, what mutes it, which alerts are gone, and its silences.

The API is asked before the transaction begins: nothing is locked while somebody else's server thinks. What came by the
webhook meanwhile is known better, and `occurrences` tells it apart.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from backend.alerts.alertmanager.line import Line, SourceError
from backend.alerts.alertmanager.mutes import mute_of, source_named
from backend.alerts.alertmanager.taking import Report, cleared_as_gone, fingerprint_here, occurrences_taken
from backend.alerts.muting_core import Mute
from backend.alerts.rows import LIVE
from backend.alerts.tables import OWN_SOURCE, AlertmanagerSource, AlertRow, SilenceRow
from backend.context import Caller, Runtime
from contract.alertmanager import ForeignAlert, ForeignSilence

Fence = Callable[[AsyncSession], Awaitable[None]]
"""Refuses a transaction of whoever no longer leads."""
MAX_SILENCES: Final = 2_000
"""Of one source that are kept here; the newest of them."""
AT_ONCE: Final = 1_000
"""Alerts taken in one transaction: it must not hold its locks for seconds."""
MAX_GONE: Final = 1_000
"""Alerts cleared in one look because they are gone; the rest follows with the next."""
_ENDED: Final = "expired"


@dataclass(frozen=True, slots=True)
class Watched:
    """A source that is being looked at."""

    name: str
    url: str
    line: Line
    fence: Fence


@dataclass(frozen=True, slots=True)
class Seen:
    """How things stand at an Alertmanager, as far as it says."""

    asked_at: datetime
    alerts: tuple[ForeignAlert, ...] | None
    """None: it does not say, or does not say what mutes them."""
    silences: tuple[ForeignSilence, ...] | None
    """None: it does not say."""
    cluster: str | None
    error: SourceError | None
    """The first of what went wrong; None: it answered all of it."""


async def seen(runtime: Runtime, line: Line) -> Seen:
    """Ask: for its silences also where its alerts cannot be read, as silences are made in storms."""
    asked_at = runtime.clock.now()
    alerts = cluster = silences = error = None
    try:
        alerts, cluster = await line.alerts(), await line.cluster()
    except SourceError as failed:
        error = failed
    try:
        silences = await line.silences()
    except SourceError as failed:
        alerts, error = None, error or failed
    return Seen(asked_at, alerts, silences, cluster, error)


async def note_source(session: AsyncSession, name: str, **values: Any) -> None:
    """Write something down about a source; whatever else is taken from it waits until this transaction ends."""
    added = insert(AlertmanagerSource).values(name=name, **values)
    await session.execute(added.on_conflict_do_update(index_elements=["name"], set_=values))


async def note_failure(runtime: Runtime, source: Watched, error: SourceError) -> None:
    """Write down that a source did not answer all of it."""
    async with runtime.database.transaction() as session:
        await source.fence(session)
        await note_source(session, source.name, last_error=str(error), last_error_at=runtime.clock.now())


async def take_silences(
    runtime: Runtime, source: Watched, silences: Sequence[ForeignSilence]
) -> Mapping[str, Mute | None]:
    """Store the silences of a source; returns what each mutes with, None for the copies of ours."""
    async with runtime.database.transaction() as session:
        await source.fence(session)
        await note_source(session, source.name, url=source.url)
        newest = sorted(silences, key=lambda one: one.updated_at, reverse=True)[:MAX_SILENCES]
        return await _silences_stored(session, runtime, source.name, newest)


async def take_alerts(
    runtime: Runtime, caller: Caller, source: Watched, found: Seen, mutes: Mapping[str, Mute | None]
) -> None:
    """Store which alerts there are; in several transactions, each of which is right by itself."""
    alerts = found.alerts or ()
    for first in range(0, len(alerts), AT_ONCE):
        async with runtime.database.transaction() as session:
            await source.fence(session)
            await note_source(session, source.name, url=source.url)
            some = alerts[first : first + AT_ONCE]
            report = Report(caller, source.name, some, current=True, silences=mutes)
            await occurrences_taken(session, runtime, [report])
    async with runtime.database.transaction() as session:
        await source.fence(session)
        await note_source(session, source.name, last_poll_at=found.asked_at, last_error=None, cluster=found.cluster)
        await _gone(session, runtime, caller, source.name, found)


async def _gone(session: AsyncSession, runtime: Runtime, caller: Caller, name: str, found: Seen) -> None:
    """Clear what has been missing for long: its end was never delivered, or its Alertmanager has forgotten it."""
    source = source_named(name)
    there = {fingerprint_here(source, alert.fingerprint) for alert in found.alerts or ()}
    since = found.asked_at - runtime.policy.alertmanager.gone_after
    rows = await session.scalars(
        select(AlertRow)
        .where(LIVE, AlertRow.source == source, or_(AlertRow.seen_at < since, AlertRow.seen_at.is_(None)))
        .order_by(AlertRow.id)
        .limit(MAX_GONE + len(there))
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    gone = [row for row in rows if row.fingerprint not in there][:MAX_GONE]
    await cleared_as_gone(session, runtime, Report(caller, name, (), current=True), gone)


async def _silences_stored(
    session: AsyncSession, runtime: Runtime, name: str, silences: Sequence[ForeignSilence]
) -> Mapping[str, Mute | None]:
    copies = await _copies_in(session, name)
    theirs = [silence for silence in silences if silence.id not in copies]
    known = set(await session.scalars(select(SilenceRow.source_id).where(SilenceRow.source == source_named(name))))
    for silence in theirs:
        if silence.state != _ENDED or silence.id in known:
            await _store(session, runtime, name, silence)
    return {**{silence.id: mute_of(silence, name) for silence in theirs}, **dict.fromkeys(copies)}


async def _copies_in(session: AsyncSession, name: str) -> set[str]:
    """The ids that silences made here have in a source."""
    found: set[str] = set()
    mine = SilenceRow.copies.contains([{"source": name}])
    for copies in await session.scalars(select(SilenceRow.copies).where(SilenceRow.source == OWN_SOURCE, mine)):
        found |= {copy["id"] for copy in copies if copy["source"] == name and copy["id"]}
    return found


async def _store(session: AsyncSession, runtime: Runtime, name: str, silence: ForeignSilence) -> None:
    now = runtime.clock.now()
    over = silence.state == _ENDED
    may_change = {
        "matchers": [matcher.model_dump(mode="json") for matcher in silence.matchers],
        "starts_at": silence.starts_at,
        "ends_at": silence.ends_at,
        "comment": silence.comment,
        "lifted_at": silence.ends_at if over else None,
    }
    added = insert(SilenceRow).values(
        id=runtime.clock.new_id(),
        source=source_named(name),
        source_id=silence.id,
        created_by=silence.created_by[:100],
        created_at=min(silence.updated_at, now),
        begun_at=silence.starts_at,
        **may_change,
    )
    differs = or_(SilenceRow.ends_at != silence.ends_at, SilenceRow.comment != silence.comment)
    await session.execute(
        added.on_conflict_do_update(index_elements=["source", "source_id"], set_=may_change, where=differs)
    )
