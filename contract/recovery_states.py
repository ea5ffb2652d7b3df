"""Words of recovery drills: what steps do, where drills, steps and nodes stand. Part of `contract.recovery`."""

from enum import StrEnum


class StepKind(StrEnum):
    """What a step of a plan does."""

    MANUAL = "manual"
    COMMAND = "command"
    HTTP = "http"
    SQL = "sql"
    CLUSTER = "cluster"
    LEDGER = "ledger"
    CANARY = "canary"
    FREEZE_DRILL = "freeze_drill"
    BACKUP = "backup"


class ClusterAction(StrEnum):
    """What a drill can ask of the database's cluster."""

    KILL_PRIMARY = "kill_primary"
    """End the primary without warning, as a crash would."""
    FAIL_OVER = "fail_over"
    """Make the standby the primary; the old one is gone."""
    SWITCH_OVER = "switch_over"
    """Have primary and standby change places in order."""
    FAIL_BACK = "fail_back"
    """Bring the old primary back as a standby, let it catch up, and have them change places."""


class DrillState(StrEnum):
    """Where a drill stands. Everything from PASSED on is an end."""

    CHECKING = "checking"
    """Preconditions and the steady state are looked at; nothing has been touched."""
    WAITING = "waiting"
    """For a person: the next step, a manual step's evidence, or the cluster's name before a destructive one."""
    RUNNING = "running"
    ROLLING_BACK = "rolling_back"
    """What ran is undone, last first."""
    PASSED = "passed"
    FAILED = "failed"
    """A step failed and what ran was rolled back, or every step passed and an objective was missed or not measured;
    either way the steady state is as before."""
    ABORTED = "aborted"
    """Somebody ended it; what ran was rolled back and the steady state is as before."""
    REFUSED = "refused"
    """A precondition was not met: nothing was touched."""
    UNRESOLVED = "unresolved"
    """It ended and the steady state is not as before: `left_to_do` says what a person has to do."""


ENDED = frozenset({DrillState.PASSED, DrillState.FAILED, DrillState.ABORTED, DrillState.REFUSED, DrillState.UNRESOLVED})


class StepState(StrEnum):
    """Where a step stands."""

    PENDING = "pending"
    WAITING = "waiting"
    """For a person."""
    RUNNING = "running"
    PASSED = "passed"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    INTERRUPTED = "interrupted"
    """Cut off in the middle, by an abort or the backend's end; what it had done was found out and rolled back."""
    SKIPPED = "skipped"
    """Never begun: the drill ended before."""


class NodeRole(StrEnum):
    """What a node of the cluster is."""

    PRIMARY = "primary"
    STANDBY = "standby"
    STOPPED = "stopped"
    UNKNOWN = "unknown"
