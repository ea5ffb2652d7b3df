"""Recovery drills on a demo's pair that something happens to: an abort, or the end of the backend, in any step.

Every round writes rows meanwhile and says what is wrong afterwards. Must never signal a process of another demo.
"""

import os
import signal
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Final

from contract.recovery import ENDED, DrillState, RecoveryDrill, StepState
from tests.support.pair import Writer
from tests.support.processes import marked
from tests.support.recovery_at_demo import RecoveryDesk

STEPS: Final = 5
FIRST: Final = "a"
"""The node that is the primary before each drill, and after it."""
WRITE_EVERY_S: Final = 0.01
BACKEND: Final = "watchfloor.demo.backend"
USUAL_S: Final = (0.3, 1.0, 0.5, 1.0, 2.0)
"""How long each step takes where none has been seen yet."""
KILLS_AT_MOST: Final = 4
KILLS_WITHIN_S: Final = 65.0
"""A demo whose backend ends more often than this gives up."""
TRIES: Final = 3
_ENDED_WELL: Final = frozenset({DrillState.PASSED, DrillState.FAILED, DrillState.ABORTED, DrillState.UNRESOLVED})
_AT_WORK: Final = frozenset({StepState.WAITING, StepState.RUNNING})


@dataclass(frozen=True, slots=True)
class Round:
    """What came of one drill, and what of that is wrong."""

    what: str
    drill: RecoveryDrill
    wrong: tuple[str, ...] = ()

    def __str__(self) -> str:
        verdict = f"WRONG: {'; '.join(self.wrong)}" if self.wrong else "well"
        left = f" LEFT TO DO: {self.drill.left_to_do}" if self.drill.left_to_do else ""
        return f"{self.drill.ref}, {self.what}: {self.drill.state.value}, {verdict}: {self.drill.sentence}{left}"


@contextmanager
def writing(desk: RecoveryDesk) -> Iterator[Writer]:
    """Rows that are written all the time, and remembered once they were acknowledged."""
    with Writer(desk.database_url, 1, every_s=WRITE_EVERY_S) as writer:
        writer.until_rows(1)
        yield writer


def judged(
    desk: RecoveryDesk,
    writer: Writer,
    drill: RecoveryDrill,
    what: str,
    may_be: Collection[DrillState] = _ENDED_WELL,
) -> Round:
    """What is wrong after a drill; it may have ended in any way but an unknown one, unless told otherwise."""
    writer.stop()
    wrong = [*_wrong_by_itself(drill)]
    if drill.state not in may_be:
        wrong.append(f"it is {drill.state.value}")
    if not drill.left_to_do and not desk.is_whole(FIRST):
        wrong.append(f"the cluster is not as before: {desk.stands()}")
    if lost := len(writer.lost()):
        wrong.append(f"{lost} of {len(writer.acknowledged)} acknowledged rows are lost")
    return Round(what, drill, tuple(wrong))


def _wrong_by_itself(drill: RecoveryDrill) -> Iterator[str]:
    if (drill.state is DrillState.UNRESOLVED) != bool(drill.left_to_do):
        yield "what is left to do does not go with how it ended"
    if at_work := [step.number for step in drill.steps if step.state in _AT_WORK]:
        yield f"steps {at_work} have never ended"
    ran = [step.number for step in drill.steps if step.started_at is not None]
    undone = sorted((step for step in drill.steps if step.undone_at is not None), key=lambda step: str(step.undone_at))
    if (drill.state is DrillState.ABORTED or undone) and [step.number for step in undone] != ran[::-1]:
        yield f"steps {ran} ran, and were undone as {[step.number for step in undone]}"


