"""Writes the timelines of open incidents by itself: alerts, freezes with their proofs, entries of the audit ledger.

Run by one leader, and safe to repeat: each thing has a key under which it is written once. What is part of an incident
is always told; what merely touches its scope only while it is open, and only so much of it. One that is over is let go
only once all that happened until then has been read.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import and_, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from backend.alerts import service as alerts
from backend.audit import service as audit
from backend.context import Runtime, system_caller
from backend.freeze import service as freeze
from backend.incidents import places as marks
from backend.incidents.filling import FREEZE, add_lines
from backend.incidents.scribing import TOLD_BY_SCOPE, Line, alert_line, audit_line, freeze_lines
from backend.incidents.tables import IncidentEntry, IncidentLink, IncidentRow
from backend.incidents.timeline import SCRIBE
from backend.incidents.writing import Writing
from backend.monitors import Monitor
from backend.roster import service as roster
from contract.alerts import Alert
from contract.freeze import Freeze
from contract.scope import GLOBAL, Scope
from contract.states import FreezeStatus, IncidentStatus
from contract.stream import Topic

CALLER: Final = system_caller(SCRIBE.removeprefix("system:"))
INTERVAL_S: Final = 5.0
"""How late a line about something that announces nothing may be, such as an entry of the ledger."""
MAX_INCIDENTS: Final = 50
"""Open ones that are looked after; nobody handles more at once."""
MAX_BY_SCOPE: Final = 500
"""Lines of one timeline about what nobody made part of it: a storm of alerts must not bury what people wrote."""
_EVENTS_AT_ONCE: Final = 100
_ENTRIES_AT_ONCE: Final = 200
_SPAN_AT_ONCE: Final = 20_000
"""Places of a log that are looked through in one tick."""
_FREEZES: Final = 50
_COMES_LATE: Final = timedelta(minutes=1)
"""How long after something happened its line may still be on its way: the ledger numbers its entries afterwards."""
_NOTED_EVERY: Final = timedelta(seconds=30)
"""How old the note may be that all has been read: writing it at each tick would tell nothing more."""
_MORE_AT_ONCE_S: Final = 0.05
"""When the next tick comes while there is more to read."""


@dataclass(frozen=True, slots=True)
class _Open:
    """An incident that is open, or was a moment ago, and what is told on its timeline."""

    row: IncidentRow
    scopes: Sequence[Scope]

    def touches(self, scope: Scope, places: Iterable[roster.Facts]) -> bool:
        """Whether something about a scope may have to do with it; without a scope it is about everything."""
        return any(freeze.touches(mine, scope, places) for mine in self.scopes or [GLOBAL])


async def tick(session: AsyncSession, runtime: Runtime) -> float | None:
    """Write down whatever is new; answers soon when there is more than fits into one tick."""
    now = runtime.clock.now()
    read_at = await marks.all_read_at(session)
    rows = await _looked_after(session, min(read_at or now, now) - _COMES_LATE)
    more = False
    if rows:
        more = await _tell(session, runtime, rows)
    else:  # what an incident takes in later brings its own history
        await marks.skip(session, await marks.ends(session, runtime))
    if not more and len(rows) < MAX_INCIDENTS and (read_at is None or now - read_at >= _NOTED_EVERY):
        await marks.note_all_read(session, now)
    return _MORE_AT_ONCE_S if more else None


async def _looked_after(session: AsyncSession, over_since: datetime) -> Sequence[IncidentRow]:
    """Incidents that are open, then those that are over only since an instant."""
    is_open = IncidentRow.status == IncidentStatus.OPEN.value
    just_over = and_(IncidentRow.status == IncidentStatus.RESOLVED.value, IncidentRow.resolved_at > over_since)
    query = select(IncidentRow).where(or_(is_open, just_over)).order_by(is_open.desc(), IncidentRow.id.desc())
    return (await session.scalars(query.limit(MAX_INCIDENTS))).all()


async def _tell(session: AsyncSession, runtime: Runtime, rows: Sequence[IncidentRow]) -> bool:
    """Write down what is new for those incidents; True: there is more to read."""
    open_ones = [_Open(row, [Scope.parse(text) for text in row.scopes]) for row in rows]
    places = (await roster.everyone(session)).executors
    lines: dict[str, list[Line]] = defaultdict(list)
    more = await _of_alerts(session, open_ones, places, lines)
    await _of_freezes(session, runtime, open_ones, places, lines)
    more |= await _of_ledger(session, runtime, open_ones, lines)
    for one in sorted(open_ones, key=lambda one: one.row.id):
        if found := lines.get(one.row.id):
            await _write(session, runtime, one.row, found)
    return more


async def _write(session: AsyncSession, runtime: Runtime, incident: IncidentRow, lines: Sequence[Line]) -> None:
    keys = {line.source_key for line in _until_over(incident, lines)}
    known = select(func.count()).where(IncidentEntry.incident == incident.id, IncidentEntry.source_key.in_(keys))
    if await session.scalar(known) == len(keys):
        return  # nothing new, which is so at most ticks: nobody's work on it is held up
    locked = select(IncidentRow).where(IncidentRow.id == incident.id).with_for_update()
    row = await session.scalar(locked.execution_options(populate_existing=True))
    if row is None or row.status == IncidentStatus.CLOSED.value:
        return
    work = Writing(session, runtime, CALLER, row, runtime.clock.now())
    if await add_lines(work, _until_over(row, lines)):
        await work.finish("incidents.timeline.filled", "fill timeline of incident")


def _until_over(row: IncidentRow, lines: Sequence[Line]) -> list[Line]:
    """What happened before it was over; of one that is open, all."""
    return [line for line in lines if row.resolved_at is None or line.occurred_at <= row.resolved_at]


async def _of_alerts(
    session: AsyncSession, open_ones: Sequence[_Open], places: Sequence[roster.Facts], lines: dict[str, list[Line]]
) -> bool:
    newest = await alerts.newest_event(session)
    place = await marks.place_of(session, marks.ALERT_EVENTS, newest, [one.row.id for one in open_ones])
    told = await alerts.events_after(session, place.first, _EVENTS_AT_ONCE)
    if not told:
        await marks.go_on(session, place, newest)
        return False
    found = await alerts.alerts_named(session, {one.alert_id for one in told})
    room = {one.row.id: await _room(session, one.row.id) for one in open_ones}
    for one in told:
        alert = found[one.alert_id]
        line = alert_line(alert, one.event)
        if line is not None:
            behind = [each for each in open_ones if place.of(each.row.id) < one.number]
            _tell_of_alert(behind, places, room, alert, one.event.kind, line, lines)
    await marks.go_on(session, place, told[-1].number)
    return len(told) == _EVENTS_AT_ONCE


def _tell_of_alert(  # noqa: PLR0917  all that decides who is told
    open_ones: Sequence[_Open],
    places: Sequence[roster.Facts],
    room: dict[str, int],
    alert: Alert,
    kind: str,
    line: Line,
    lines: dict[str, list[Line]],
) -> None:
    for one in open_ones:
        if alert.incident == one.row.id:
            lines[one.row.id].append(line)
        elif _is_beside(one, alert, kind, line) and room[one.row.id] > 0 and one.touches(alert.scope, places):
            room[one.row.id] -= 1
            lines[one.row.id].append(_without_milestone(line))


def _is_beside(one: _Open, alert: Alert, kind: str, line: Line) -> bool:
    """Whether an alert that nobody made part of an incident may be told on its timeline; never on that of a drill."""
    return (
        not one.row.drill
        and alert.incident is None
        and not alert.muted_by
        and kind in TOLD_BY_SCOPE
        and line.occurred_at >= one.row.declared_at
    )


def _without_milestone(line: Line) -> Line:
    return Line(line.kind, line.text, line.occurred_at, line.actor, line.source_key, line.link)


async def _room(session: AsyncSession, incident: str) -> int:
    told = select(func.count()).where(
        IncidentEntry.incident == incident, IncidentEntry.source_key.startswith("alert-event:", autoescape=True)
    )
    return MAX_BY_SCOPE - (await session.scalar(told) or 0)


async def _of_freezes(
    session: AsyncSession,
    runtime: Runtime,
    open_ones: Sequence[_Open],
    places: Sequence[roster.Facts],
    lines: dict[str, list[Line]],
) -> None:
    listed = await freeze.list_freezes(session, runtime, status="all", cursor=None, limit=_FREEZES)
    recent = {one.id: one for one in listed.items if one.status is not FreezeStatus.LATCHED}
    linked = await _linked_freezes(session, open_ones)
    for ident in sorted(set().union(*linked.values()) - set(recent)):
        recent[ident] = await freeze.get_freeze(session, runtime, ident)
    now = runtime.clock.now()
    for hold in recent.values():
        concerned = [(one, hold.id in linked[one.row.id]) for one in open_ones]
        told = [(one, own) for one, own in concerned if own or _happened_meanwhile(one, hold, places)]
        if not told:
            continue
        whole = hold if hold.halted < hold.covered else await freeze.get_freeze(session, runtime, hold.id)
        for one, own in told:
            found = freeze_lines(whole, now)
            lines[one.row.id] += found if own else [_without_milestone(line) for line in found]


def _happened_meanwhile(one: _Open, hold: Freeze, places: Sequence[roster.Facts]) -> bool:
    """A hold that was put on while an incident was open; a drill's belongs to drills."""
    return hold.created_at >= one.row.declared_at and hold.drill is one.row.drill and one.touches(hold.scope, places)


