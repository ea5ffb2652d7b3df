"""Which kind of step is done by what. Holds no rule."""

from collections.abc import Mapping
from typing import Final

from backend.continuity.kinds.backup import BackupKind
from backend.continuity.kinds.base import Kind
from backend.continuity.kinds.canary import CanaryKind
from backend.continuity.kinds.cluster import ClusterKind
from backend.continuity.kinds.command import CommandKind
from backend.continuity.kinds.freeze_drill import FreezeDrillKind
from backend.continuity.kinds.http import HttpKind
from backend.continuity.kinds.ledger import LedgerKind
from backend.continuity.kinds.manual import ManualKind
from backend.continuity.kinds.sql import SqlKind
from contract.recovery import StepKind

KINDS: Final[Mapping[str, Kind]] = {
    StepKind.MANUAL: ManualKind(),
    StepKind.COMMAND: CommandKind(),
    StepKind.HTTP: HttpKind(),
    StepKind.SQL: SqlKind(),
    StepKind.CLUSTER: ClusterKind(),
    StepKind.LEDGER: LedgerKind(),
    StepKind.CANARY: CanaryKind(),
    StepKind.FREEZE_DRILL: FreezeDrillKind(),
    StepKind.BACKUP: BackupKind(),
}
"""By the word of the policy."""
