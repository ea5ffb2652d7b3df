"""Owns how the states of recovery drills, their steps, the cluster's nodes and backups read: glyph, word and style."""

from typing import Final

from console.widgets.glyphs import Glyphs
from console.widgets.words import Sign
from contract.recovery import BackupState, Precondition
from contract.recovery_states import DrillState, NodeRole, StepState

_DRILLS: Final = {
    DrillState.CHECKING: ("partial", "checking", "near"),
    DrillState.WAITING: ("near", "WAITS", "near"),
    DrillState.RUNNING: ("partial", "running", "near"),
    DrillState.ROLLING_BACK: ("near", "undoing", "near"),
    DrillState.PASSED: ("ok", "passed", "ok"),
    DrillState.FAILED: ("bad", "FAILED", "bad"),
    DrillState.ABORTED: ("near", "aborted", "near"),
    DrillState.REFUSED: ("near", "refused", "near"),
    DrillState.UNRESOLVED: ("bad", "UNRESOLVED", "bad"),
}
_STEPS: Final = {
    StepState.PENDING: ("idle", "to come", "dim"),
    StepState.WAITING: ("near", "WAITS", "near"),
    StepState.RUNNING: ("partial", "running", "near"),
    StepState.PASSED: ("done", "passed", "ok"),
    StepState.FAILED: ("bad", "FAILED", "bad"),
    StepState.TIMED_OUT: ("bad", "TOO LONG", "bad"),
    StepState.INTERRUPTED: ("near", "cut off", "near"),
    StepState.SKIPPED: ("idle", "not run", "dim"),
}


def drill(state: DrillState, g: Glyphs) -> Sign:
    """Where a drill stands."""
    glyph, word, style = _DRILLS[state]
    return Sign(getattr(g, glyph), word, style)


def step(state: StepState, g: Glyphs) -> Sign:
    """Where a step stands."""
    glyph, word, style = _STEPS[state]
    return Sign(getattr(g, glyph), word, style)


def node(role: NodeRole, g: Glyphs) -> Sign:
    """What a node is."""
    match role:
        case NodeRole.PRIMARY:
            return Sign(g.ok, "primary", "ok")
        case NodeRole.STANDBY:
            return Sign(g.partial, "standby", "ok")
        case NodeRole.STOPPED:
            return Sign(g.bad, "STOPPED", "bad")
        case NodeRole.UNKNOWN:
            return Sign(g.unknown, "unknown", "near")


def backup(state: BackupState, g: Glyphs) -> Sign:
    """How a row of the backup matrix stands."""
    match state:
        case BackupState.OK:
            return Sign(g.ok, "ok", "ok")
        case BackupState.STALE:
            return Sign(g.near, "STALE", "near")
        case BackupState.MISSING:
            return Sign(g.bad, "MISSING", "bad")
        case BackupState.FAILED:
            return Sign(g.bad, "FAILED", "bad")
        case BackupState.NOT_CHECKED:
            return Sign(g.unknown, "not checked", "dim")


def check(found: Precondition, g: Glyphs) -> Sign:
    """Whether a precondition is met."""
    if found.ok:
        return Sign(g.ok, "ok", "ok")
    return Sign(g.bad, "NOT MET", "bad") if found.blocking else Sign(g.near, "noted", "near")


def met(value: bool | None, g: Glyphs) -> Sign:  # noqa: FBT001  three answers, not a switch
    """Whether an objective was met."""
    if value is None:
        return Sign(g.unknown, "not measured", "dim")
    return Sign(g.ok, "met", "ok") if value else Sign(g.bad, "MISSED", "bad")
