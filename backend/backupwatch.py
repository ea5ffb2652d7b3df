"""Looks at the backups every hour, and raises and clears the alerts about them. Owns no rule of the matrix."""

from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from backend.alerts import service as alerts
from backend.alerts.service import AlertDraft
from backend.context import Runtime, system_caller
from backend.continuity import service as recovery
from backend.monitors import Monitor
from contract.alerts import Severity
from contract.recovery import BackupCheck, BackupState
from contract.scope import GLOBAL

CHECK_EVERY_S: Final = 3600.0
"""Backups age by the hour."""
STALE: Final = "BACKUP_STALE"
FAILED: Final = "BACKUP_FAILED"
_RULES: Final = {
    BackupState.STALE: (STALE, Severity.HIGH),
    BackupState.MISSING: (FAILED, Severity.CRITICAL),
    BackupState.FAILED: (FAILED, Severity.CRITICAL),
}
_CALLER = system_caller("recovery")


AGAIN_S: Final = 60.0
"""Somebody may be making the backup that is missing: its alert is not to stay for an hour."""


async def tick(session: AsyncSession, runtime: Runtime) -> float | None:
    """Bring the alerts in line with how the backups stand; look again sooner while one is not as it should be."""
    drafts = [_draft(row) for row in await recovery.look_at_backups(session, runtime) if row.state in _RULES]
    wanted = {draft.fingerprint: draft for draft in drafts}
    for fingerprint, alert in await alerts.live_of_rules(session, (STALE, FAILED)):
        if fingerprint not in wanted:
            await alerts.clear_alert(session, runtime, _CALLER, alert.id, why="looked at again, and no longer so")
    for draft in drafts:
        await alerts.raise_alert(session, runtime, _CALLER, draft)
    return AGAIN_S if drafts else None


def _draft(row: BackupCheck) -> AlertDraft:
    rule, severity = _RULES[row.state]
    facts = {"data": row.data, "state": row.state.value, "source": row.source}
    if row.newest_at is not None:
        facts["newest_at"] = row.newest_at.isoformat()
    return AlertDraft(
        fingerprint=f"{rule}:{row.data}",
        rule=rule,
        severity=severity,
        scope=GLOBAL,
        message=f"Backup of {row.data}: {row.found}",
        facts=facts,
        moves=False,
    )


MONITOR = Monitor(name="backupwatch", interval_s=CHECK_EVERY_S, tick=tick)
