"""Raises and clears the alerts about copies of the ledger's partitions. Owns no rule: it reads what was found."""

from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from backend.alerts import service as alerts
from backend.alerts.service import AlertDraft
from backend.audit.retention.inventory import failing_by_place
from backend.context import Runtime, system_caller
from backend.monitors import Monitor
from contract.alerts import Severity
from contract.retention import CopyState
from contract.scope import Scope, ScopeKind

CHECK_EVERY_S: Final = 30.0
"""Copies are read back every few days: nobody waits for this."""
LOST: Final = "ARCHIVE_COPY_LOST"
AWAY: Final = "ARCHIVE_PLACE_AWAY"
_CALLER = system_caller("retention")
_EVERYWHERE: Final = Scope(kind=ScopeKind.GLOBAL)


async def tick(session: AsyncSession, runtime: Runtime) -> None:
    """Bring the alerts in line with what was found: one a place and kind of trouble."""
    wanted = {draft.fingerprint: draft for draft in await _drafts(session)}
    for fingerprint, alert in await alerts.live_of_rules(session, (LOST, AWAY)):
        if fingerprint not in wanted:
            await alerts.clear_alert(session, runtime, _CALLER, alert.id, why="read back and sound")
    for draft in wanted.values():
        await alerts.raise_alert(session, runtime, _CALLER, draft)


async def _drafts(session: AsyncSession) -> list[AlertDraft]:
    return [
        AlertDraft(
            fingerprint=f"{rule}:{one.place}",
            rule=rule,
            severity=severity,
            scope=_EVERYWHERE,
            message=f"{message} {one.problem}",
            facts={"place": one.place, "copies": f"{one.count}", "first": f"{one.log} from {one.seq_from}"},
        )
        for states, rule, severity, message in (
            (
                (CopyState.MISSING, CopyState.DAMAGED),
                LOST,
                Severity.CRITICAL,
                "A copy of the ledger is not what was written:",
            ),
            (
                (CopyState.UNREACHABLE, CopyState.UNWRITTEN),
                AWAY,
                Severity.HIGH,
                "Copies of the ledger cannot be written or read back:",
            ),
        )
        for one in await failing_by_place(session, states)
    ]


MONITOR = Monitor(name="archivewatch", interval_s=CHECK_EVERY_S, tick=tick)
