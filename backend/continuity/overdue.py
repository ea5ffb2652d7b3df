"""Raises an alert when the recovery drill of the policy's schedule is overdue, and clears it when one has passed."""

from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from backend.alerts import service as alerts
from backend.alerts.service import AlertDraft
from backend.context import Runtime, system_caller
from backend.continuity.due import schedule_of
from backend.monitors import Monitor
from contract.recovery import Schedule
from contract.scope import GLOBAL

RULE: Final = "RECOVERY_TEST_OVERDUE"
CHECK_EVERY_S: Final = 60.0
"""It is due on a day; whoever has just run one wants to see the alert go."""
_CALLER = system_caller("recovery")


async def tick(session: AsyncSession, runtime: Runtime) -> None:
    """Bring the alert in line with the schedule."""
    due = await schedule_of(session, runtime)
    live = await alerts.live_of_rules(session, [RULE])
    if due.overdue_days:
        await alerts.raise_alert(session, runtime, _CALLER, _draft(runtime, due))
        return
    for _, alert in live:
        await alerts.clear_alert(session, runtime, _CALLER, alert.id, why="it is not overdue any more")


def _draft(runtime: Runtime, due: Schedule) -> AlertDraft:
    last = "never" if due.last_passed is None else due.last_passed.isoformat()
    return AlertDraft(
        fingerprint=RULE,
        rule=RULE,
        severity=runtime.policy.recovery.overdue_severity,
        scope=GLOBAL,
        message=f"The {due.name} was due on {due.due}: no recovery drill has passed since.",
        facts={"due": str(due.due), "last_passed": last, "every": due.every, "why": due.why, "reviewer": due.reviewer},
        moves=False,
    )


MONITOR = Monitor(name="recovery_due", interval_s=CHECK_EVERY_S, tick=tick)
