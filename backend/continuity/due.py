"""When the next drill is due by the policy's audit schedule, and how earlier ones did against their targets.

Only a drill that passed counts, and none of a plan that was practice then or measures nothing.
Must never say that nothing is due because nobody has ever tested.
"""

from calendar import monthrange
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from backend.audit import service as audit
from backend.context import Runtime
from backend.continuity.tables import RecoveryDrillRow
from backend.policy.programme import ScheduledAudit
from contract.recovery import DrillState, RecoveryDrill, Schedule, Trend

MAX_TREND: Final = 30
"""Several years of quarters."""
_DAYS: Final = {"day": 1, "week": 7}
_MONTHS: Final = {"month": 1, "quarter": 3, "year": 12}
_YEAR_MONTHS: Final = 12
_MEASURED: Final = (DrillState.PASSED.value, DrillState.FAILED.value)


def entry_of(runtime: Runtime) -> ScheduledAudit:
    """The entry of the audit schedule that says how often."""
    named = runtime.policy.recovery.scheduled_as
    return next(one for one in runtime.policy.audit_schedule if one.name == named)


async def schedule_of(session: AsyncSession, runtime: Runtime) -> Schedule:
    """When the next drill is due, as `schedule` says of what the database knows."""
    entry = entry_of(runtime)
    passed = select(func.max(RecoveryDrillRow.started_at)).where(RecoveryDrillRow.state == DrillState.PASSED.value)
    passed = passed.where(RecoveryDrillRow.practice.is_(False))
    last_at = await session.scalar(passed)
    began_at = await audit.ledger_began(session) if last_at is None else None
    return schedule(entry, _day(last_at), _day(began_at), runtime.clock.now().astimezone(UTC).date())


def schedule(entry: ScheduledAudit, last: date | None, began: date | None, today: date) -> Schedule:
    """When the next drill is due, and why then. Pure."""
    if last is not None:
        due: date | None = after(entry.every, last)
        why = f"a {entry.every} after the last one that passed"
    elif began is not None:
        due = end_of_period(entry.every, began)
        why = f"none has passed yet: due by the end of the {entry.every} in which the ledger began ({began})"
    else:
        due, why = None, "none has passed yet, and the ledger has not begun"
    late = 0 if due is None else max(0, (today - due).days)
    return Schedule(
        name=entry.name,
        every=entry.every,
        last_passed=last,
        due=due,
        why=why,
        overdue_days=late,
        reviewer=entry.reviewer or "",
    )


def after(every: str, day: date) -> date:
    """The same day a period later; the month's last where it has no such day."""
    if every in _DAYS:
        return day + timedelta(days=_DAYS[every])
    months = day.month - 1 + _MONTHS[every]
    year, month = day.year + months // _YEAR_MONTHS, months % _YEAR_MONTHS + 1
    return date(year, month, min(day.day, monthrange(year, month)[1]))


def end_of_period(every: str, day: date) -> date:
    """The last day of the calendar's period that a day is in; weeks end on Sunday."""
    if every in _DAYS:
        return day if every == "day" else day + timedelta(days=6 - day.weekday())
    length = _MONTHS[every]
    month = ((day.month - 1) // length + 1) * length
    return date(day.year, month, monthrange(day.year, month)[1])


def _day(at: datetime | None) -> date | None:
    return None if at is None else at.astimezone(UTC).date()


async def trend_of(session: AsyncSession) -> list[Trend]:
    """What the newest drills have measured, oldest first."""
    newest = (
        select(RecoveryDrillRow.shown)
        .where(RecoveryDrillRow.state.in_(_MEASURED))
        .order_by(RecoveryDrillRow.started_at.desc())
        .limit(MAX_TREND)
    )
    shown = [RecoveryDrill.model_validate(one) for one in await session.scalars(newest)]
    return _trend(shown)


def _trend(newest_first: Sequence[RecoveryDrill]) -> list[Trend]:
    return [
        Trend(
            ref=one.ref,
            at=one.started_at,
            plan=one.plan,
            state=one.state,
            rto_ms=one.measured.rto_ms,
            rto_target_seconds=one.measured.rto_target_seconds,
            rpo_ms=one.measured.rpo_ms,
            rpo_target_seconds=one.measured.rpo_target_seconds,
        )
        for one in reversed(newest_first)
    ]
