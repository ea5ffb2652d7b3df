"""What changed around an alert or incident, put together from other areas: freezes, alerts, deploys, the audit log.

Reads only, but for the entry that the audit log was searched. Must show nobody what they could not see elsewhere.
"""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Final

from fastapi import APIRouter, Query
from sqlalchemy.ext.asyncio import AsyncSession

from backend.alerts import service as alerts
from backend.audit import service as audit
from backend.audit.conditions import conditions, without_bookkeeping
from backend.audit.events import AuditEvent
from backend.audit.query import AuditQuery
from backend.audit.search import entries_of
from backend.audit.search import nearest as nearest_entries
from backend.audit.service import AuditDraft
from backend.changes import service as changes
from backend.context import Caller, CurrentRuntime, Runtime
from backend.db import Tx
from backend.freeze.nearby import moves_around
from backend.guard import CurrentCaller, needs
from backend.incidents import service as incidents
from backend.nearest import Span
from backend.paging import COUNT_CAP
from backend.policy.alerting import LONGEST_AROUND_MINUTES
from contract.alert_work import Around, Nearby
from contract.alerts import Alert
from contract.audit import AuditEntry
from contract.changes import Deploy
from contract.incidents import Incident, MilestoneName
from contract.permissions import Permission

router = APIRouter(tags=["alerts"])
Minutes = Annotated[int | None, Query(ge=1, le=LONGEST_AROUND_MINUTES)]
MOST: Final = 200
"""As much as somebody reads through at night; the audit log has the rest."""
CHANGES: Final = ("configuration", "access_control", "system_events")
"""Audit categories of what changes how the platform runs; trades and readings are not changes."""
_TOLD_ELSEWHERE: Final = ("freeze.", "thaw.", "incidents.", "changes.", "audit.", "ledger.")
"""Beginnings of types of entries that are shown as what they are about, or are the log's own book-keeping."""


@dataclass(frozen=True, slots=True)
class Centre:
    """What somebody asks around: when it began, and itself, which is not told again."""

    began: datetime
    alert: str | None = None
    incident: str | None = None


@router.get("/v1/alerts/{alert_id}/around", **needs(Permission.VIEW_ALERTS))
async def around_alert(
    alert_id: str,
    session: Tx,
    runtime: CurrentRuntime,
    caller: CurrentCaller,
    minutes: Minutes = None,
) -> Around:
    """What changed in the minutes before and after an alert began: freezes, alerts, incidents, deploys, changes."""
    alert = await alerts.get_alert(session, alert_id)
    centre = Centre(alert.starts_at or alert.raised_at, alert=alert.id)
    return await around(session, runtime, caller, centre, minutes or runtime.policy.alerts.around_minutes)


@router.get("/v1/incidents/{ident}/around", **needs(Permission.VIEW_INCIDENTS))
async def around_incident(
    ident: str,
    session: Tx,
    runtime: CurrentRuntime,
    caller: CurrentCaller,
    minutes: Minutes = None,
) -> Around:
    """What changed in the minutes before and after an incident began, or was noticed if nobody knows when it began."""
    one = await incidents.get_incident(session, runtime, ident)
    began = one.at(MilestoneName.STARTED) or one.at(MilestoneName.DETECTED) or one.declared_at
    centre = Centre(began, incident=one.id)
    return await around(session, runtime, caller, centre, minutes or runtime.policy.alerts.around_minutes)


@dataclass(frozen=True, slots=True)
class _Part:
    """What one source has: those nearest to the instant, and how many there are; None: more than anybody counted."""

    items: list[Nearby]
    number: int | None


