"""What the lines of a drill's journal add up to. Pure: no clock, no I/O.

Must never forget what ran and was not undone, whatever line a crash has left as the last one.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import singledispatch
from typing import Any, Final

from backend.continuity import lines
from backend.continuity.lines import Line
from backend.policy.recovery import AnyStep
from contract.recovery import Precondition, StepState, Topology

MAX_LOG_LINES: Final = 400
"""What a screen shows of a log; the whole of it is in the journal and in the tables."""


@dataclass(frozen=True, slots=True)
class StepRun:
    """A step of a run."""

    number: int
    plan: AnyStep
    state: StepState = StepState.PENDING
    waits_for: str = ""
    allowed: bool = False
    by: str = ""
    begun_at: datetime | None = None
    percent: int | None = None
    """How far it is, as the process that runs it was told; no line says it."""
    ended: lines.Stepped | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    """All that was noted."""
    undo_begun: bool = False
    undone: lines.Undone | None = None

    @property
    def ran(self) -> bool:
        """Whether it has begun, so that something of it may have to be undone."""
        return self.begun_at is not None

    @property
    def at_work(self) -> bool:
        """Whether it has begun and nothing says how it ended."""
        return self.ran and self.ended is None


@dataclass(frozen=True, slots=True)
class Run:
    """A drill as its lines tell."""

    started: lines.Started
    steps: tuple[StepRun, ...]
    count: int = 1
    """How many lines."""
    backend: str = ""
    confirmed: bool = False
    before: tuple[Precondition, ...] | None = None
    looked_at: datetime | None = None
    """When the preconditions were found met last."""
    after: tuple[Precondition, ...] | None = None
    topology: Topology | None = None
    first_primary: str | None = None
    """The primary before anything was touched."""
    outage_began_at: datetime | None = None
    marks: lines.Marked | None = None
    counted: lines.Counted | None = None
    abort: lines.AbortAsked | None = None
    incident: str | None = None
    log: tuple[str, ...] = ()
    ended: lines.Ended | None = None
    last_at: datetime | None = None

    @property
    def ref(self) -> str:
        """The drill's."""
        return self.started.ref

    @property
    def failed(self) -> StepRun | None:
        """The first step that ended and did not pass."""
        return next((step for step in self.steps if step.ended and step.state is not StepState.PASSED), None)

    @property
    def turning_back(self) -> bool:
        """Whether what ran is to be undone, or has been."""
        return self.abort is not None or self.failed is not None

    @property
    def at_work(self) -> StepRun | None:
        """The step that has begun and not ended."""
        return next((step for step in self.steps if step.at_work), None)

    @property
    def next_step(self) -> StepRun | None:
        """The first step that has not ended."""
        return next((step for step in self.steps if step.ended is None), None)

    def step(self, number: int) -> StepRun:
        """A step by its number, from 1."""
        return self.steps[number - 1]

    @property
    def untouched(self) -> bool:
        """Whether nothing has run yet: what was found of the preconditions may be found anew."""
        return not any(step.ran for step in self.steps)

    @property
    def reached(self) -> bool:
        """Whether something of it that may have the database down has run and was not undone."""
        return any(
            step.ran
            and (step.undone is None or not step.undone.passed)
            and (step.plan.destructive or step.plan.begins_outage or step.plan.kind == "cluster")
            for step in self.steps
        )

    @property
    def with_outage(self) -> bool:
        """Whether the plan means to have an outage, so that there are objectives to meet."""
        return any(step.plan.begins_outage for step in self.steps)

    @property
    def outage_ends_with(self) -> StepRun | None:
        """The last step that the recovery time lasts until the end of."""
        return next((step for step in reversed(self.steps) if step.plan.ends_outage), None)


class NoRunError(ValueError):
    """The lines do not begin with the start of a drill."""


def fold(told: Iterable[Line]) -> Run:
    """Add lines up.

    Raises:
        NoRunError: the first of them starts no drill.
    """
    run: Run | None = None
    for line in told:
        run = begin(line) if run is None else add(run, line)
    if run is None:
        raise NoRunError("there is no line")
    return run


def begin(line: Line) -> Run:
    """What the first line says.

    Raises:
        NoRunError: it starts no drill.
    """
    if not isinstance(line, lines.Started):
        raise NoRunError("the first line starts no drill")
    steps = tuple(StepRun(number, step) for number, step in enumerate(line.plan.steps, 1))
    return Run(line, steps, backend=line.backend, last_at=line.at)


def add(run: Run, line: Line) -> Run:
    """A run with one more line. What comes after the end changes nothing of how it ended."""
    if run.ended is not None and not isinstance(line, lines.Declared):
        return replace(run, count=run.count + 1)
    return replace(_add(line, run), count=run.count + 1, last_at=line.at)


