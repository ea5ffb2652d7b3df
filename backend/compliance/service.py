"""The first screen, the one-line status and the dashboard of the compliance document, put together from other areas.

Every answer is read in one transaction, the last event's id first: whatever happens while the rest is read has a higher
id, so a console that resumes the stream after it misses nothing and at worst hears something twice.
"""

import orjson
from pydantic import TypeAdapter
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from backend.alerts import service as alerts
from backend.auth import service as auth
from backend.context import KeptBody, Runtime
from backend.executors import service as executors
from backend.freeze import service as freeze
from backend.incidents import service as incidents
from backend.risk import service as risk
from backend.stream import service as stream
from contract.alerts import Alert
from contract.executors import ExecutorState
from contract.freeze import FreezeStatus
from contract.overview import Overview, Status
from contract.version import __version__

_ALERTS = TypeAdapter(list[Alert])
_DASHBOARD = "dashboard"
_DASHBOARD_VERSION = select(stream.NEWEST_EVENT_ID, risk.NEWEST_ASSESSED_AT)
MAX_ALERTS = 50
"""As many as anyone reads in an emergency; the counts tell of the rest."""
MAX_INCIDENTS = 20
"""More than are ever open at once; their own list pages through all."""
MAX_EXECUTORS = 500
"""Bounds the answer; the executors' own list pages through all."""


async def overview(session: AsyncSession, runtime: Runtime) -> Overview:
    """Everything the first screen shows."""
    event_id = await stream.last_event_id(session)
    known = await executors.list_executors(session, runtime)
    follow_ups, overdue = await incidents.follow_up_counts(session, runtime)
    return Overview(
        server_time=runtime.clock.now(),
        event_id=event_id,
        risk=await risk.latest(session, runtime),
        alerts=await alerts.most_urgent(session, MAX_ALERTS),
        alert_counts=await alerts.counts(session),
        freezes=await freeze.all_in_force(session, runtime),
        executors=known[:MAX_EXECUTORS],
        executors_total=len(known),
        journals_elsewhere=runtime.latched.journals_elsewhere,
        elevations=await auth.open_elevations(session, runtime),
        incidents=await incidents.open_ones(session, runtime, MAX_INCIDENTS),
        follow_ups_open=follow_ups,
        follow_ups_overdue=overdue,
    )


async def status(session: AsyncSession, runtime: Runtime) -> Status:
    """One line's worth of the overview."""
    known = await executors.list_executors(session, runtime)
    states = [one.state for one in known]
    holds = await freeze.all_in_force(session, runtime)
    return Status(
        server_time=runtime.clock.now(),
        version=__version__,
        alert_counts=await alerts.counts(session),
        freezes=len(holds),
        latched=sum(one.status is FreezeStatus.LATCHED for one in holds),
        journals_elsewhere=runtime.latched.journals_elsewhere,
        executors_total=len(known),
        executors_trading=states.count(ExecutorState.TRADING),
        executors_silent=states.count(ExecutorState.SILENT),
        assessed_at=await risk.assessed_at(session),
    )


async def metrics_json(session: AsyncSession, runtime: Runtime) -> bytes:
    """The dashboard as JSON of `ComplianceMetrics`: indicator levels, the latest assessment, the most urgent alerts.

    Dashboards poll it. It is made anew when its data have changed: every change of an alert publishes an event, and
    every assessment has its instant. Both are read from the database, in the transaction that let the caller in, so
    that what is kept is right on every backend, also on one that hears no events.
    """
    newest_event, assessed_at = (await session.execute(_DASHBOARD_VERSION)).one()
    if assessed_at is None or risk.is_stale(runtime, assessed_at):
        return await _encoded_metrics(session, runtime)  # it says how old the assessment is, which changes by itself
    version = (newest_event, assessed_at)
    kept = runtime.bodies.get(_DASHBOARD)
    if kept is None or kept.version != version:
        kept = runtime.bodies[_DASHBOARD] = KeptBody(version, await _encoded_metrics(session, runtime))
    return kept.body


async def _encoded_metrics(session: AsyncSession, runtime: Runtime) -> bytes:
    """The assessment was validated when it was stored and is passed on as it is."""
    levels, assessment = await risk.latest_encoded(session, runtime)
    urgent = await alerts.most_urgent(session, MAX_ALERTS)
    parts = (orjson.dumps(levels), assessment.encode(), _ALERTS.dump_json(urgent))
    return b'{"risks":%b,"metrics":%b,"alerts":%b}' % parts
