"""Runs the steps of a drill, finds out what came of them after a crash, and undoes them. Decides nothing.

Every wait is bounded. Whatever a kind of step raises is an outcome: failed, with what it said.
"""

import asyncio
import hashlib
from collections import Counter
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson
import structlog

from backend.context import Runtime
from backend.continuity import lines
from backend.continuity.cluster.port import Cluster, ClusterError
from backend.continuity.core import Run, StepRun
from backend.continuity.kinds import putting_right, standing
from backend.continuity.kinds.base import At, Facts, Kind, Outcome, StoppedError
from backend.continuity.lines import caller_of
from backend.continuity.measuring import Look, Measure
from backend.continuity.outage import Outage
from backend.continuity.telling import Telling
from backend.policy.recovery import ClusterStep, ManualStep
from contract.recovery import StepState

log = structlog.get_logger(__name__)

CANCEL_S: Final = 10.0
"""How long a step that was cut off may take to let go; then it is left behind, and said to be."""
COPY_LIMIT_S: Final = 3600.0
"""A rollback waits for a server that cannot be rewound and is copied whole, however short its step's own time is."""
UNDO_LEAST_S: Final = 60.0
"""What hangs in the rollback of anything else keeps the database down until its time is over."""
LOOK_S: Final = 60.0
"""Finding out what came of a step after a crash."""
MAX_LINE_CHARS: Final = 500
MAX_STEP_LOG_LINES: Final = 400
"""A step that says more is cut: its output is kept apart. As many as a screen shows of a log."""
MAX_LOG_LINES: Final = 4_000
"""Of all steps of a drill: two megabytes of the journal."""
_ABORTED: Final = Outcome(passed=False, summary="It was cut off because somebody ended the drill.")
_STOPPED: Final = Outcome(passed=False, summary="It did nothing more, because somebody ended the drill.")


@dataclass(frozen=True, slots=True)
class Parts:
    """What drills of one backend are run with."""

    runtime: Runtime
    cluster: Cluster
    kinds: Mapping[str, Kind]
    look: Look
    measure: Measure