@singledispatch
def _add(_line: object, run: Run) -> Run:
    return run  # a second start, which nobody writes


@_add.register
def _(_line: lines.Confirmed, run: Run) -> Run:
    return replace(run, confirmed=True)


@_add.register
def _(line: lines.Resumed, run: Run) -> Run:
    # who let a step run did so before the other process ended: whoever is there now is asked again
    steps = tuple(step if step.ran else replace(step, allowed=False) for step in run.steps)
    anew = replace(_looked_at_anew(run), backend=line.backend, steps=steps)
    return _logged(anew, line.at, f"{line.backend} goes on with it")


@_add.register
def _(line: lines.Looked, run: Run) -> Run:
    checks = tuple(line.checks)
    seen = replace(run, topology=line.topology)
    if line.after:
        return replace(seen, after=checks)
    if not unmet(checks):
        seen = replace(seen, looked_at=line.at)
    if line.step is not None:
        return _logged(seen, line.at, f"looked at the preconditions again before step {line.step}")
    primary = line.topology.primary
    return replace(seen, before=checks, first_primary=None if primary is None else primary.name)


@_add.register
def _(line: lines.Saw, run: Run) -> Run:
    return replace(run, topology=line.topology)


@_add.register
def _(line: lines.Waited, run: Run) -> Run:
    return _with(run, line.step, state=StepState.WAITING, waits_for=line.waits_for)


@_add.register
def _(line: lines.Allowed, run: Run) -> Run:
    return _with(_looked_at_anew(run), line.step, allowed=True, by=line.by)


@_add.register
def _(line: lines.Begun, run: Run) -> Run:
    begun = _with(run, line.step, state=StepState.RUNNING, waits_for="", by=line.by, begun_at=line.at)
    return _logged(begun, line.at, f"step {line.step} begins: {run.step(line.step).plan.title}")


@_add.register
def _(line: lines.Noted, run: Run) -> Run:
    return _with(run, line.step, facts={**run.step(line.step).facts, **line.facts})


@_add.register
def _(line: lines.Logged, run: Run) -> Run:
    return _logged(run, line.at, line.text)


@_add.register
def _(line: lines.Stepped, run: Run) -> Run:
    facts = {**run.step(line.step).facts, **line.facts}
    by = run.step(line.step).by if line.caller is None else str(line.caller["subject"])
    ended = _with(run, line.step, state=line.state, waits_for="", ended=line, facts=facts, by=by)
    return _logged(ended, line.at, f"step {line.step} {line.state.value.replace('_', ' ')}: {line.summary}")


@_add.register
def _(line: lines.OutageBegan, run: Run) -> Run:
    return replace(run, outage_began_at=line.at)


@_add.register
def _(line: lines.Marked, run: Run) -> Run:
    return replace(run, marks=line)


@_add.register
def _(line: lines.Counted, run: Run) -> Run:
    return replace(run, counted=line)


@_add.register
def _(line: lines.AbortAsked, run: Run) -> Run:
    if run.abort is not None:  # whoever was first ended it
        return run
    return _logged(replace(run, abort=line), line.at, f"{line.by} ends the drill: {line.reason}")


@_add.register
def _(line: lines.UndoBegun, run: Run) -> Run:
    return _logged(_with(run, line.step, undo_begun=True), line.at, f"step {line.step} is undone")


@_add.register
def _(line: lines.Undone, run: Run) -> Run:
    said = "was undone" if line.passed else "could not be undone"
    return _logged(_with(run, line.step, undone=line), line.at, f"step {line.step} {said}: {line.summary}")


@_add.register
def _(line: lines.Declared, run: Run) -> Run:
    return replace(run, incident=line.incident)


@_add.register
def _(line: lines.Ended, run: Run) -> Run:
    return _logged(replace(run, ended=line), line.at, line.sentence)


def unmet(checks: Iterable[Precondition]) -> list[Precondition]:
    """What of them keeps a drill from going on."""
    return [check for check in checks if check.blocking and not check.ok]


def _looked_at_anew(run: Run) -> Run:
    """Before the first step the preconditions are looked at again: a person may have let hours pass since."""
    return replace(run, before=None) if run.untouched else run


def with_progress(run: Run, number: int, percent: int) -> Run:
    """A run of which a step has come so far."""
    return _with(run, number, percent=max(0, min(100, percent)))


def _with(run: Run, number: int, **changes: Any) -> Run:
    steps = [replace(step, **changes) if step.number == number else step for step in run.steps]
    return replace(run, steps=tuple(steps))


def _logged(run: Run, at: datetime, text: str) -> Run:
    said = f"{at:%H:%M:%S}.{at.microsecond // 1000:03d}Z {text}"
    return replace(run, log=(*run.log, said)[-MAX_LOG_LINES:])
