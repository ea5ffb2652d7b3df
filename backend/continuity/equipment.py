"""What drills of this backend are run with: the cluster, the kinds of steps, the markers, what is looked at."""

from functools import partial

from backend.context import Runtime
from backend.continuity.backups import check_row, fresh_matrix
from backend.continuity.cluster.configured import cluster_of
from backend.continuity.kinds.backup import BackupKind
from backend.continuity.kinds.registry import KINDS
from backend.continuity.markers import Markers
from backend.continuity.measuring import Steady
from backend.continuity.preconditions import looking
from backend.continuity.stepping import Parts
from contract.recovery import BackupMatrix, StepKind


def parts_of(runtime: Runtime) -> Parts:
    """What drills of this backend are run with.

    Raises:
        ConfigurationError: the cluster is named wrongly.
    """
    kinds = {**KINDS, StepKind.BACKUP: BackupKind(partial(check_row, restore=True))}
    return Parts(runtime, cluster_of(runtime.settings, runtime.clock), kinds, looking(_matrix), Markers)


async def _matrix(steady: Steady) -> BackupMatrix:
    return await fresh_matrix(steady.runtime)