class Stepping:
    """The steps of one drill."""

    def __init__(self, parts: Parts, telling: Telling, outage: Outage) -> None:
        self._parts, self._telling, self._outage = parts, telling, outage
        self._clock = parts.runtime.clock
        self._logged = Counter(line.step for line in telling.told if isinstance(line, lines.Logged))

    async def run(self, number: int, by: str) -> None:
        """Run a step to its end."""
        telling, step = self._telling, self._telling.run.step(number)
        begun = self._clock.monotonic()
        await telling.say(lines.Begun(at=self._clock.now(), step=number, by=by))
        if not telling.may_begin:  # somebody ended it, or the disk did not take the line
            return
        if step.plan.begins_outage:
            await self._outage.first_marker()
            await self._outage.begin(number, self._clock.now())
        if isinstance(step.plan, ManualStep):  # it runs at people's hands, and ends with what they found
            return
        kind = self._kind(step)
        work = kind.run(self._at(step))
        state, outcome = await self._until(work, step.plan.timeout_seconds, abortable=True)
        took_ms = round((self._clock.monotonic() - begun) * 1000)
        await self._outage.refine(number, outcome.facts)
        await self._say_ended(number, state, outcome, took_ms)

    async def find(self, number: int) -> None:
        """Say how a step ended that a process which is gone has begun."""
        run = self._telling.run
        step = run.step(number)
        found: Outcome | None = None
        if not run.turning_back:
            kind = self._kind(step)
            state, outcome = await self._until(kind.look(self._at(step), step.facts), LOOK_S, abortable=True)
            found = outcome if state in {StepState.PASSED, StepState.FAILED} else None
        if found is not None and found.passed:
            await self._say_ended(number, StepState.PASSED, found, None)
            return
        summary = "Its backend ended in the middle of it" if found is None else found.summary
        cut = found or Outcome(passed=False, summary=f"{summary}; nothing says that it was finished.")
        await self._say_ended(number, StepState.INTERRUPTED, cut, None)

    async def undo(self, number: int) -> None:
        """Undo a step that ran, wholly or partly."""
        step = self._telling.run.step(number)
        await self._telling.say(lines.UndoBegun(at=self._clock.now(), step=number))
        least_s = COPY_LIMIT_S if _touches_cluster(step) else UNDO_LEAST_S
        limit_s = max(least_s, step.plan.timeout_seconds)
        state, outcome = await self._until(self._undone(step), limit_s, abortable=False)
        if self._telling.given_up.is_set():  # whoever ended the drill has said that this was not undone
            return
        await self._telling.say(
            lines.Undone(
                at=self._clock.now(),
                step=number,
                passed=state is StepState.PASSED,
                summary=_clean(outcome.summary),
                output=self._cut(outcome.output),
                evidence_sha256=evidence_of(outcome),
                left_to_do=[_clean(one) for one in outcome.left_to_do],
            )
        )

    async def _undone(self, step: StepRun) -> Outcome:
        """Undo it; where it is not the cluster's and began the outage, the cluster may not get right by that alone."""
        at = self._at(step, undoing=True)
        outcome = await self._kind(step).undo(at, step.facts)
        if isinstance(step.plan, ClusterStep) or not step.plan.begins_outage or at.first_primary is None:
            return outcome
        seen = await standing.until_at_rest(at)
        led = await putting_right.lead_again(at, at.first_primary, "the outage", seen)
        return Outcome(
            passed=outcome.passed and led.passed,
            summary=f"{outcome.summary.rstrip('.')}; {led.summary}",
            output=outcome.output,
            facts=outcome.facts,
            left_to_do=(*outcome.left_to_do, *led.left_to_do),
        )

    async def found_by_person(self, number: int, outcome: Outcome, caller: lines.Facts) -> None:
        """Take what a person found as the end of a manual step."""
        state = StepState.PASSED if outcome.passed else StepState.FAILED
        await self._say_ended(number, state, outcome, None, caller)

    async def took_too_long(self, number: int) -> None:
        """End a manual step that nobody has said anything about in time."""
        limit = self._telling.run.step(number).plan.timeout_seconds
        outcome = Outcome(passed=False, summary=f"Nobody said what they found within {limit} s.")
        await self._say_ended(number, StepState.TIMED_OUT, outcome, None)

    async def _say_ended(
        self, number: int, state: StepState, outcome: Outcome, took_ms: int | None, caller: lines.Facts | None = None
    ) -> None:
        line = lines.Stepped(
            at=self._clock.now(),
            step=number,
            state=state,
            summary=_clean(outcome.summary),
            output=self._cut(outcome.output),
            evidence_sha256=evidence_of(outcome),
            facts=dict(outcome.facts),
            left_to_do=[_clean(one) for one in outcome.left_to_do],
            duration_ms=took_ms,
            outage_ms=self._outage.lasted_ms(),
            caller=caller,
        )
        await self._telling.say(line)

    def _kind(self, step: StepRun) -> Kind:
        return self._parts.kinds[step.plan.kind]

    def _at(self, step: StepRun, *, undoing: bool = False) -> At:
        telling, number = self._telling, step.number

        async def note(facts: Facts) -> None:
            await telling.say(lines.Noted(at=self._clock.now(), step=number, facts=dict(facts)))
            await self._outage.refine(number, facts)
            # nobody can end the drill between this and what the step does next: one event loop runs both
            if telling.given_up.is_set() or not (undoing or telling.may_begin):
                raise StoppedError

        return At(
            runtime=self._parts.runtime,
            cluster=self._parts.cluster,
            drill=telling.run.ref,
            caller=caller_of(telling.run.started.caller),
            step=step.plan,
            log=lambda text: self._log(number, text),
            note=note,
            progress=lambda percent: telling.progress(number, percent),
            first_primary=telling.run.first_primary,
            put_right_by=_put_right_by(telling.run, number),
            drill_began_at=telling.run.started.at,
            markers_back=lambda: self._outage.wrote_since(telling.run.step(number).begun_at),
        )

    def _log(self, number: int, text: str) -> None:
        said, whole = self._logged[number], self._logged.total()
        if said >= MAX_STEP_LOG_LINES or whole >= MAX_LOG_LINES:
            return
        self._logged[number] += 1
        text = _clean(text.replace("\n", " "))[:MAX_LINE_CHARS]
        if said + 1 == MAX_STEP_LOG_LINES or whole + 1 == MAX_LOG_LINES:
            text = f"Step {number} says more, which is not kept here: its log ends with this line."
        self._telling.tell(lines.Logged(at=self._clock.now(), step=number, text=text))

    def _cut(self, output: str) -> str:
        limit = self._telling.run.started.keep_output_chars
        if len(output) <= limit:
            return _clean(output)
        return _clean(output[:limit]) + f"\n… {len(output) - limit:,} characters more, counted and not kept"

    async def _until(
        self, work: Coroutine[Any, Any, Outcome | None], limit_s: float, *, abortable: bool
    ) -> tuple[StepState, Outcome]:
        """What came of something, at the latest when its time is over or the drill is ended."""
        task = asyncio.create_task(work, name="recovery step")
        told = self._telling.abort_asked if abortable else self._telling.given_up
        asked = asyncio.create_task(told.wait(), name="abort of a recovery drill")
        try:
            await asyncio.wait({task, asked}, timeout=limit_s, return_when="FIRST_COMPLETED")
            if task.done():
                return _outcome(task)
            late = Outcome(passed=False, summary=f"It was not over within {limit_s:.0f} s.")
            state, outcome = (StepState.INTERRUPTED, _ABORTED) if asked.done() else (StepState.TIMED_OUT, late)
            task.cancel()
            await asyncio.wait({task}, timeout=CANCEL_S)
            if not task.done():
                log.critical("recovery_step_left_behind", drill=self._telling.run.ref)
                outcome = Outcome(passed=False, summary=f"{outcome.summary} It did not let go.")
            return state, outcome
        finally:
            task.cancel()
            asked.cancel()