async def around(session: AsyncSession, runtime: Runtime, caller: Caller, centre: Centre, minutes: int) -> Around:
    """Put together what changed around an instant, as far as the caller may see it; what is nearest is kept."""
    length = timedelta(minutes=minutes)
    span = Span(centre.began, centre.began - length, centre.began + length)
    sources: tuple[tuple[str, Permission, Callable[[], Awaitable[_Part]]], ...] = (
        ("alerts", Permission.VIEW_ALERTS, lambda: _alerts(session, centre, span)),
        ("deploys", Permission.VIEW_ALERTS, lambda: _deploys(session, span)),
        ("freezes", Permission.VIEW_FREEZES, lambda: _freezes(session, span)),
        ("incidents", Permission.VIEW_INCIDENTS, lambda: _incidents(session, runtime, centre, span)),
        ("audit entries", Permission.VIEW_AUDIT_LOGS, lambda: _changes(session, runtime, caller, span)),
    )
    found: list[_Part] = []
    missing: list[str] = []
    for name, permission, read in sources:
        if permission in caller.permissions:
            found.append(await read())
        else:
            missing.append(name)
    every = [one for part in found for one in part.items]
    nearest = sorted(every, key=lambda one: (abs(one.at - span.at), one.id))[:MOST]
    known = sum(len(part.items) if part.number is None else part.number for part in found)
    return Around(
        since=span.since,
        until=span.until,
        items=sorted(nearest, key=lambda one: (one.at, one.kind, one.id)),
        left_out=known - len(nearest),
        more_left_out=any(part.number is None or part.number >= COUNT_CAP for part in found),
        missing=missing,
    )


async def _alerts(session: AsyncSession, centre: Centre, span: Span) -> _Part:
    others, number = await alerts.raised_around(session, span, limit=MOST, without=centre.alert)
    return _Part([Nearby(at=one.raised_at, kind="alert", id=one.id, text=_sentence(one)) for one in others], number)


async def _deploys(session: AsyncSession, span: Span) -> _Part:
    found, number = await changes.deploys_around(session, span, MOST)
    items = [
        Nearby(at=one.started_at, kind="deploy", id=one.id, text=_brought_out(one), actor=one.recorded_by, url=one.url)
        for one in found
    ]
    return _Part(items, number)


def _brought_out(one: Deploy) -> str:
    where = f" to {one.environment}" if one.environment else ""
    what = f" ({one.scope})" if one.scope is not None else ""
    end = f", finished {one.finished_at:%H:%M:%S} UTC" if one.finished_at is not None else ""
    return f"{one.service} {one.version} deployed{where}{what}{end}"


async def _freezes(session: AsyncSession, span: Span) -> _Part:
    moves, number = await moves_around(session, span, MOST)
    return _Part([Nearby(at=one.at, kind="freeze", id=one.id, text=one.text, actor=one.actor) for one in moves], number)


def _sentence(alert: Alert) -> str:
    return f"{alert.rule} {alert.scope}, {alert.severity.value}: {alert.message}"


def _titled(incident: Incident) -> str:
    return f"{incident.id}{' (drill)' if incident.drill else ''}: {incident.title}"


async def _incidents(session: AsyncSession, runtime: Runtime, centre: Centre, span: Span) -> _Part:
    found, number = await incidents.declared_around(session, runtime, span, MOST, without=centre.incident)
    items = [
        Nearby(at=one.declared_at, kind="incident", id=one.id, text=_titled(one), actor=one.declared_by)
        for one in found
    ]
    return _Part(items, number)


async def _changes(session: AsyncSession, runtime: Runtime, caller: Caller, span: Span) -> _Part:
    entries: list[AuditEntry] = []
    untold: int | None = 0
    since, until = span.since.isoformat(), span.until.isoformat()
    for category in CHANGES:
        if category not in runtime.policy.audit.categories:
            continue
        query = AuditQuery.model_validate({"from": since, "to": until, "category": category})
        where = without_bookkeeping(await conditions(session, runtime, query), query)
        rows, number = await nearest_entries(session, where, span.at, MOST)
        entries += await entries_of(session, rows)
        untold = None if number is None or untold is None else untold + number - len(rows)
    told = {"filters": {"from": since, "to": until, "category": list(CHANGES)}}
    draft = AuditDraft(
        AuditEvent.SEARCH_RUN, "search the audit log", "audit", new_value={**told, "entries": len(entries)}
    )
    await audit.record(session, runtime, caller, draft)
    items = list(_as_nearby(entries))
    return _Part(items, None if untold is None else len(items) + untold)


def _as_nearby(entries: Iterable[AuditEntry]) -> Iterable[Nearby]:
    for entry in entries:
        if not entry.event_type.startswith(_TOLD_ELSEWHERE):
            about = " ".join(part for part in (entry.resource_type, entry.resource_id) if part)
            text = f"{entry.event_type}: {entry.action}{f' ({about})' if about else ''}, {entry.result.value}"
            yield Nearby(at=entry.timestamp, kind="audit", id=entry.id, text=text, actor=entry.user_id)
