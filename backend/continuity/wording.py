"""Sentences about a drill, as people read them on line 2 of the screen and in the report. Pure; decides nothing."""

from collections.abc import Sequence
from typing import Final

from backend.continuity.core import Run, StepRun
from backend.continuity.lines import AbortAsked
from contract.lengths import span, target
from contract.recovery import Precondition, Recovered, StepState

_STATES: Final = {
    StepState.FAILED: "failed",
    StepState.TIMED_OUT: "took too long",
    StepState.INTERRUPTED: "was cut off",
}
_WAITS: Final = {
    "step": "waits for somebody to let it run",
    "evidence": "waits for what somebody finds",
    "cluster_name": "waits for the cluster's name",
}


def _ended(step: StepRun) -> str:
    summary = step.ended.summary if step.ended else ""
    return f"step {step.number} ({step.plan.title}) {_STATES.get(step.state, step.state.value)}: {_plain(summary)}"


def _plain(sentence: str) -> str:
    return sentence.strip().removesuffix(".")


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]


def refused(unmet: Sequence[Precondition]) -> str:
    """A precondition was not met."""
    more = f", and {len(unmet) - 1} more" if len(unmet) > 1 else ""
    return f"Nothing was touched: {unmet[0].title}: {_plain(unmet[0].found)}{more}."


def unresolved(run: Run, left: Sequence[str]) -> str:
    """It ended and is not as before."""
    things = "1 thing is" if len(left) == 1 else f"{len(left)} things are"
    return f"{_why(run)}; {things} left to do: {_plain(left[0])}."


def _why(run: Run) -> str:
    if run.failed is not None:
        return _capital(_ended(run.failed))
    if run.abort is not None:  # a person's name is written as it is, also where a sentence begins
        return f"{run.abort.by} ended it ({_plain(run.abort.reason)})"
    return "Every step passed"


def _rolled_back(run: Run) -> str:
    undone = sum(step.undone is not None for step in run.steps)
    return "nothing had run" if not undone else f"{undone} {'step was' if undone == 1 else 'steps were'} rolled back"


def aborted(run: Run, abort: AbortAsked) -> str:
    """Somebody ended it."""
    return f"{abort.by} ended it: {_plain(abort.reason)}; {_rolled_back(run)}, and the steady state is as before."


def failed(run: Run, step: StepRun) -> str:
    """A step failed."""
    return f"{_capital(_ended(step))}; {_rolled_back(run)}, and the steady state is as before."


def missed(run: Run, found: Recovered) -> str:
    """Which objectives were not met, or are not known to be; empty when all were, or there are none."""
    if not run.with_outage:
        return ""
    parts = []
    if found.rto_ms is None:
        parts.append("the recovery time could not be measured")
    elif not found.rto_met:
        parts.append(f"RTO {span(found.rto_ms)} > {target(found.rto_target_seconds)}")
    if found.rpo_ms is None:
        parts.append("what was lost could not be counted")
    elif not found.rpo_met:
        parts.append(f"RPO {span(found.rpo_ms)} > {target(found.rpo_target_seconds)}")
    return " and ".join(parts)


def passed(found: Recovered) -> str:
    """All is well."""
    if found.rto_ms is None or found.rpo_ms is None:
        return "Every step passed."
    return (
        f"Every step passed: RTO {span(found.rto_ms)} of {target(found.rto_target_seconds)}, "
        f"RPO {span(found.rpo_ms)} of {target(found.rpo_target_seconds)}, {_lost(found)}."
    )


def _lost(found: Recovered) -> str:
    """What is gone, as far as it was counted: markers by their numbers, transactions in the old primary's log."""
    markers = f"{found.markers_lost} markers lost" if found.markers_lost else ""
    if found.transactions_lost is None:
        return f"{markers or 'no marker lost'}, transactions not counted"
    gone = max(0, found.transactions_lost - (found.transactions_unacknowledged or 0))
    return ", ".join(part for part in (markers, f"{gone} transactions lost" if gone else "") if part) or "nothing lost"


def now(run: Run) -> str:
    """The most important thing about it while it runs."""
    if run.ended is not None:
        return run.ended.sentence
    if run.turning_back:
        step = next((one for one in reversed(run.steps) if one.undo_begun and one.undone is None), None)
        what = "looking at the steady state" if step is None else f"undoing step {step.number} ({step.plan.title})"
        return f"Rolling back: {what}. {_why(run)}."
    if run.before is None:
        return "Looking at the preconditions; nothing has been touched."
    step = run.next_step
    if step is None:
        return "Every step passed; looking at the steady state."
    where = f"Step {step.number} of {len(run.steps)}, {step.plan.title},"
    if step.waits_for:
        return f"{where} {_WAITS[step.waits_for]}."
    return f"{where} is at work." if step.ran else f"{where} comes next."