def _touches_cluster(step: StepRun) -> bool:
    return isinstance(step.plan, ClusterStep) or step.plan.begins_outage


def _put_right_by(run: Run, number: int) -> int | None:
    """See `At`."""
    earlier = run.steps[: number - 1]
    began = (step for step in earlier if step.plan.begins_outage and step.ran and step.undone is None)
    return next((step.number for step in began if not isinstance(step.plan, ClusterStep)), None)


def _outcome(task: "asyncio.Task[Outcome | None]") -> tuple[StepState, Outcome]:
    try:
        outcome = task.result()
    except ClusterError as error:
        return StepState.FAILED, Outcome(passed=False, summary=str(error))
    except StoppedError:
        return StepState.INTERRUPTED, _STOPPED
    except asyncio.CancelledError:
        return StepState.FAILED, Outcome(passed=False, summary="It was cancelled from within.")
    # the boundary to the kinds of steps: whatever one raises, the drill has to roll back
    except Exception as error:
        log.exception("recovery_step_failed")
        return StepState.FAILED, Outcome(passed=False, summary=f"{type(error).__name__}: {error}"[:MAX_LINE_CHARS])
    if outcome is None:
        return StepState.INTERRUPTED, Outcome(passed=False, summary="Nothing says that it was finished.")
    return StepState.PASSED if outcome.passed else StepState.FAILED, outcome


def evidence_of(outcome: Outcome) -> str:
    """The hash of everything that a step printed and found."""
    whole = {
        "passed": outcome.passed,
        "summary": _clean(outcome.summary),
        "output": _clean(outcome.output),
        "facts": dict(outcome.facts),
    }
    return hashlib.sha256(orjson.dumps(whole, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _clean(text: str) -> str:
    """Text from outside as a database takes it."""
    return text.replace("\x00", "\N{REPLACEMENT CHARACTER}").encode(errors="replace").decode()
