"""What a drill may ask of a cluster, whatever runs it. Holds no rule and no state."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from contract.recovery import Topology


class ClusterError(Exception):
    """The cluster refused, did not answer in time, or cannot do what was asked; the message is one plain sentence."""


@dataclass(frozen=True, slots=True)
class Killed:
    """A primary that was ended without warning."""

    node: str
    at: datetime
    """When the signal was sent, by the clock of the machine that sent it (UTC)."""
    pids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class OnlyThere:
    """What a node's log holds beyond the point at which another history began."""

    node: str
    since_lsn: str
    commits: int
    """Transactions that were committed on that node alone."""
    acknowledged_at_most: int
    """Of these, those that somebody may have been told of: none where commits waited for the standby all along."""


class Cluster(Protocol):
    """One cluster. Every call bounds its own wait, and may be repeated: what is so already is not done again."""

    @property
    def name(self) -> str:
        """What a person types before something destructive."""

    @property
    def provider(self) -> str:
        """patroni, pair or none."""

    async def topology(self) -> Topology:
        """Who is what, now. Never raises: what cannot be found out is said in `problem`."""

    async def kill_primary(self, *, before: datetime | None = None) -> Killed:
        """End the primary without warning and keep it down until it is asked to come back.

        `before`: whoever is asked must not begin later, however long the request was on its way or waited there.

        Raises:
            ClusterError: it cannot be done here, or there is no primary.
        """

    async def fail_over(self, to: str | None = None) -> str:
        """Make a standby the primary after the primary was lost; answers with its name once it takes writes.

        Raises:
            ClusterError: there is none that may be promoted, or it did not become one in time.
        """

    async def switch_over(self, to: str | None = None) -> str:
        """Have primary and standby change places without losing anything; answers with the new primary's name.

        Raises:
            ClusterError: no standby is in step, or it did not happen in time.
        """

    async def rejoin(self, node: str) -> None:
        """Bring a node back as a standby of the primary, rewinding what only it has, and wait until it follows.

        Raises:
            ClusterError: it cannot be rewound, or does not follow in time.
        """

    async def restart(self, node: str) -> None:
        """Start a node that was killed, as what it was: only while no other was promoted meanwhile.

        Raises:
            ClusterError: another node has become the primary, or it does not start.
        """

    async def only_there(self, node: str) -> OnlyThere | None:
        """What a lost primary had committed and the new one does not have; None where its log cannot be read."""
