"""A drill as the wire shows it. Pure; holds no rule of its own."""

from datetime import datetime
from typing import Final

from backend.continuity import wording
from backend.continuity.core import Run, StepRun
from backend.continuity.deciding import left_to_do, measured, state_of
from backend.policy.recovery import ManualStep
from contract.recovery import DrillStep, RecoveryDrill, StepKind, StepState

SHOWN_LOG_LINES: Final = 200
"""Several screenfuls."""


def show(run: Run, *, heard_at: datetime, whole: bool = False) -> RecoveryDrill:
    """A drill; `whole`: with what its steps printed, and the log."""
    started = run.started
    left = left_to_do(run) if run.ended is None else run.ended.left_to_do
    at_work = None if run.ended is not None else run.next_step
    return RecoveryDrill(
        ref=started.ref,
        plan=started.plan.name,
        title=started.plan.title,
        state=state_of(run),
        sentence=wording.now(run),
        cluster=started.cluster,
        provider=started.provider,
        hands_off=started.hands_off,
        reason=started.reason,
        started_by=str(started.caller["subject"]),
        started_at=started.at,
        ended_at=None if run.ended is None else run.ended.at,
        backend=run.backend,
        heard_at=heard_at,
        step=at_work.number if at_work is not None and (at_work.ran or at_work.waits_for) else None,
        steps=[_step(run, step, whole=whole) for step in run.steps],
        before=list(run.before or ()),
        after=list(run.after or ()),
        measured=measured(run),
        topology=run.topology,
        left_to_do=list(left),
        log=list(run.log[-SHOWN_LOG_LINES:]) if whole else [],
        incident=run.incident,
        version=run.count,
    )


def _step(run: Run, step: StepRun, *, whole: bool) -> DrillStep:
    plan, ended, undone = step.plan, step.ended, step.undone
    never = step.ended is None and not step.ran and (run.ended is not None or run.turning_back)
    return DrillStep(
        number=step.number,
        name=plan.name,
        title=plan.title,
        kind=StepKind(plan.kind),
        state=StepState.SKIPPED if never else step.state,
        destructive=plan.destructive,
        started_at=step.begun_at,
        ended_at=None if ended is None else ended.at,
        duration_ms=_duration_ms(step),
        timeout_seconds=plan.timeout_seconds,
        progress_percent=step.percent if step.at_work else None,
        summary="" if ended is None else ended.summary,
        output=ended.output if whole and ended is not None else "",
        evidence_sha256=None if ended is None else ended.evidence_sha256,
        waits_for="" if never else step.waits_for,
        instructions=plan.instructions if isinstance(plan, ManualStep) else "",
        undone_at=None if undone is None else undone.at,
        undo_summary="" if undone is None else undone.summary,
        by=step.by,
    )


def _duration_ms(step: StepRun) -> int | None:
    if step.ended is None or step.begun_at is None:
        return None
    if step.ended.duration_ms is not None:
        return step.ended.duration_ms
    return round((step.ended.at - step.begun_at).total_seconds() * 1000)
