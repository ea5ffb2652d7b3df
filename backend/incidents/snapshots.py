"""The floor as it was when an incident was declared: kept once, in the same transaction, never changed."""

from collections import Counter
from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from backend.alerts import service as alerts
from backend.context import Runtime
from backend.errors import not_found
from backend.executors import service as executors
from backend.freeze import service as freeze
from backend.incidents.tables import IncidentSnapshot as SnapshotRow
from backend.incidents.writing import Writing, row_of
from backend.risk import service as risk
from contract.incident_records import IncidentSnapshot

_MAX_FREEZES: Final = 100


async def look(session: AsyncSession, runtime: Runtime) -> IncidentSnapshot:
    """The latest assessment and the floor as they are; not yet of any incident."""
    latest = await risk.latest(session, runtime)
    known = await executors.list_executors(session, runtime)
    holds = await freeze.all_in_force(session, runtime)
    return IncidentSnapshot(
        **dict(latest),
        incident="",
        taken_at=runtime.clock.now(),
        executors=dict(Counter(one.state.value for one in known)),
        freezes=[f"{one.ref} {one.scope}" for one in holds[:_MAX_FREEZES]],
        alert_counts=await alerts.counts(session),
    )


async def keep(work: Writing, seen: IncidentSnapshot) -> None:
    """Keep what was seen with the incident that is being declared."""
    body = seen.model_copy(update={"incident": work.row.id}).model_dump(mode="json")
    work.session.add(SnapshotRow(incident=work.row.id, taken_at=seen.taken_at, body=body))
    await work.session.flush()


async def snapshot(session: AsyncSession, ident: str) -> IncidentSnapshot:
    """What was kept of the floor at an incident's declaration.

    Raises:
        WatchfloorError: NOT_FOUND.
    """
    row = await row_of(session, ident)
    kept = await session.get(SnapshotRow, row.id)
    if kept is None:
        raise not_found("snapshot of", row.id)
    return IncidentSnapshot.model_validate(kept.body)
