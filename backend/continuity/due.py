"""When the next drill is due by the policy's audit schedule, and how earlier ones did against their targets."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from backend.context import Runtime
from backend.continuity.tables import RecoveryDrillRow
from contract.recovery import DrillState, RecoveryDrill, Schedule, Trend

MAX_TREND: Final = 30
"""Several years of quarters."""
_DAYS: Final = {"day": 1, "week": 7, "month": 31, "quarter": 92, "year": 366}
_MEASURED: Final = (DrillState.PASSED.value, DrillState.FAILED.value)


async def schedule_of(session: AsyncSession, runtime: Runtime) -> Schedule:
    """When the next drill is due: a period after the last one that passed."""
    rules = runtime.policy.recovery
    entry = next(one for one in runtime.policy.audit_schedule if one.name == rules.scheduled_as)
    passed = RecoveryDrillRow.state == DrillState.PASSED.value
    last_at = await session.scalar(select(func.max(RecoveryDrillRow.started_at)).where(passed))
    last: date | None = None if last_at is None else last_at.date()
    due = None if last is None else last + timedelta(days=_DAYS[entry.every])
    late = 0 if due is None else max(0, (runtime.clock.now().date() - due).days)
    return Schedule(
        name=entry.name, every=entry.every, last_passed=last, due=due, overdue_days=late, reviewer=entry.reviewer or ""
    )


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