async def _linked_freezes(session: AsyncSession, open_ones: Sequence[_Open]) -> Mapping[str, set[str]]:
    linked: dict[str, set[str]] = {one.row.id: set() for one in open_ones}
    query = select(IncidentLink.incident, IncidentLink.target).where(
        IncidentLink.incident.in_(linked), IncidentLink.kind == FREEZE
    )
    for row in await session.execute(query):
        linked[row.incident].add(row.target)
    return linked


async def _of_ledger(
    session: AsyncSession, runtime: Runtime, open_ones: Sequence[_Open], lines: dict[str, list[Line]]
) -> bool:
    beginnings, more = runtime.policy.incident_rules.timeline_events, False
    idents = [one.row.id for one in open_ones]
    for log, size in sorted((await audit.sizes(session, runtime.policy.audit_logs)).items()):
        place = await marks.place_of(session, marks.log_source(log), size, idents)
        until = min(size, place.first + _SPAN_AT_ONCE)
        found = await audit.entries_between(session, log, place.first, until, beginnings, limit=_ENTRIES_AT_ONCE)
        if len(found) == _ENTRIES_AT_ONCE:
            until = found[-1].seq + 1
        names = await audit.shown_with_names(session, {one.id: one.actor or "" for one in found}) if found else {}
        for entry in found:
            line = _line_of(entry, names[entry.id])
            for one in open_ones:
                if entry.occurred_at >= one.row.declared_at and entry.seq >= place.of(one.row.id):
                    lines[one.row.id].append(line)
        await marks.go_on(session, place, until)
        more |= until < size
    return more


def _line_of(entry: audit.Followed, actor: str) -> Line:
    about = " ".join(part for part in (entry.resource_type, entry.resource_id) if part)
    return audit_line(
        ident=entry.id,
        event_type=entry.event_type,
        action=entry.action,
        actor=actor,
        about=about,
        outcome=entry.outcome,
        occurred_at=entry.occurred_at,
    )


MONITOR: Final = Monitor(
    name="incident-scribe",
    interval_s=INTERVAL_S,
    tick=tick,
    wake_on=frozenset({Topic.ALERT, Topic.ALERTS, Topic.FREEZE}),
)
