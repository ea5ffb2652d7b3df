"""Keeps alerts quiet that are part of a drill: muted by the drill's incident, and raised again if they outlast it."""

from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from backend.alerts.muting import set_mutes
from backend.alerts.muting_core import with_mute, without_mutes
from backend.alerts.rows import LIVE, announce
from backend.alerts.tables import AlertRow
from backend.context import Caller, Runtime
from contract.alerts import AlertStatus

DRILL: Final = "drill"
"""Kind of what mutes an alert that is part of a drill; its id is the incident's."""
_COMMENT: Final = "part of a drill"


def _mute(incident: str) -> dict[str, Any]:
    return {"kind": DRILL, "id": incident, "comment": _COMMENT}


async def quieten(session: AsyncSession, runtime: Runtime, caller: Caller, row: AlertRow, incident: str) -> None:
    """Mute an alert that has become part of a drill, unless the policy has drills told of; its row has to be locked."""
    if runtime.policy.notifications.quiet_in_drills and row.status != AlertStatus.CLEARED.value:
        await set_mutes(session, runtime, caller, row, with_mute(row.muted_by, _mute(incident)))


async def loud_again(session: AsyncSession, runtime: Runtime, caller: Caller, row: AlertRow, incident: str) -> None:
    """Take a drill off an alert; its row has to be locked. One that goes on is raised again."""
    await set_mutes(session, runtime, caller, row, without_mutes(row.muted_by, [_mute(incident)]))


async def drill_again(session: AsyncSession, runtime: Runtime, caller: Caller, incident: str) -> None:
    """Mute what has not cleared of a drill's alerts: the drill goes on."""
    of_it = select(AlertRow).where(AlertRow.incident == incident, LIVE).order_by(AlertRow.id)
    rows = list(await session.scalars(of_it.with_for_update().execution_options(populate_existing=True)))
    for row in rows:
        await quieten(session, runtime, caller, row, incident)
    if rows:
        await announce(session, runtime, rows)


async def drill_over(session: AsyncSession, runtime: Runtime, caller: Caller, incident: str) -> None:
    """Take a drill off all its alerts, cleared ones too: what goes on, or comes again, is no practice any more."""
    muted = AlertRow.muted_by.contains([{"kind": DRILL, "id": incident}])
    of_it = select(AlertRow).where(AlertRow.incident == incident, muted)
    locked = of_it.order_by(AlertRow.id).with_for_update().execution_options(populate_existing=True)
    rows = list(await session.scalars(locked))
    for row in rows:
        await loud_again(session, runtime, caller, row, incident)
    if rows:
        await announce(session, runtime, rows)
