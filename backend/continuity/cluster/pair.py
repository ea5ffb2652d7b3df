"""A pair of servers on one machine (`watchfloor pair`) as a cluster: asks its agent over a Unix socket. Holds no state
but the name that it was told last.
"""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import httpx
from pydantic import ValidationError

from backend.clock import Clock
from backend.continuity.cluster.port import ClusterError, Killed, OnlyThere
from backend.errors import ConfigurationError
from backend.settings import Settings
from contract.recovery import Topology

PROVIDER: Final = "pair"
LOOK_S: Final = 6.0
"""Two servers are asked at once, and each is given up after two seconds."""
KILL_S: Final = 90.0
"""An act of the agent's waits a minute for another one to end."""
CHANGE_S: Final = 240.0
"""A promotion, or a shutdown in order and a promotion, each bounded by a minute at the agent."""
REJOIN_S: Final = 1800.0
"""Where a server cannot be rewound, all its data are copied."""
_NAME: Final = "pair"


class PairCluster:
    """See `backend.continuity.cluster.port.Cluster`."""

    def __init__(self, socket: Path, clock: Clock) -> None:
        self._socket = socket
        self._clock = clock
        self._name = _NAME

    @property
    def name(self) -> str:
        """What a person types before something destructive."""
        return self._name

    @property
    def provider(self) -> str:
        """Pair."""
        return PROVIDER

    async def topology(self) -> Topology:
        """Who is what, now. Never raises."""
        try:
            found = Topology.model_validate(await self._ask("GET", "topology", seconds=LOOK_S))
        except (ClusterError, ValidationError) as error:
            problem = (
                str(error) if isinstance(error, ClusterError) else "the pair's agent gave an answer of another kind"
            )
            return Topology(cluster=self._name, provider=PROVIDER, as_of=self._clock.now(), problem=problem)
        self._name = found.cluster
        return found

    async def kill_primary(self, *, before: datetime | None = None) -> Killed:
        """See the port."""
        said = await self._ask("POST", "kill-primary", seconds=KILL_S, before=before)
        return Killed(said["node"], datetime.fromisoformat(said["at"]), tuple(said["pids"]))

    async def fail_over(self, to: str | None = None) -> str:
        """See the port."""
        return str((await self._ask("POST", "fail-over", node=to, seconds=CHANGE_S))["primary"])

    async def switch_over(self, to: str | None = None) -> str:
        """See the port."""
        return str((await self._ask("POST", "switch-over", node=to, seconds=CHANGE_S))["primary"])

    async def rejoin(self, node: str) -> None:
        """See the port."""
        await self._ask("POST", "rejoin", node=node, seconds=REJOIN_S)

    async def restart(self, node: str) -> None:
        """See the port."""
        await self._ask("POST", "restart", node=node, seconds=CHANGE_S)

    async def only_there(self, node: str) -> OnlyThere | None:
        """See the port."""
        said = await self._ask("GET", "only-there", node=node, seconds=CHANGE_S)
        return None if said is None else OnlyThere(node=node, **said)

    async def _ask(
        self, method: str, word: str, *, seconds: float, node: str | None = None, before: datetime | None = None
    ) -> Any:
        transport = httpx.AsyncHTTPTransport(uds=str(self._socket))
        params = {} if node is None else {"node": node}
        if method == "POST":  # agent and backend are on one machine: one clock
            limit = self._clock.now() + timedelta(seconds=seconds)
            params["before"] = min(limit, before or limit).isoformat()
        try:
            async with httpx.AsyncClient(transport=transport, timeout=seconds, trust_env=False) as client:
                answer = await client.request(method, f"http://pair/{word}", params=params)
            said = answer.json()
        except httpx.TimeoutException as error:
            raise ClusterError(f"the pair's agent did not answer within {seconds:.0f} s") from error
        except (httpx.HTTPError, ValueError) as error:
            raise ClusterError(f"the pair's agent at {self._socket} does not answer: is it running?") from error
        if answer.status_code != httpx.codes.OK:
            raise ClusterError(str(said.get("message", "the pair's agent refused without a reason")))
        return said


def pair_of(settings: Settings, clock: Clock) -> PairCluster:
    """The pair whose agent listens where the settings say after `pair:`.

    Raises:
        ConfigurationError: no socket is named.
    """
    path = settings.cluster.removeprefix(f"{PROVIDER}:")
    if not path:
        raise ConfigurationError("WATCHFLOOR_CLUSTER names no socket after `pair:`.")
    return PairCluster(Path(path), clock)
