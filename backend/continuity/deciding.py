"""What a drill does next, and how it ends, given how it stands. Pure.

From every run there is a next action until it has ended. Must never call a drill passed of which something is unknown.
"""

from dataclasses import dataclass
from typing import Final, Literal

from backend.continuity import wording
from backend.continuity.core import Run, StepRun, unmet
from backend.policy.recovery import ManualStep
from contract.recovery import DrillState, Recovered, StepState


@dataclass(frozen=True, slots=True)
class LookAround:
    """Look at the preconditions, or at the steady state once it is over."""

    after: bool


@dataclass(frozen=True, slots=True)
class Wait:
    """Let a person decide."""

    step: int
    waits_for: Literal["step", "evidence", "cluster_name"]


@dataclass(frozen=True, slots=True)
class Begin:
    """Run a step."""

    step: int


@dataclass(frozen=True, slots=True)
class Find:
    """Find out what came of a step that a process which is gone has begun."""

    step: int


@dataclass(frozen=True, slots=True)
class Count:
    """Count what was lost."""


@dataclass(frozen=True, slots=True)
class Undo:
    """Undo a step."""

    step: int


@dataclass(frozen=True, slots=True)
class Finish:
    """Say how it ended."""

    state: DrillState
    sentence: str
    left_to_do: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rest:
    """It has ended."""


Action = LookAround | Wait | Begin | Find | Count | Undo | Finish | Rest
NEVER_BEGUN: Final = "The backend ended before the database had the drill; nothing was touched."


def next_action(run: Run) -> Action:
    """What to do now, for a process at which nothing of the drill is at work."""
    if run.ended is not None:
        return Rest()
    if not run.confirmed:
        return Finish(DrillState.ABORTED, NEVER_BEGUN)
    return _back(run) if run.turning_back else _forth(run)


def _forth(run: Run) -> Action:
    if run.before is None:
        return LookAround(after=False)
    if missing := unmet(run.before):
        return Finish(DrillState.REFUSED, wording.refused(missing))
    if _is_to_be_counted(run):
        return Count()
    step = run.next_step
    return _over(run) if step is None else _on(run, step)


def _on(run: Run, step: StepRun) -> Action:
    if step.ran:
        return Wait(step.number, "evidence") if isinstance(step.plan, ManualStep) else Find(step.number)
    by_hand = isinstance(step.plan, ManualStep) and not step.plan.destructive
    if not (step.allowed or run.started.hands_off or by_hand):
        return Wait(step.number, "cluster_name" if step.plan.destructive else "step")
    return Begin(step.number)


def _is_to_be_counted(run: Run) -> bool:
    if run.outage_began_at is None or run.counted is not None:
        return False
    last = run.outage_ends_with
    return run.next_step is None if last is None else last.ended is not None


def _back(run: Run) -> Action:
    if (step := run.at_work) is not None:
        return Find(step.number)
    if run.outage_began_at is not None and run.counted is None:
        return Count()  # before something is rewound
    for step in reversed(run.steps):
        if step.ran and step.undone is None:
            return Undo(step.number)
    return _over(run)


def _over(run: Run) -> Action:
    if run.after is None:
        return LookAround(after=True)
    left = left_to_do(run)
    if left:
        return Finish(DrillState.UNRESOLVED, wording.unresolved(run, left), left)
    if run.abort is not None:
        return Finish(DrillState.ABORTED, wording.aborted(run, run.abort))
    if (step := run.failed) is not None:
        return Finish(DrillState.FAILED, wording.failed(run, step))
    if missed := wording.missed(run, measured(run)):
        return Finish(DrillState.FAILED, f"Every step passed, but {missed}.")
    return Finish(DrillState.PASSED, wording.passed(measured(run)))


def left_to_do(run: Run) -> tuple[str, ...]:
    """What a person has to do: what could not be undone, and what is not as it was before."""
    left: list[str] = []
    for step in reversed(run.steps):
        undone = step.undone
        if undone is not None:
            left += undone.left_to_do
            if not undone.passed and not undone.left_to_do:
                left.append(f"Undo step {step.number} ({step.plan.title}) by hand: {undone.summary}")
    left += [f"{check.title}: {check.found}" for check in run.after or () if check.blocking and not check.ok]
    return tuple(dict.fromkeys(left))


def state_of(run: Run) -> DrillState:
    """Where a drill stands."""
    if run.ended is not None:
        return run.ended.state
    if run.turning_back:
        return DrillState.ROLLING_BACK
    if run.before is None:
        return DrillState.CHECKING
    step = run.next_step
    if step is not None and step.state in {StepState.WAITING, StepState.RUNNING} and step.waits_for:
        return DrillState.WAITING
    return DrillState.RUNNING


def measured(run: Run) -> Recovered:
    """What is known of recovery time and recovery point; what is not known is None."""
    first, checked = None, None
    acknowledged = None
    if run.outage_began_at is not None and run.marks is not None:
        first = run.marks.first_write_at
        acknowledged = run.marks.acknowledged if run.marks.whole else None
    last = run.outage_ends_with
    if last is not None and last.ended is not None and last.state is StepState.PASSED:
        checked = last.ended.at
    rto_ms = _rto_ms(run)
    counted = run.counted
    rpo_ms = None if counted is None else counted.rpo_ms
    started = run.started
    return Recovered(
        outage_began_at=run.outage_began_at,
        first_write_at=first,
        ledger_checked_at=checked,
        rto_ms=rto_ms,
        rto_target_seconds=started.rto_target_seconds,
        rto_met=None if rto_ms is None else rto_ms <= started.rto_target_seconds * 1000,
        markers_acknowledged=acknowledged,
        markers_lost=None if counted is None else counted.markers_lost,
        rpo_ms=rpo_ms,
        rpo_target_seconds=started.rpo_target_seconds,
        rpo_met=None if rpo_ms is None else rpo_ms <= started.rpo_target_seconds * 1000,
        transactions_lost=None if counted is None else counted.transactions_lost,
        transactions_unacknowledged=None if counted is None else counted.transactions_unacknowledged,
    )


def _rto_ms(run: Run) -> int | None:
    """From the outage's beginning to the later of first write and check; by one monotonic clock where one saw both."""
    began, marks, last = run.outage_began_at, run.marks, run.outage_ends_with
    if began is None or marks is None or marks.first_write_at is None:
        return None
    to_write = marks.outage_ms
    if to_write is None:
        to_write = round((marks.first_write_at - began).total_seconds() * 1000)
    if last is None:
        return to_write
    if last.ended is None or last.state is not StepState.PASSED:
        return None
    to_check = last.ended.outage_ms
    if to_check is None:
        to_check = round((last.ended.at - began).total_seconds() * 1000)
    return max(to_write, to_check)
