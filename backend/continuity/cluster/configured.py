"""The cluster of the settings. Asks nobody."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final

from backend.clock import Clock
from backend.continuity.cluster.pair import pair_of
from backend.continuity.cluster.patroni_configured import patroni_of
from backend.continuity.cluster.port import Cluster, ClusterError, Killed, OnlyThere
from backend.errors import ConfigurationError
from backend.settings import Settings
from contract.recovery import Topology

ADAPTERS: Final[Mapping[str, Callable[[Settings, Clock], Cluster]]] = {"pair": pair_of, "patroni": patroni_of}
"""By the word before the colon of `WATCHFLOOR_CLUSTER`. Raises ConfigurationError for what it cannot read."""
NONE: Final = "none"


class NoCluster:
    """What stands in where no cluster is configured: says so, and does nothing."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now

    @property
    def name(self) -> str:
        """See `Cluster`."""
        return NONE

    @property
    def provider(self) -> str:
        """See `Cluster`."""
        return NONE

    async def topology(self) -> Topology:
        """See `Cluster`."""
        return Topology(cluster=NONE, provider=NONE, as_of=self._now(), problem=_PROBLEM)

    async def kill_primary(self, *, before: datetime | None = None) -> Killed:  # noqa: ARG002  the protocol's
        """See `Cluster`."""
        raise ClusterError(_PROBLEM)

    async def fail_over(self, to: str | None = None) -> str:  # noqa: ARG002  the protocol's
        """See `Cluster`."""
        raise ClusterError(_PROBLEM)

    async def switch_over(self, to: str | None = None) -> str:  # noqa: ARG002  the protocol's
        """See `Cluster`."""
        raise ClusterError(_PROBLEM)

    async def rejoin(self, node: str) -> None:  # noqa: ARG002  the protocol's
        """See `Cluster`."""
        raise ClusterError(_PROBLEM)

    async def restart(self, node: str) -> None:  # noqa: ARG002  the protocol's
        """See `Cluster`."""
        raise ClusterError(_PROBLEM)

    async def only_there(self, node: str) -> OnlyThere | None:  # noqa: ARG002  the protocol's
        """See `Cluster`."""
        return None


_PROBLEM: Final = "No cluster is configured (WATCHFLOOR_CLUSTER)."


def cluster_of(settings: Settings, clock: Clock) -> Cluster:
    """The cluster that drills of this backend are run on.

    Raises:
        ConfigurationError: the setting names no kind of cluster, or the adapter cannot read it.
    """
    if not settings.cluster:
        return NoCluster(clock.now)
    word, _, _ = settings.cluster.partition(":")
    adapter = ADAPTERS.get(word)
    if adapter is None:
        known = ", ".join(f"{name}:…" for name in sorted(ADAPTERS)) or "none that this version knows"
        raise ConfigurationError(f"WATCHFLOOR_CLUSTER is {settings.cluster[:100]!r}; it has to be {known}.")
    return adapter(settings, clock)
