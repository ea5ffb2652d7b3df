"""What drills of this backend are run with: the cluster, the kinds of steps, the markers, what is looked at."""

from backend.context import Runtime
from backend.continuity.cluster.configured import cluster_of
from backend.continuity.kinds.registry import KINDS
from backend.continuity.measuring import Lost, Marks, Measuring, Steady
from backend.continuity.stepping import Parts
from contract.recovery import Precondition


class NothingMeasured:
    """What stands in for the markers where there are none: it knows nothing, and says so."""

    def start(self) -> None:
        """See `Measuring`."""

    def outage_began(self, at: object) -> None:
        """See `Measuring`."""

    def marks(self) -> Marks:
        """See `Measuring`."""
        return Marks(0)

    def wrote_since(self, at: object) -> bool:  # noqa: ARG002  the protocol's
        """See `Measuring`."""
        return False

    async def lost(self, marks: Marks) -> Lost | None:  # noqa: ARG002  the protocol's
        """See `Measuring`."""
        return None

    async def stop(self) -> None:
        """See `Measuring`."""


async def _look(steady: Steady) -> list[Precondition]:
    seen = await steady.cluster.topology()
    primary = seen.primary
    found = seen.problem or ("no primary" if primary is None else f"{primary.name} is the primary")
    title = "The cluster answers and has a primary"
    return [
        Precondition(name="cluster_reachable", title=title, ok=not seen.problem and primary is not None, found=found)
    ]


def _measure(_runtime: Runtime, _drill: str) -> Measuring:
    return NothingMeasured()


def parts_of(runtime: Runtime) -> Parts:
    """What drills of this backend are run with.

    Raises:
        ConfigurationError: the cluster is named wrongly.
    """
    return Parts(runtime, cluster_of(runtime.settings, runtime.clock), KINDS, _look, _measure)
