"""What drills of this backend are run with: the cluster, the kinds of steps, the markers, what is looked at."""

from backend.context import Runtime
from backend.continuity.cluster.configured import cluster_of
from backend.continuity.kinds.registry import KINDS
from backend.continuity.markers import Markers
from backend.continuity.preconditions import looking
from backend.continuity.stepping import Parts


def parts_of(runtime: Runtime) -> Parts:
    """What drills of this backend are run with.

    Raises:
        ConfigurationError: the cluster is named wrongly.
    """
    return Parts(runtime, cluster_of(runtime.settings, runtime.clock), KINDS, looking(), Markers)
