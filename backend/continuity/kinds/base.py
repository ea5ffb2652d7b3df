"""What a kind of step is: check, describe, run, undo, and look after a crash. Must not know the run it is part of."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol, TypeVar

from backend.context import Caller, Runtime
from backend.continuity.cluster.port import Cluster
from backend.policy.recovery import AnyStep, Step


class StoppedError(Exception):
    """The drill is being ended: nothing that a step is about to do may be begun any more."""


S = TypeVar("S", bound=Step)
Facts = Mapping[str, Any]
"""What a kind wants to find again when it undoes or looks after a crash: values that have a JSON form, no floats.
`outage_began_at`, an instant in ISO format, says when the outage began more exactly than the beginning of its step."""


@dataclass(frozen=True, slots=True)
class At:
    """Where a step is run."""

    runtime: Runtime
    cluster: Cluster
    drill: str
    """The drill's ref."""
    caller: Caller
    """In whose name: whoever started the drill."""
    step: AnyStep
    log: Callable[[str], None]
    """Write a line into the drill's log pane."""
    note: Callable[[Facts], Awaitable[None]]
    """Keep facts before something is done, so that they outlive this process: on disk once it was awaited. Raises
    StoppedError where the drill is being ended; what comes right after it, without waiting in between, may be done."""
    progress: Callable[[int], None]
    """Per cent."""
    drill_began_at: datetime
    """When the drill was started."""
    first_primary: str | None
    """The node that was primary when the drill began."""
    put_right_by: int | None
    """The number of an earlier step, not of the cluster, which began the outage and is undone after this one: what it
    took away comes back only then. None where there is none."""
    markers_back: Callable[[], bool]
    """Whether a write has been acknowledged on a connection made since the outage began; after that has ended, since
    the step began."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of running, undoing or looking."""

    passed: bool
    summary: str
    """One sentence, with figures; of a failure: what is so, not only what is not."""
    output: str = ""
    facts: Facts = field(default_factory=dict)
    left_to_do: tuple[str, ...] = ()
    """What a person has to do now, each with its command; only of what failed."""


class Kind(Protocol):
    """One kind of step."""

    def problems(self, runtime: Runtime, cluster: Cluster, step: AnyStep) -> list[str]:
        """Why the step could never run here: a program is missing, a cluster cannot do it. Touches nothing."""

    async def describe(self, runtime: Runtime, cluster: Cluster, step: AnyStep) -> str:
        """Say in one sentence what it would do now, and on what. Touches nothing."""

    async def run(self, at: At) -> Outcome:
        """Do it. Is cancelled when its time is over; must then leave what `undo` can find."""

    async def undo(self, at: At, facts: Facts) -> Outcome:
        """Undo what ran, wholly or partly; `facts` are all that were noted. Safe to repeat."""

    async def look(self, at: At, facts: Facts) -> Outcome | None:
        """After a crash in the middle: what came of it, or None if nothing says that it was finished."""


def of_kind(step: AnyStep, kind: type[S]) -> S:
    """The step as what its own kind knows it as.

    Raises:
        TypeError: it is another kind's.
    """
    if not isinstance(step, kind):
        raise TypeError(f"{step.name} is a step of kind {step.kind}")
    return step
