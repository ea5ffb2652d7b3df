"""Owns what a recovery drill means between two answers: its clock, who is silent, what would be undone. Pure."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from console.state.freshness import seconds_between
from contract import lengths
from contract.lengths import HOUR_MS, MINUTE_MS, SECOND_MS
from contract.recovery import (
    ClusterNode,
    DrillHistory,
    DrillStep,
    RecoveryDrill,
    Schedule,
    Topology,
)
from contract.recovery_states import ENDED, NodeRole, StepState

SILENT_AFTER_S: Final = 5.0
"""A backend that runs a drill speaks every second or so; from here on its silence is said."""
_RAN: Final = frozenset({
    StepState.RUNNING, StepState.PASSED, StepState.FAILED, StepState.TIMED_OUT, StepState.INTERRUPTED,
})  # fmt: skip
_OVER: Final = _RAN - {StepState.RUNNING}


@dataclass(frozen=True)
class Clock:
    """The recovery time as it stands."""

    ms: int | None = None
    """None: no outage has begun, or it was not measured."""
    runs: bool = False
    """The outage goes on as far as is known."""


def clock(drill: RecoveryDrill, now: datetime) -> Clock:
    """The recovery time: measured, or counted from the beginning of the outage while that goes on."""
    found = drill.measured
    if found.rto_ms is not None:
        return Clock(found.rto_ms)
    if found.outage_began_at is None or drill.state in ENDED:
        return Clock()
    return Clock(round((seconds_between(found.outage_began_at, now) or 0.0) * SECOND_MS), runs=True)


def clock_text(ms: int) -> str:
    """A clock's reading: 00:04.1, 12:31.0, 1:02:03."""
    if ms >= HOUR_MS:
        return f"{ms // HOUR_MS}:{ms % HOUR_MS // MINUTE_MS:02d}:{ms % MINUTE_MS // SECOND_MS:02d}"
    return f"{ms // MINUTE_MS:02d}:{ms % MINUTE_MS // SECOND_MS:02d}.{ms % SECOND_MS // 100}"


def span(ms: int | None) -> str:
    """A length of time; what was not measured is `--`."""
    return "--" if ms is None else lengths.span(ms)


def silent_s(drill: RecoveryDrill, now: datetime) -> float | None:
    """For how long the backend that runs it has not been heard, once that is worth a word."""
    silence_s = seconds_between(drill.heard_at, now) or 0.0
    return silence_s if drill.state not in ENDED and silence_s > SILENT_AFTER_S else None


def waiting_step(drill: RecoveryDrill) -> DrillStep | None:
    """The step that waits for a person."""
    return next((step for step in drill.steps if step.waits_for and step.state is StepState.WAITING), None)


def to_undo(drill: RecoveryDrill) -> list[DrillStep]:
    """What an abort would roll back now, in that order: the last that ran first."""
    return [step for step in reversed(drill.steps) if step.state in _RAN and step.undone_at is None]


def newly_over(before: RecoveryDrill | None, after: RecoveryDrill) -> list[DrillStep]:
    """Steps that have ended since an earlier look."""
    known = {step.number for step in before.steps if step.state in _OVER} if before is not None else set[int]()
    return [step for step in after.steps if step.state in _OVER and step.number not in known]


def is_newer(one: RecoveryDrill, known: RecoveryDrill | None) -> bool:
    """Whether what arrived says more than what is known: answers and events may overtake each other."""
    return known is None or (one.version, one.heard_at) >= (known.version, known.heard_at)


def merged(history: DrillHistory, one: RecoveryDrill) -> DrillHistory:
    """A list with one drill brought up to date; a new one stands first."""
    known = next((drill for drill in history.items if drill.ref == one.ref), None)
    if not is_newer(one, known):
        return history
    others = [drill for drill in history.items if drill.ref != one.ref]
    items = sorted([one, *others], key=lambda drill: drill.started_at, reverse=True)
    running = history.running
    if one.state not in ENDED:
        running = one.ref
    elif running == one.ref:
        running = None
    return history.model_copy(update={"items": items, "running": running})


def due_text(schedule: Schedule, today: date) -> tuple[str, bool]:
    """When the next drill is due, and whether that is over; empty where none is scheduled."""
    if schedule.due is None:
        return "", False
    if schedule.overdue_days:
        return f"overdue by {_days(schedule.overdue_days)}", True
    left = (schedule.due - today).days
    if left < 0:
        return f"overdue by {_days(-left)}", True
    return ("due today", False) if left == 0 else (f"in {_days(left)}", False)


def _days(count: int) -> str:
    return f"{count:,} day{'' if count == 1 else 's'}"


def lag_text(node: ClusterNode) -> str:
    """How far a standby is behind."""
    if node.lag_bytes is None:
        return "lag unknown"
    if not node.lag_bytes:
        return "in step"
    for unit, name in ((1 << 30, "GB"), (1 << 20, "MB"), (1 << 10, "kB")):
        if node.lag_bytes >= unit:
            return f"{node.lag_bytes / unit:.1f} {name} behind"
    return f"{node.lag_bytes} B behind"


def topology_text(found: Topology) -> str:
    """Who is primary and who follows, in one sentence."""
    if not found.nodes:
        return found.problem or "No node of the cluster is known."
    primary = found.primary
    if primary is not None:
        parts = [f"{primary.name} is primary"]
    else:
        several = sum(node.role is NodeRole.PRIMARY for node in found.nodes)
        parts = [f"{several} nodes say that they are primary" if several else "There is no primary"]
    for node in found.nodes:
        if node is not primary:
            behind = f", {lag_text(node)}" if node.role is NodeRole.STANDBY else ""
            parts.append(f"{node.name} is {node.role.value}{behind}")
    return f"{'; '.join(parts)}."
