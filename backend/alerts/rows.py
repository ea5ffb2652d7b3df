"""Rows of alerts as the wire shows them, what a new one begins with, and telling of changes. Decides nothing."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import case, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from backend.alerts import escalating
from backend.alerts.escalating import Standing
from backend.alerts.tables import OWN_SOURCE, AlertRow
from backend.audit.service import AuditDraft
from backend.context import Runtime
from backend.events import publish
from contract.alerts import Alert, AlertCategory, AlertCounts, AlertStatus, Escalation, Link, Muting, Severity
from contract.scope import Scope, ScopeKind
from contract.stream import AlertsChanged, Topic

MANY: Final = 20
"""More alerts than this changed at once are told of in one event: consoles read their lists again."""
ALERTNAME: Final = "alertname"
"""The label that names an alert's rule, as Prometheus has it."""
LIVE = AlertRow.status != AlertStatus.CLEARED.value
UNMUTED = func.jsonb_array_length(AlertRow.muted_by) == 0
GRAVITY = case({severity.value: place for place, severity in enumerate(Severity)}, value=AlertRow.severity)


def scope_of(row: AlertRow) -> Scope:
    """What an alert is about."""
    return Scope(kind=ScopeKind(row.scope_kind), name=row.scope_name)


def wire(row: AlertRow) -> Alert:
    """An alert as everybody sees it."""
    return Alert(
        id=str(row.id),
        rule=row.rule,
        severity=Severity(row.severity),
        status=AlertStatus(row.status),
        scope=scope_of(row),
        message=row.message,
        facts=row.facts,
        links=[Link.model_validate(link) for link in row.links],
        raised_at=row.raised_at,
        updated_at=row.updated_at,
        due_at=row.due_at,
        acknowledged_by=row.acknowledged_by,
        acknowledged_at=row.acknowledged_at,
        cleared_at=row.cleared_at,
        action_taken=row.action_taken,
        source=row.source,
        category=AlertCategory(row.category),
        labels=row.labels,
        annotations=row.annotations,
        starts_at=row.starts_at,
        group=row.group_key,
        assigned_to=row.assigned_to,
        escalation=_escalation(row),
        muted_by=[Muting.model_validate(mute) for mute in row.muted_by],
        runbook_url=row.runbook_url,
        acknowledge_comment=row.acknowledge_comment,
        incident=row.incident,
        times_raised=row.times_raised,
    )


def _escalation(row: AlertRow) -> Escalation | None:
    if row.escalation_to is None:
        return None
    return Escalation(
        level=row.escalation_level,
        to=row.escalation_to,
        people=row.escalation_people,
        next_to=row.escalation_next_to,
        next_at=row.escalates_at,
    )


def own_labels(rule: str, severity: Severity, category: AlertCategory, scope: Scope) -> dict[str, str]:
    """The labels of an alert of Watchfloor's own: what silences can match."""
    return {
        ALERTNAME: rule,
        "severity": severity.value,
        "category": category.value,
        "source": OWN_SOURCE,
        "scope": str(scope),
    }


def clock_values(runtime: Runtime, severity: Severity, now: datetime, *, muted: bool) -> dict[str, Any]:
    """What an alert that is raised at an instant begins its clocks with, by the columns' names."""
    respond_in = timedelta(minutes=runtime.policy.severities[severity].response_time_minutes)
    standing = escalating.begin(runtime.policy.escalation[severity], now)
    return {"due_at": now + respond_in, **standing_values(standing, running=not muted)}


def standing_values(standing: Standing, *, running: bool) -> dict[str, Any]:
    """Where an alert stands in its escalation, by the columns' names; nobody's time runs while it is muted."""
    return {
        "escalation_level": standing.level,
        "escalation_to": standing.to,
        "escalation_people": list(standing.people),
        "escalation_next_to": standing.next_to,
        "escalates_at": standing.next_at if running else None,
    }


def put(row: AlertRow, values: Mapping[str, Any]) -> None:
    """Set columns by their names."""
    for name, value in values.items():
        setattr(row, name, value)


def note(row: AlertRow, act: str, **more: Any) -> AuditDraft:
    """The audit entry of an act on an alert."""
    return AuditDraft(
        event_type=f"alerts.alert.{act}",
        action=f"alert {act}",
        resource_type="alert",
        resource_id=str(row.id),
        new_value={"rule": row.rule, "scope": str(scope_of(row)), "severity": row.severity, **more},
    )


async def counts(session: AsyncSession) -> AlertCounts:
    """Alerts that wait for somebody, by severity: neither cleared nor muted."""
    found = await session.execute(
        select(AlertRow.severity, func.count().label("number")).where(LIVE, UNMUTED).group_by(AlertRow.severity)
    )
    return AlertCounts.model_validate({row.severity: row.number for row in found})


async def announce(session: AsyncSession, runtime: Runtime, rows: Sequence[AlertRow]) -> None:
    """Tell consoles of alerts that changed: each of a few, or how many there were."""
    await session.flush()
    if len(rows) <= MANY:
        for row in rows:
            publish(session, Topic.ALERT, wire(row))
        return
    publish(session, Topic.ALERTS, AlertsChanged(count=len(rows), at=runtime.clock.now()))
