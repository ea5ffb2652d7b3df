"""What people outside the console are told of incidents, in the transaction of what is told. Names no person.

Who is told of what is the policy's; drills are quiet. Reports to authorities are watched by one backend at a time.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from backend.context import Runtime
from backend.incidents import views
from backend.incidents.clocks import RESPONSE
from backend.incidents.tables import IncidentRow
from backend.incidents.writing import Writing
from backend.monitors import Monitor
from backend.notifications import service as notifications
from backend.policy.incidents import ReportRules
from backend.policy.notifying import IncidentTopic
from contract.incidents import Clock, Incident
from contract.states import Severity

REPORTS_EVERY_S: Final = 30.0
"""How late somebody may hear that a report is due: little of an hour."""
AT_ONCE: Final = 200
"""Incidents whose reports are looked at together."""


async def tell(work: Writing, topic: IncidentTopic, title: str, body: str, *, again: str = "") -> None:
    """Tell of an incident that is being worked on; `again` tells one time from another of the same topic."""
    await _tell(work.session, work.runtime, work.row, topic, title, body, again=again)


async def _tell(  # noqa: PLR0917  what there is to say
    session: AsyncSession,
    runtime: Runtime,
    row: IncidentRow,
    topic: IncidentTopic,
    title: str,
    body: str,
    *,
    again: str = "",
) -> None:
    await notifications.tell(
        session,
        runtime,
        subject_kind="incident",
        subject_id=row.id,
        event=f"{topic.value}:{again}" if again else topic.value,
        severity=Severity(row.severity),
        title=f"[{row.severity.upper()}] Incident {row.id}: {title}",
        body=f"{row.title}\n\n{body}\nwatchfloor incidents show {row.id}",
        channels=runtime.policy.notifications.incidents[topic],
        drill=row.drill,
    )


async def watch_reports(session: AsyncSession, runtime: Runtime) -> None:
    """Tell of reports to authorities that come due, or are overdue; of each once."""
    rules = runtime.policy.incident_rules.reports
    if not rules.enabled:
        return
    query = (
        select(IncidentRow)
        .where(IncidentRow.classified_at.is_not(None), ~IncidentRow.reported.has_key("final"))
        .order_by(IncidentRow.classified_at.desc(), IncidentRow.id.desc())
        .limit(AT_ONCE)
    )
    place = tuple_(IncidentRow.classified_at, IncidentRow.id)
    rows = (await session.scalars(query)).all()
    while rows:
        await _watch(session, runtime, rows, rules)
        last = rows[-1]
        rows = (await session.scalars(query.where(place < (last.classified_at, last.id)))).all()


async def _watch(session: AsyncSession, runtime: Runtime, rows: Sequence[IncidentRow], rules: ReportRules) -> None:
    now = runtime.clock.now()
    for row, shown in zip(rows, await views.show_all(session, runtime, rows), strict=True):
        for clock, topic in _due(shown, rules, now):
            late = topic is IncidentTopic.REPORT_OVERDUE
            title = f"the {clock.name} report {'is overdue' if late else 'is due soon'}"
            until = f"{clock.due_at:%Y-%m-%d %H:%M:%S} UTC"
            body = f"The {clock.name} report to the authority {'was' if late else 'is'} due at {until}."
            await _tell(session, runtime, row, topic, title, body, again=clock.name)


def _due(incident: Incident, rules: ReportRules, now: datetime) -> Iterator[tuple[Clock, IncidentTopic]]:
    for clock in incident.clocks:
        if clock.name == RESPONSE or clock.done_at is not None:
            continue
        if now > clock.due_at:
            yield clock, IncidentTopic.REPORT_OVERDUE
        elif now >= clock.due_at - rules.warning(clock.name):
            yield clock, IncidentTopic.REPORT_DUE


REPORTS: Final = Monitor(name="incident-reports", interval_s=REPORTS_EVERY_S, tick=watch_reports)
