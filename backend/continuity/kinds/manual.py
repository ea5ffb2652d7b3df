"""Manual steps: a person does them. The run waits for what they write down; here is what can be said before."""

from backend.context import Runtime
from backend.continuity.cluster.port import Cluster
from backend.continuity.kinds.base import At, Facts, Outcome, of_kind
from backend.policy.recovery import AnyStep, ManualStep


class ManualKind:
    """See `Kind`."""

    def problems(self, runtime: Runtime, cluster: Cluster, step: AnyStep) -> list[str]:  # noqa: ARG002  the protocol's
        """None: whether somebody is there nobody knows before."""
        return []

    async def describe(self, runtime: Runtime, cluster: Cluster, step: AnyStep) -> str:  # noqa: ARG002  the protocol's
        """What the person is told."""
        return f"Waits for a person, who is told: {_own(step).instructions}"

    async def run(self, at: At) -> Outcome:
        """Never passes by itself: only what a person writes down ends it."""
        return Outcome(passed=False, summary=f"Nobody has said what came of: {_own(at.step).instructions}")

    async def undo(self, at: At, facts: Facts) -> Outcome:  # noqa: ARG002  the protocol's
        """What a person did only a person can undo."""
        rollback = _own(at.step).rollback
        if not rollback:
            return Outcome(passed=True, summary="Nothing has to be undone.")
        return Outcome(passed=False, summary="A person has to undo it.", left_to_do=(rollback,))

    async def look(self, at: At, facts: Facts) -> Outcome | None:  # noqa: ARG002  the protocol's
        """Nothing here knows what a person did."""
        return None


def _own(step: AnyStep) -> ManualStep:
    return of_kind(step, ManualStep)
