"""The clocks of alerts: silences begin and end, and who has not acknowledged in time is passed over.

Every step is one that a person could have taken late: repeating a tick changes nothing more.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import structlog
from sqlalchemy import func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.expression import ColumnElement

from backend.alerts import escalating, silencing
from backend.alerts.history import BREACHED, TO, Happening, Kind, happened, named
from backend.alerts.matching import TooLongError
from backend.alerts.rows import LIVE, UNMUTED, announce, note, put, standing_values
from backend.alerts.setting_aside import set_one_aside
from backend.alerts.silencing import Step
from backend.alerts.tables import OWN_SOURCE, AlertRow, SilenceRow
from backend.audit import service as audit
from backend.context import Runtime, system_caller
from backend.monitors import Monitor
from contract.alerts import AlertStatus, Severity

log = structlog.get_logger(__name__)

CHECK_EVERY_S: Final = 5.0
"""How late a step may be that nothing announced."""
SOONEST_S: Final = 0.2
"""However soon the next step is due."""
AT_ONCE: Final = 100
"""Alerts that are passed on in one tick; the rest follows with the next."""
_SILENCES_AT_ONCE: Final = 20
_JUST_RAISED: Final = timedelta(minutes=2)
"""An alert raised while a silence is being made is looked at again so long: neither sees the other's transaction."""
_CALLER = system_caller("alert-clocks")


async def tick(session: AsyncSession, runtime: Runtime) -> float:
    """Carry out what is due; the answer is when to look again."""
    now = runtime.clock.now()
    more = await _turn_silences(session, runtime, now)
    more = await _escalate(session, runtime, now) or more
    await session.flush()
    return SOONEST_S if more else await _until_next(session, now)


async def _turn_silences(session: AsyncSession, runtime: Runtime, now: datetime) -> bool:
    """Begin silences, then end those that are over: one that follows on another's heels raises nothing again.

    True: there may be more to do.
    """
    due = or_(SilenceRow.ends_at <= now, (SilenceRow.starts_at <= now) & SilenceRow.begun_at.is_(None))
    rows = await _silences(session, now, due)
    missed = AlertRow.raised_at > now - _JUST_RAISED
    tried = SilenceRow.set_aside_at.is_(None)
    just_begun = await _silences(
        session, now, SilenceRow.begun_at > now - _JUST_RAISED, SilenceRow.ends_at > now, tried
    )
    steps: list[Step] = []
    for row in [*rows, *just_begun]:
        if row.ends_at <= now:
            steps.append(await silencing.ending(session, row))
        else:
            steps += await _beginning(session, runtime, row, *(() if row.begun_at is None else (missed,)))
        if sum(len(step.idents) for step in steps) >= silencing.AT_ONCE:
            break
    await silencing.carry_out(session, runtime, _CALLER, steps)
    return len(rows) == _SILENCES_AT_ONCE or len(steps) < len(rows) or not all(step.last for step in steps)


async def _silences(session: AsyncSession, now: datetime, *wanted: ColumnElement[bool]) -> Sequence[SilenceRow]:
    found = await session.scalars(
        select(SilenceRow)
        .where(SilenceRow.source == OWN_SOURCE, SilenceRow.lifted_at.is_(None), *wanted)
        .order_by(SilenceRow.ends_at <= now, SilenceRow.ends_at, SilenceRow.id)
        .limit(_SILENCES_AT_ONCE)
        .with_for_update(skip_locked=True)
    )
    return found.all()


async def _beginning(
    session: AsyncSession, runtime: Runtime, row: SilenceRow, *also: ColumnElement[bool]
) -> list[Step]:
    """Nothing where trying its regular expressions takes too long: it is set aside, and somebody is told."""
    try:
        return [await silencing.beginning(session, row, *also)]
    except TooLongError:
        row.begun_at = row.begun_at or runtime.clock.now()
        await set_one_aside(session, runtime, row)
        return []


async def _escalate(session: AsyncSession, runtime: Runtime, now: datetime) -> bool:
    """Pass on what nobody has acknowledged in time; True: there may be more."""
    rows = (
        await session.scalars(
            select(AlertRow)
            .where(AlertRow.status == AlertStatus.OPEN.value, AlertRow.escalates_at <= now, UNMUTED)
            .order_by(AlertRow.escalates_at, AlertRow.id)
            .limit(AT_ONCE)
            .with_for_update(skip_locked=True)
        )
    ).all()
    for row in rows:
        await _pass_on(session, runtime, row, now)
    if rows:
        await announce(session, runtime, rows)
    return len(rows) == AT_ONCE


async def _pass_on(session: AsyncSession, runtime: Runtime, row: AlertRow, now: datetime) -> None:
    due, had = row.escalates_at or now, row.escalation_to or ""
    steps = runtime.policy.escalation[Severity(row.severity)]
    reached = escalating.after_breach(steps, row.escalation_level, due, now)
    if reached is None:  # the policy has become shorter: who has it now is the top
        row.escalates_at = row.escalation_next_to = None
        return
    put(row, standing_values(reached, running=True))
    row.updated_at = now
    facts = {"from": had, TO: reached.to or "", "level": str(reached.level), BREACHED: due.isoformat()}
    text = f"not acknowledged in time by {had}: it is with {reached.to} now"
    names = named(row.id, reached.to or "", reached.people, due)
    happened(session, runtime, _CALLER, Happening(row.id, Kind.ESCALATED, text, facts, at=due), *names)
    await audit.record(session, runtime, _CALLER, note(row, "escalated", **facts, people=list(reached.people)))


async def _until_next(session: AsyncSession, now: datetime) -> float:
    own = SilenceRow.lifted_at.is_(None) & (SilenceRow.source == OWN_SOURCE)
    found = await session.execute(
        select(
            select(func.min(AlertRow.escalates_at)).where(LIVE).scalar_subquery(),
            select(func.min(SilenceRow.starts_at)).where(own, SilenceRow.begun_at.is_(None)).scalar_subquery(),
            select(func.min(SilenceRow.ends_at)).where(own).scalar_subquery(),
        )
    )
    waits: list[float] = [(at - now).total_seconds() for at in found.one() if at is not None]
    return max(min([CHECK_EVERY_S, *waits]), SOONEST_S)


MONITOR = Monitor(name="alert_clocks", interval_s=CHECK_EVERY_S, tick=tick)