@dataclass
class Mishaps:
    """One demo and what happens to its drills; the same seed has the same happen at the same moments."""

    desk: RecoveryDesk
    data_dir: Path
    seed: int = 1
    kills: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._random = Random(self.seed)  # noqa: S311  moments, not secrets

    def aborted_after(self, step: int) -> Round:
        """Let so many steps pass, then abort. After the last one the drill may be over first."""
        with writing(self.desk) as writer:
            drill = self.up_to(step + 1) if step < STEPS else self._begun(STEPS)
            if step == STEPS:
                self.desk.until(drill.ref, lambda one: one.steps[-1].state not in {StepState.PENDING, *_AT_WORK})
            in_time = self.desk.abort_if_it_runs(drill)
            what = f"aborted after step {step}" if in_time else f"over before the abort after step {step}"
            found = judged(self.desk, writer, self.desk.ended(drill.ref), what)
        return _must_be(found, DrillState.ABORTED if in_time else DrillState.PASSED)

    def aborted_within(self, step: int) -> Round:
        """Abort in the middle of a step."""
        with writing(self.desk) as writer:
            drill = self._begun(step)
            time.sleep(self._moment_s(step))
            in_time = self.desk.abort_if_it_runs(drill)
            what = f"aborted in step {step}" if in_time else f"over before the abort in step {step}"
            found = judged(self.desk, writer, self.desk.ended(drill.ref), what)
        return _must_be(found, DrillState.ABORTED if in_time else DrillState.PASSED)

    def killed_within(self, step: int) -> Round:
        """Kill the backend in the middle of a step; a moment that comes too late is tried again, earlier."""
        for attempt in range(TRIES):
            share = self._moment_s(step) / (1 << attempt)
            found, hit = self._killed_within(step, share if attempt < TRIES - 1 else 0.0)
            if hit or found.wrong:
                break
        return found

    def _killed_within(self, step: int, after_s: float) -> tuple[Round, bool]:
        with writing(self.desk) as writer:
            drill = self._begun(step)
            time.sleep(after_s)
            at = datetime.now(UTC)
            self.kill_backend()
            self.to_the_end(drill)
            ended = self.desk.ended(drill.ref)
            hit = _was_at_work(ended, step, at)
            what = f"backend killed {'in' if hit else 'beside'} step {step}"
            return judged(self.desk, writer, ended, what), hit

    def kill_backend(self) -> None:
        """Kill the demo's backend; the demo starts another one."""
        recent = [at for at in self.kills if time.monotonic() - at < KILLS_WITHIN_S]
        if len(recent) >= KILLS_AT_MOST:
            time.sleep(max(0.0, recent[-KILLS_AT_MOST] + KILLS_WITHIN_S - time.monotonic()))
        (line,) = [line for line in marked(str(self.data_dir)) if "demo.child" in line and BACKEND in line]
        os.kill(int(line.split()[0]), signal.SIGKILL)
        self.kills.append(time.monotonic())

    def up_to(self, step: int) -> RecoveryDrill:
        """A drill that waits for a step."""
        drill = self.desk.start(hands_off=False)
        for number in range(1, step):
            self.desk.step(self._waiting(drill, number), number)
        return self._waiting(drill, step)

    def _begun(self, step: int) -> RecoveryDrill:
        """A drill whose step has just been let run."""
        drill = self.up_to(step)
        self.desk.step(drill, step)
        self.desk.until(drill.ref, lambda one: one.steps[step - 1].started_at is not None)
        return drill

    def to_the_end(self, drill: RecoveryDrill) -> None:
        """Let the remaining steps run, if it goes on."""
        while True:
            now = self.desk.until(drill.ref, lambda one: one.state is DrillState.WAITING)
            if now.state in ENDED or now.step is None:
                return
            self.desk.step(now, now.step)
            self._until_taken(drill, now.step)

    def _until_taken(self, drill: RecoveryDrill, number: int) -> None:
        self.desk.until(drill.ref, lambda one: one.steps[number - 1].state is not StepState.WAITING)

    def _waiting(self, drill: RecoveryDrill, number: int) -> RecoveryDrill:
        return self.desk.until(drill.ref, lambda one: one.step == number and one.state is DrillState.WAITING)

    def _moment_s(self, step: int) -> float:
        return self._random.random() * USUAL_S[step - 1]


def _must_be(found: Round, state: DrillState) -> Round:
    if found.drill.state in {state, DrillState.UNRESOLVED}:
        return found
    return Round(found.what, found.drill, (*found.wrong, f"it is {found.drill.state.value}, not {state.value}"))


def _was_at_work(drill: RecoveryDrill, number: int, at: datetime) -> bool:
    step = drill.steps[number - 1]
    return step.started_at is not None and step.started_at <= at and (step.ended_at is None or step.ended_at >= at)
