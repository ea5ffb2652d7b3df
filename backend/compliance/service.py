"""The first screen, the one-line status and the dashboard of the compliance document, put together from other areas.

Every answer is read in one transaction, the last event's id first: whatever happens while the rest is read has a higher
id, so a console that resumes the stream after it misses nothing and at worst hears something twice.
"""

from sqlalchemy.ext.asyncio import AsyncSession

from backend.alerts import service as alerts
from backend.context import Runtime
from backend.executors import service as executors
from backend.freeze import service as freeze
from backend.risk import service as risk
from backend.stream import service as stream
from contract.executors import ExecutorState
from contract.overview import ComplianceMetrics, Overview, Status
from contract.version import __version__

MAX_ALERTS = 50
"""As many as anyone reads in an emergency; the counts tell of the rest."""
MAX_EXECUTORS = 500
"""Bounds the answer; the executors' own list pages through all."""


async def overview(session: AsyncSession, runtime: Runtime) -> Overview:
    """Everything the first screen shows."""
    event_id = await stream.last_event_id(session)
    known = await executors.list_executors(session, runtime)
    return Overview(
        server_time=runtime.clock.now(),
        event_id=event_id,
        risk=await risk.latest(session, runtime),
        alerts=await alerts.most_urgent(session, MAX_ALERTS),
        alert_counts=await alerts.counts(session),
        freezes=await freeze.list_in_force(session, runtime),
        executors=known[:MAX_EXECUTORS],
        executors_total=len(known),
    )


async def status(session: AsyncSession, runtime: Runtime) -> Status:
    """One line's worth of the overview."""
    known = await executors.list_executors(session, runtime)
    states = [one.state for one in known]
    return Status(
        server_time=runtime.clock.now(),
        version=__version__,
        alert_counts=await alerts.counts(session),
        freezes=len(await freeze.list_in_force(session, runtime)),
        executors_total=len(known),
        executors_trading=states.count(ExecutorState.TRADING),
        executors_silent=states.count(ExecutorState.SILENT),
        assessed_at=await risk.assessed_at(session),
    )


async def metrics(session: AsyncSession, runtime: Runtime) -> ComplianceMetrics:
    """The dashboard: the three indicators' levels, the latest assessment with its age, the most urgent alerts."""
    snapshot = await risk.latest(session, runtime)
    return ComplianceMetrics(
        risks={indicator.name: indicator.level.value for indicator in snapshot.indicators},
        metrics=snapshot,
        alerts=await alerts.most_urgent(session, MAX_ALERTS),
    )
