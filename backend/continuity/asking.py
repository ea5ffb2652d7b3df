"""What may be asked of a drill that runs: letting a step run, saying what was found, ending it. Pure."""

from typing import Final

from backend.context import Caller
from backend.continuity.core import Run, StepRun
from backend.continuity.deciding import Wait, next_action
from backend.errors import WatchfloorError
from backend.policy.recovery import AnyStep
from contract.errors import ErrorCode
from contract.reasons import has_words
from contract.recovery import StepRequest

STEP: Final = "step"
ABORT: Final = "abort"


def waiting_step(run: Run, caller: Caller, request: StepRequest) -> StepRun:
    """The step that waits for what somebody says.

    Raises:
        WatchfloorError: CONFLICT if that step waits for nobody; NOT_ALLOWED; INVALID_REQUEST.
    """
    step = next((one for one in run.steps if one.number == request.number), None)
    action = next_action(run)
    if step is None or not isinstance(action, Wait) or action.step != request.number:
        raise WatchfloorError(
            ErrorCode.CONFLICT,
            f"Step {request.number} of {run.ref} does not wait for anybody now.",
            hint="Look at the drill again: somebody may have been faster.",
        )
    refuse_role(step.plan, caller)
    if action.waits_for == "cluster_name":
        refuse_name(request.cluster, run.started.cluster)
    if action.waits_for == "evidence":
        _refuse_no_evidence(request.evidence)
    elif request.evidence or not request.passed:
        raise WatchfloorError(
            ErrorCode.INVALID_REQUEST,
            f"Step {request.number} has not begun: there is nothing yet of which something could have been found.",
            hint="Let it run first; it then waits for its evidence, if a person does it.",
        )
    return step if step.waits_for else _about_to(step, action)


def _about_to(step: StepRun, action: Wait) -> StepRun:
    """The step as it is the moment its wait is written down."""
    return StepRun(step.number, step.plan, waits_for=action.waits_for, begun_at=step.begun_at)


def _refuse_no_evidence(evidence: str) -> None:
    try:
        has_words(evidence)
    except ValueError as error:
        raise WatchfloorError(
            ErrorCode.INVALID_REQUEST, "A manual step wants its evidence: what was done, and what was found."
        ) from error


def refuse_role(step: AnyStep, caller: Caller) -> None:
    """Keep somebody from a step that only others may run.

    Raises:
        WatchfloorError: NOT_ALLOWED.
    """
    if step.roles and caller.role not in step.roles:
        raise WatchfloorError(
            ErrorCode.NOT_ALLOWED, f"The step {step.title!r} may be run by {', '.join(step.roles)} only."
        )


def refuse_name(typed: str, cluster: str) -> None:
    """Keep somebody from something destructive who has not typed what it happens to.

    Raises:
        WatchfloorError: INVALID_REQUEST.
    """
    if typed.strip() != cluster:
        said = f"not {typed.strip()[:50]!r}" if typed.strip() else "which was not typed"
        raise WatchfloorError(
            ErrorCode.INVALID_REQUEST,
            f"This stops the primary of the cluster {cluster!r}, {said}.",
            hint="Type the cluster's name exactly.",
        )


def refuse_abort(run: Run) -> None:
    """Keep a drill from being ended twice.

    Raises:
        WatchfloorError: CONFLICT.
    """
    if run.ended is not None:
        raise WatchfloorError(ErrorCode.CONFLICT, f"{run.ref} has ended: it {run.ended.state.value}.")
    if run.turning_back:
        raise WatchfloorError(ErrorCode.CONFLICT, f"{run.ref} is being rolled back already.")
