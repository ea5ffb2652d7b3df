"""The facts of a recovery drill's report, their one spelling, and the hash of it that is signed off. Pure.

Must never fill in a figure that nobody measured: what is not known is null.
"""

import hashlib
from collections.abc import Sequence
from typing import Any, Final

import orjson

from backend.continuity import lines, wording
from backend.continuity.core import Run, StepRun
from backend.continuity.deciding import measured
from backend.continuity.lines import Line
from backend.continuity.showing import show
from contract import lengths
from contract.recovery import DrillState, DrillStep, Precondition, Recovered, StepState
from ledger.canon import format_instant

PROFILE: Final = "recovery-report-1"
"""Named in the facts: a report that was signed keeps its own, whatever later versions write."""
Facts = dict[str, Any]
_STEP: Final = {
        "number", "name", "title", "kind", "state", "destructive", "started_at", "ended_at", "duration_ms",
        "timeout_seconds", "summary", "evidence_sha256", "by",
}  # fmt: skip
_BAD: Final = frozenset({StepState.FAILED, StepState.TIMED_OUT, StepState.INTERRUPTED})


def facts_of(run: Run, told: Sequence[Line]) -> Facts:
    """Everything that a report says and that does not change any more once the drill has ended."""
    told = _until_the_end(told)
    started, ended = run.started, run.ended
    looks = [line for line in told if isinstance(line, lines.Looked) and line.step is None]
    return {
        "profile": PROFILE,
        "ref": started.ref,
        "plan": started.plan.name,
        "title": started.plan.title,
        "reason": started.reason,
        "cluster": started.cluster,
        "provider": started.provider,
        "hands_off": started.hands_off,
        "started_by": str(started.caller["subject"]),
        "started_at": format_instant(started.at),
        "ended_at": None if ended is None else format_instant(ended.at),
        "state": None if ended is None else ended.state.value,
        "sentence": wording.now(run),
        "backends": list(dict.fromkeys(_backends(told))),
        "acts": _acts(told),
        "before": _look(looks, after=False),
        "after": _look(looks, after=True),
        "steps": [
            _step(step, shown) for step, shown in zip(run.steps, show(run, heard_at=started.at).steps, strict=True)
        ],
        "measured": measured(run).model_dump(mode="json"),
        "with_outage": run.with_outage,
        "left_to_do": [] if ended is None else list(ended.left_to_do),
    }


def _until_the_end(told: Sequence[Line]) -> list[Line]:
    """Without what was said after it, such as the number of an incident that was declared late."""
    ends = [n for n, line in enumerate(told, 1) if isinstance(line, lines.Ended)]
    return list(told[: ends[0]] if ends else told)


def canonical(facts: Facts) -> bytes:
    """Their one spelling: JSON in RFC 8785's form. There are no fractions in it."""
    return orjson.dumps(facts, option=orjson.OPT_SORT_KEYS)


def sha256_of(facts: Facts) -> str:
    """What is signed."""
    return hashlib.sha256(canonical(facts)).hexdigest()


def ran_by(facts: Facts) -> frozenset[str]:
    """Everybody who started the drill, let a step run, said what it found, or ended it."""
    return frozenset(act["by"] for act in facts["acts"])


def _backends(told: Sequence[Line]) -> list[str]:
    return [line.backend for line in told if isinstance(line, lines.Started | lines.Resumed)]


def _acts(told: Sequence[Line]) -> list[Facts]:
    acts = []
    for line in told:
        match line:
            case lines.Started(caller=caller):
                what, unasked = "started it", False
            case lines.Allowed(caller=caller, by_token_alone=unasked):
                what = f"let step {line.step} run"
            case lines.Stepped(caller=dict() as caller):
                what, unasked = f"said what step {line.step} found", False
            case lines.AbortAsked(caller=caller, by_token_alone=unasked):
                what = f"ended it: {line.reason}"
            case _:
                continue
        acts.append(
            {"at": format_instant(line.at), "by": str(caller["subject"]), "did": what, "by_token_alone": unasked}
        )
    return acts


def _look(looks: Sequence[lines.Looked], *, after: bool) -> Facts | None:
    found = [line for line in looks if line.after is after]
    if not found:
        return None
    return {
        "at": format_instant(found[-1].at),
        "checks": [check.model_dump(mode="json") for check in found[-1].checks],
        "topology": found[-1].topology.model_dump(mode="json"),
    }


def _step(step: StepRun, shown: DrillStep) -> Facts:
    undone = step.undone
    return {
        **shown.model_dump(mode="json", include=_STEP),
        "passes_when": step.plan.passes_when,
        "undone": None
        if undone is None
        else {
            "at": format_instant(undone.at),
            "passed": undone.passed,
            "summary": undone.summary,
            "evidence_sha256": undone.evidence_sha256,
        },
    }


def proposed_findings(facts: Facts) -> list[str]:
    """What the facts themselves ask to be looked into, each as the text of an action."""
    proposed: list[str] = []
    for step in facts["steps"]:
        where = f"step {step['number']} ({step['title']})"
        if StepState(step["state"]) in _BAD:
            state = step["state"].replace("_", " ")
            proposed.append(f"Find out why {where} ended as {state}: {step['summary']}")
        if step["undone"] is not None and not step["undone"]["passed"]:
            proposed.append(f"Have the rollback of {where} work: {step['undone']['summary']}")
    if facts["with_outage"] and facts["state"] == DrillState.FAILED.value:
        proposed += _objectives(Recovered.model_validate(facts["measured"]), proposed)
    proposed += [f"Do what was left: {thing}" for thing in facts["left_to_do"]]
    before = [] if facts["before"] is None else facts["before"]["checks"]
    checks = [Precondition.model_validate(check) for check in before]
    proposed += [f"Mend what was not as it should be before: {one.title}: {one.found}" for one in checks if not one.ok]
    return list(dict.fromkeys(proposed))


def _objectives(found: Recovered, failed: Sequence[str]) -> list[str]:
    proposed = []
    if found.rto_ms is None and not failed:
        proposed.append("Find out why the recovery time could not be measured")
    elif found.rto_met is False:
        meant = lengths.target(found.rto_target_seconds)
        proposed.append(f"Bring the recovery time below {meant}: it was {lengths.span(found.rto_ms or 0)}")
    if found.rpo_ms is None and not failed:
        proposed.append("Find out why what was lost could not be counted")
    elif found.rpo_met is False:
        meant = lengths.target(found.rpo_target_seconds)
        proposed.append(f"Bring the recovery point below {meant}: it was {lengths.span(found.rpo_ms or 0)}")
    return proposed
