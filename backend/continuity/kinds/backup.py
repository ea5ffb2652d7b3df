"""Backup steps: the newest backup of a row of the matrix is restored into a scratch server and compared."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from backend.context import Runtime
from backend.continuity.cluster.port import Cluster
from backend.continuity.kinds.base import At, Facts, Outcome, of_kind
from backend.policy.recovery import AnyStep, BackupStep
from contract.recovery import BackupCheck, BackupState

CheckRow = Callable[[Runtime, str], Awaitable[BackupCheck]]
"""Looks at a row of the matrix and restores its newest backup."""


@dataclass(frozen=True, slots=True)
class BackupKind:
    """See `Kind`."""

    check: CheckRow | None = None
    """None where nothing here can restore a backup."""

    def problems(self, runtime: Runtime, cluster: Cluster, step: AnyStep) -> list[str]:  # noqa: ARG002  the protocol's
        """Nothing that could restore it, or nowhere to look."""
        data = _own(step).data
        if self.check is None:
            return ["Nothing here restores backups."]
        if data not in {source.data for source in runtime.policy.recovery.backups}:
            return [f"watchfloor.recovery.backups does not say where the backups of {data} are."]
        return []

    async def describe(self, runtime: Runtime, cluster: Cluster, step: AnyStep) -> str:  # noqa: ARG002  the protocol's
        """Which backup."""
        return f"Restores the newest backup of {_own(step).data} into a scratch server and compares it."

    async def run(self, at: At) -> Outcome:
        """Look, restore, compare."""
        if self.check is None:
            return Outcome(passed=False, summary="Nothing here restores backups.")
        row = await self.check(at.runtime, _own(at.step).data)
        passed = row.state is BackupState.OK and row.restore_ok is True
        said = [text for text in (row.found, row.restore_found) if text]
        told = " ".join(said) or f"Nobody could say how the backup of {row.data} stands."
        facts = {"state": row.state.value, "source": row.source}
        return Outcome(passed=passed, summary=told, output="\n".join(said), facts=facts)

    async def undo(self, at: At, facts: Facts) -> Outcome:  # noqa: ARG002  the protocol's
        """The scratch server is gone with the check."""
        return Outcome(passed=True, summary="It only read.")

    async def look(self, at: At, facts: Facts) -> Outcome | None:  # noqa: ARG002  the protocol's
        """A check that nobody saw the end of is none: it may be made again."""
        return None


def _own(step: AnyStep) -> BackupStep:
    return of_kind(step, BackupStep)
