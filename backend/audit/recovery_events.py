"""The vocabulary's part that recovery drills and backups write; see `backend.audit.events`."""

from enum import StrEnum


class RecoveryEvent(StrEnum):
    """What is written of recovery drills and backups; the documentation prints the text below each."""

    RECOVERY_DRILL_STARTED = "recovery.drill.started"
    """A recovery drill was started: its plan, its cluster, who is primary and what was found of its preconditions."""
    RECOVERY_STEP_ENDED = "recovery.step.ended"
    """A step of a recovery drill passed or failed; the hash is of all that it printed and found."""
    RECOVERY_STEP_UNDONE = "recovery.step.undone"
    """A step of a recovery drill was rolled back, or could not be."""
    RECOVERY_DRILL_ABORTED = "recovery.drill.aborted"
    """Somebody ended a recovery drill before its end."""
    RECOVERY_DRILL_ENDED = "recovery.drill.ended"
    """A recovery drill ended: what was measured, the steady state afterwards and what is left to do."""
    RECOVERY_REPORT_SIGNED = "recovery.report.signed"
    """Another person than who ran it signed a drill's report off, by the hash of what they read."""
    RECOVERY_REPORT_EXPORTED = "recovery.report.exported"
    """A drill's report left as a file; the hashes are of its facts and of the file."""
    RECOVERY_FINDING_KEPT = "recovery.finding.kept"
    """A finding of a drill became a follow-up action."""
    BACKUP_CHECKED = "recovery.backup.checked"
    """A row of the backup matrix was looked at, or restored into a scratch server and compared."""
