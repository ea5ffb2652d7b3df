"""Moves thaws on by the database's clock: lets requests lapse, watches first stages, lets the rest go or puts all back.

Everything it needs is in the hold's row, so that any backend goes on where another, or all of them, stopped.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from backend.context import Runtime, system_caller
from backend.freeze import core, store, thaw_facts, thawing
from backend.freeze import thaw_steps as steps
from backend.freeze.tables import FreezeRow
from backend.monitors import Monitor
from backend.roster import service as roster
from contract.freeze import FreezeStatus
from contract.stream import Topic

CALLER = system_caller("thaw-monitor")
"""In whose name requests lapse and stages move."""
INTERVAL_S = 1.0
"""How late a request may lapse, a stage may end, or a new alert may break a thaw off at most."""


async def tick(session: AsyncSession, runtime: Runtime) -> None:
    """Take every step that is due. A hold that somebody is just changing is left for the next time."""
    rows = await store.rows_on_their_way(session)
    if not rows:
        return
    now = await roster.database_now(session)
    for row in rows:
        if row.status == FreezeStatus.THAWING.value:
            await _watch(session, runtime, row, now)
        elif row.thaw_expires_at is None or row.thaw_expires_at <= now:
            await steps.step_back(session, runtime, CALLER, row, event_type=steps.EXPIRED)


async def _watch(session: AsyncSession, runtime: Runtime, row: FreezeRow, now: datetime) -> None:
    grave = await _reason_to_break_off(session, row)
    if grave is not None:
        why = f"{grave.severity} alert {grave.rule} was raised while it was watched"
        told = {"why": why, "alert": grave.id}
        await steps.step_back(session, runtime, CALLER, row, event_type=steps.BROKEN_OFF, **told)
        return
    looked_at, until = row.thaw_looked_at or now, row.thaw_watch_until or now
    row.thaw_watch_until = thawing.watched_until(until, looked_at=looked_at, now=now)
    row.thaw_looked_at = now
    if row.thaw_watch_until <= now:
        await steps.finish(session, runtime, CALLER, row, now=now)


async def _reason_to_break_off(session: AsyncSession, row: FreezeRow) -> thawing.AlertMark | None:
    known = thaw_facts.asked_about(row)
    if known is None:
        return None
    scope = store.scope_of(row)
    people = await roster.everyone(session)
    under: Sequence[core.Place] = [one for one in people.executors if core.covers(scope, one)]
    found = await thaw_facts.touching(session, scope, under)
    return thawing.breaks_off(known, map(thaw_facts.mark, found))


MONITOR = Monitor(name="thaws", interval_s=INTERVAL_S, tick=tick, wake_on=frozenset({Topic.ALERT, Topic.FREEZE}))
