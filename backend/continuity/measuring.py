"""What the run of a drill asks of whoever measures it and looks at the steady state. Holds no rule and no state.

`backend.continuity.markers` writes and counts the marker rows, `backend.continuity.preconditions` looks.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from backend.context import Runtime
from backend.continuity.cluster.port import Cluster
from backend.policy.recovery import Plan
from contract.recovery import Precondition


@dataclass(frozen=True, slots=True)
class Marks:
    """How the markers of a drill stand in the memory of the process that writes them."""

    acknowledged: int
    """On connections that were made before the outage began, or so far while none has begun."""
    last_seq: int | None = None
    """The last of these."""
    last_at: datetime | None = None
    """When that one was written, by its own `written_at`."""
    first_write_at: datetime | None = None
    """The first write that was acknowledged after the outage began, by another server or by one that was started since:
    a primary that is just being killed may still answer, and even take new connections."""
    outage_ms: int | None = None
    """From the beginning of the outage to that write, by the monotonic clock."""
    why_not: str = ""
    """Why nothing can be measured of this outage; empty while something can."""


@dataclass(frozen=True, slots=True)
class Lost:
    """What the new primary does not have."""

    markers: int
    rpo_ms: int
    """From the last marker that survived to the last acknowledged one; 0 when none was lost."""


class Measuring(Protocol):
    """The markers of one drill. Finds the primary by itself, and never ends by itself."""

    def start(self) -> None:
        """Begin to write markers; an earlier process may have written some, whose numbers are not used again."""

    def outage_began(self, at: datetime) -> None:
        """From now on a write is one after the outage. Called again with another `at`, it only moves the instant."""

    def marks(self) -> Marks:
        """How they stand now; asks nobody."""

    def wrote_since(self, at: datetime) -> bool:
        """Whether a write has been acknowledged on a connection that was made after an instant."""

    async def lost(self, marks: Marks) -> Lost | None:
        """Count what was acknowledged before the outage and is not there; None if that cannot be said.

        `marks` may come from a process that has ended.
        """

    async def stop(self) -> None:
        """Write no more."""


Measure = Callable[[Runtime, str], Measuring]
"""Makes the markers of a drill, by its ref."""


@dataclass(frozen=True, slots=True)
class Steady:
    """What the steady state is looked at for."""

    runtime: Runtime
    cluster: Cluster
    plan: Plan
    first_primary: str | None = None
    """The primary when the drill began, once it has."""
    before: Sequence[Precondition] = ()
    """What was found before anything was touched; empty while that is what is looked at."""


Look = Callable[[Steady], Awaitable[list[Precondition]]]
"""Looks at what a plan names; never raises: what cannot be found out is not ok, and says why."""
