"""What changed around an alert, put together from other areas: freezes, other alerts, incidents, the audit log.

Reads only, but for the entry that the audit log was searched. Must show nobody what they could not see elsewhere.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Annotated, Final

from fastapi import APIRouter, Query
from sqlalchemy.ext.asyncio import AsyncSession

from backend.alerts import service as alerts
from backend.audit import service as audit
from backend.audit.conditions import conditions, without_bookkeeping
from backend.audit.events import AuditEvent
from backend.audit.query import AuditQuery
from backend.audit.search import entries_of, find, log_sizes
from backend.audit.service import AuditDraft
from backend.context import Caller, CurrentRuntime, Runtime
from backend.db import Tx
from backend.freeze.nearby import moves_between
from backend.guard import CurrentCaller, needs
from backend.incidents import service as incidents
from backend.incidents.service import IncidentFilter
from backend.policy.alerting import LONGEST_AROUND_MINUTES
from contract.alert_work import Around, Nearby
from contract.alerts import Alert
from contract.audit import AuditEntry
from contract.incidents import Incident
from contract.permissions import Permission

router = APIRouter(tags=["alerts"])
MOST: Final = 200
"""As much as somebody reads through at night; the audit log has the rest."""
CHANGES: Final = ("configuration", "access_control", "system_events")
"""Audit categories of what changes how the platform runs; trades and readings are not changes."""
_TOLD_ELSEWHERE: Final = ("freeze.", "thaw.", "incidents.", "audit.", "ledger.")
"""Beginnings of types of entries that are shown as what they are about, or are the log's own book-keeping."""


@router.get("/v1/alerts/{alert_id}/around", **needs(Permission.VIEW_ALERTS))
async def around_alert(
    alert_id: str,
    session: Tx,
    runtime: CurrentRuntime,
    caller: CurrentCaller,
    minutes: Annotated[int | None, Query(ge=1, le=LONGEST_AROUND_MINUTES)] = None,
) -> Around:
    """What changed in the minutes before and after an alert began: freezes, alerts, incidents, recorded changes."""
    alert = await alerts.get_alert(session, alert_id)
    return await around(session, runtime, caller, alert, minutes or runtime.policy.alerts.around_minutes)


async def around(session: AsyncSession, runtime: Runtime, caller: Caller, alert: Alert, minutes: int) -> Around:
    """Put together what changed around an alert, as far as the caller may see it; what is nearest is kept."""
    began = alert.starts_at or alert.raised_at
    since, until = began - timedelta(minutes=minutes), began + timedelta(minutes=minutes)
    found: list[Nearby] = []
    missing: list[str] = []
    others = await alerts.raised_between(session, since, until, limit=MOST, without=alert.id)
    found += [Nearby(at=one.raised_at, kind="alert", id=one.id, text=_sentence(one)) for one in others]
    if Permission.VIEW_FREEZES in caller.permissions:
        moves = await moves_between(session, since, until, MOST)
        found += [Nearby(at=one.at, kind="freeze", id=one.id, text=one.text, actor=one.actor) for one in moves]
    else:
        missing.append("freezes")
    if Permission.VIEW_INCIDENTS in caller.permissions:
        found += await _incidents(session, runtime, since, until)
    else:
        missing.append("incidents")
    if Permission.VIEW_AUDIT_LOGS in caller.permissions:
        found += await _changes(session, runtime, caller, since, until)
    else:
        missing.append("audit entries")
    nearest = sorted(found, key=lambda one: (abs(one.at - began), one.id))[:MOST]
    items = sorted(nearest, key=lambda one: (one.at, one.kind, one.id))
    return Around(since=since, until=until, items=items, left_out=len(found) - len(items), missing=missing)


def _sentence(alert: Alert) -> str:
    return f"{alert.rule} {alert.scope}, {alert.severity.value}: {alert.message}"


def _titled(incident: Incident) -> str:
    return f"{incident.id}{' (drill)' if incident.drill else ''}: {incident.title}"


async def _incidents(session: AsyncSession, runtime: Runtime, since: datetime, until: datetime) -> list[Nearby]:
    page = await incidents.incidents(session, runtime, IncidentFilter(since=since), cursor=None, limit=MOST)
    return [
        Nearby(
            at=one.declared_at,
            kind="incident",
            id=one.id,
            text=_titled(one),
            actor=one.declared_by,
        )
        for one in page.items
        if since <= one.declared_at <= until
    ]


async def _changes(
    session: AsyncSession, runtime: Runtime, caller: Caller, since: datetime, until: datetime
) -> list[Nearby]:
    sizes = await log_sizes(session)
    entries: list[AuditEntry] = []
    for category in CHANGES:
        if category not in runtime.policy.audit.categories:
            continue
        query = AuditQuery.model_validate({"from": since.isoformat(), "to": until.isoformat(), "category": category})
        where = without_bookkeeping(await conditions(session, runtime, query), query)
        entries += await entries_of(session, (await find(session, where, sizes, None, MOST)).rows)
    told = {"filters": {"from": since.isoformat(), "to": until.isoformat(), "category": list(CHANGES)}}
    draft = AuditDraft(
        AuditEvent.SEARCH_RUN, "search the audit log", "audit", new_value={**told, "entries": len(entries)}
    )
    await audit.record(session, runtime, caller, draft)
    return list(_as_nearby(entries))


def _as_nearby(entries: Iterable[AuditEntry]) -> Iterable[Nearby]:
    for entry in entries:
        if not entry.event_type.startswith(_TOLD_ELSEWHERE):
            about = " ".join(part for part in (entry.resource_type, entry.resource_id) if part)
            text = f"{entry.event_type}: {entry.action}{f' ({about})' if about else ''}, {entry.result.value}"
            yield Nearby(at=entry.timestamp, kind="audit", id=entry.id, text=text, actor=entry.user_id)
