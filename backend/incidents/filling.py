"""Puts on a timeline what happened elsewhere, each thing once, and stamps the milestones that it reached."""

from collections.abc import Iterable, Sequence
from typing import Final

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from backend.alerts import service as alerts
from backend.freeze import service as freeze
from backend.incidents.scribing import Line, alert_line, alert_link, freeze_lines
from backend.incidents.tables import IncidentEntry, IncidentLink
from backend.incidents.writing import Writing
from contract.alerts import Alert, Link
from contract.freeze import Freeze
from contract.incidents import MilestoneName
from contract.permissions import Permission
from contract.states import IncidentStatus

ALERT, FREEZE = "alert", "freeze"
_MAX_LABEL_CHARS: Final = 300
_KEYS_AT_ONCE: Final = 10_000
"""A statement takes 65,535 values."""
MAX_SCOPES: Final = 20
"""As many as may be named at a declaration; what else it is about is said by its links."""


async def add_lines(work: Writing, lines: Iterable[Line]) -> int:
    """Write those lines that are not there yet, in the order of what happened; answers how many it wrote."""
    wanted = {line.source_key: line for line in sorted(lines, key=lambda one: one.occurred_at)}
    if not wanted:
        return 0
    known = await _known(work, list(wanted))
    fresh = [line for key, line in wanted.items() if key not in known]
    for line in fresh:
        await work.entry(
            line.kind,
            line.text,
            occurred_at=line.occurred_at,
            actor=line.actor,
            auto=True,
            link=line.link,
            source_key=line.source_key,
        )
        if line.reaches is not None:
            await work.first(line.reaches, line.occurred_at)
    return len(fresh)


async def _known(work: Writing, keys: Sequence[str]) -> set[str]:
    known: set[str] = set()
    for begin in range(0, len(keys), _KEYS_AT_ONCE):
        some = keys[begin : begin + _KEYS_AT_ONCE]
        query = select(IncidentEntry.source_key).where(
            IncidentEntry.incident == work.row.id, IncidentEntry.source_key.in_(some)
        )
        known.update(key for key in await work.session.scalars(query) if key is not None)
    return known


async def add_links(work: Writing, kind: str, links: Sequence[Link]) -> list[Link]:
    """Write down what is part of the incident from now on; answers what was not before."""
    query = select(IncidentLink.target).where(IncidentLink.incident == work.row.id, IncidentLink.kind == kind)
    known = set(await work.session.scalars(query))
    fresh = [one for one in links if one.id not in known]
    for one in fresh:
        row = IncidentLink(
            incident=work.row.id,
            kind=kind,
            target=one.id,
            label=one.label[:_MAX_LABEL_CHARS],
            linked_at=work.now,
            linked_by=work.caller.subject,
        )
        work.session.add(row)
        await work.entry("link", f"{one.kind} {one.label} is part of this incident", link=one)
    return fresh


async def take_in_alerts(work: Writing, idents: Sequence[str]) -> list[Alert]:
    """Make alerts part of the incident, with all that happened to them so far.

    Raises:
        WatchfloorError: NOT_FOUND; CONFLICT for one that is part of another incident.
    """
    if not idents:
        return []
    quiet = quietens(work)
    found = [  # always in the same order: two people who take in the same alerts cannot deadlock
        await alerts.link_incident(work.session, work.runtime, work.caller, ident, work.row.id, drill=quiet)
        for ident in sorted(set(idents))
    ]
    await add_links(work, ALERT, [alert_link(one) for one in found])
    _widen(work, [str(one.scope) for one in found])
    await _date_start(work, found)
    await _tell_of_alerts(work, found)
    return found


async def _date_start(work: Writing, found: Sequence[Alert]) -> None:
    """By another clock than ours: it cannot have begun after it was detected here.

    Where something else is known to be earlier than all that its alerts say, when it began is not known.
    """
    said = [one.starts_at for one in found if one.starts_at is not None]
    known = dict(await work.known())
    if not said and MilestoneName.STARTED not in known:
        return
    at = min([*said, *(one.raised_at for one in found)])
    known.pop(MilestoneName.STARTED, None)
    if all(at <= reached for reached in known.values()):
        await work.first(MilestoneName.STARTED, at)


async def _tell_of_alerts(work: Writing, found: Sequence[Alert]) -> None:
    by_id = {one.id: one for one in found}
    told = await _history(work.session, list(by_id))
    lines = [alert_line(by_id[one.alert_id], one.event) for one in told]
    heard = {one.alert_id for one in told if one.event.kind == "raised"}
    lines += [_raised(one) for one in found if one.id not in heard]
    await add_lines(work, [line for line in lines if line is not None])


async def catch_up(work: Writing) -> None:
    """Tell what has happened to all that is part of the incident, as far as its timeline does not say so already."""
    query = select(IncidentLink.kind, IncidentLink.target).where(IncidentLink.incident == work.row.id)
    linked = (await work.session.execute(query)).all()
    named = await alerts.alerts_named(work.session, {one.target for one in linked if one.kind == ALERT})
    await _tell_of_alerts(work, list(named.values()))
    holds = sorted(one.target for one in linked if one.kind == FREEZE)
    await _tell_of_freezes(work, [await freeze.get_freeze(work.session, work.runtime, one) for one in holds])


def quietens(work: Writing) -> bool:
    """Whether its alerts fall silent: in a drill that goes on, for somebody who might silence them as well."""
    goes_on = work.row.drill and work.row.status == IncidentStatus.OPEN.value
    return goes_on and Permission.SILENCE_ALERTS in work.caller.permissions


async def _history(session: AsyncSession, idents: Sequence[str]) -> list[alerts.Told]:
    """All that has happened to alerts so far: what is left out here nobody tells later."""
    told: list[alerts.Told] = []
    while page := await alerts.events_of(session, idents, after=told[-1].number if told else 0):
        told += page
    return told


def _raised(alert: Alert) -> Line:
    return Line(
        kind="alert",
        text=f"{alert.rule} ({alert.scope}) was raised: {alert.message}",
        occurred_at=alert.raised_at,
        actor=alert.source,
        source_key=f"alert-raised:{alert.id}",
        link=alert_link(alert),
        reaches=MilestoneName.DETECTED,
    )


async def take_in_freezes(work: Writing, idents: Sequence[str]) -> list[Freeze]:
    """Make freezes part of the incident, with all that happened to them so far.

    Raises:
        WatchfloorError: NOT_FOUND.
    """
    found = {}
    for ident in idents:
        one = await freeze.get_freeze(work.session, work.runtime, ident)
        found[one.id] = one
    links = [Link(kind=FREEZE, id=one.id, label=one.ref) for one in found.values()]
    await add_links(work, FREEZE, links)
    _widen(work, [str(one.scope) for one in found.values()])
    await _tell_of_freezes(work, list(found.values()))
    return list(found.values())


async def _tell_of_freezes(work: Writing, found: Sequence[Freeze]) -> None:
    await add_lines(work, [line for one in found for line in freeze_lines(one, work.now)])


def _widen(work: Writing, scopes: Sequence[str]) -> None:
    work.row.scopes = list(dict.fromkeys([*work.row.scopes, *scopes]))[:MAX_SCOPES]
