"""Steps of recovery plans run by themselves: no journal, no engine; and a cluster in memory that obeys."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pydantic import TypeAdapter

from backend.context import Caller, Runtime
from backend.continuity.cluster.port import Cluster, ClusterError, Killed, OnlyThere
from backend.continuity.kinds.base import At
from backend.policy.recovery import AnyStep
from contract.recovery import ClusterNode, NodeRole, Topology
from tests.support.holds import person

DRILL = "DR-TEST-20261123"
_STEP: TypeAdapter[AnyStep] = TypeAdapter(AnyStep)


def step_of(kind: str, **values: Any) -> AnyStep:
    """A step, with what every one needs."""
    usual = {"name": "the_step", "title": "A step", "passes_when": "it passes", "timeout_seconds": 30, "kind": kind}
    return _STEP.validate_python(usual | values)


@dataclass
class Stand:
    """Where a step of a test is run, and what it said."""

    runtime: Runtime
    cluster: Cluster
    logged: list[str] = field(default_factory=list)
    noted: dict[str, Any] = field(default_factory=dict)
    percent: list[int] = field(default_factory=list)
    first_primary: str | None = "a"
    began_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    back: bool = True
    put_right_by: int | None = None

    def at(self, step: AnyStep, caller: Caller | None = None) -> At:
        """For one step."""

        async def note(facts: Mapping[str, Any]) -> None:
            self.noted.update(facts)

        return At(
            runtime=self.runtime,
            cluster=self.cluster,
            drill=DRILL,
            caller=caller or person("adam"),
            step=step,
            log=self.logged.append,
            note=note,
            progress=self.percent.append,
            drill_began_at=self.began_at,
            first_primary=self.first_primary,
            put_right_by=self.put_right_by,
            markers_back=lambda: self.back,
        )


class Gone(Exception):  # noqa: N818  whoever asked is, not what was asked
    """Whoever asked for something never heard of its end."""


@dataclass
class MemoryCluster:
    """Two nodes that do as they are told; what happened is written down."""

    primary: str | None = "a"
    stopped: set[str] = field(default_factory=set)
    did: list[str] = field(default_factory=list)
    refuses: set[str] = field(default_factory=set)
    dies_after: str = ""
    """An act after which whoever asked for it never hears of it."""
    name: str = "floor"
    provider: str = "pair"
    synchronous: bool = True
    lag: int | None = 0
    problem: str = ""
    leads: str = ""
    """Who is the primary by the record, also while it is down."""
    under_way: list[str] = field(default_factory=list)
    """What is being done, a look each."""
    deadline: datetime | None = None
    """Until when the last kill might have begun."""

    async def topology(self) -> Topology:
        nodes = [ClusterNode(name=one, role=self._role(one), state="streaming", lag_bytes=self.lag) for one in "ab"]
        nodes = [
            node.model_copy(update={"synchronous": self.synchronous})
            if node.role is NodeRole.STANDBY and self.primary
            else node.model_copy(update={"state": ""})
            for node in nodes
        ]
        return Topology(
            cluster=self.name, provider=self.provider, synchronous_mode=self.synchronous, nodes=nodes,
            as_of=datetime.now(UTC), problem=self.problem, leads=self.leads,
            under_way=self.under_way.pop(0) if self.under_way else "",
        )  # fmt: skip

    def _role(self, node: str) -> NodeRole:
        if node in self.stopped:
            return NodeRole.STOPPED
        return NodeRole.PRIMARY if node == self.primary else NodeRole.STANDBY

    def _does(self, act: str) -> None:
        self.did.append(act)
        if act.partition(" ")[0] in self.refuses:
            raise ClusterError(f"{act} is refused.")

    def _heard(self, act: str) -> None:
        if self.dies_after == act:
            raise Gone

    async def kill_primary(self, *, before: datetime | None = None) -> Killed:
        self.deadline = before
        self._does("kill_primary")
        assert self.primary is not None
        node, self.primary = self.primary, None
        self.stopped.add(node)
        self._heard("kill_primary")
        return Killed(node, datetime.now(UTC), (1, 2))

    async def fail_over(self, to: str | None = None) -> str:
        self._does("fail_over")
        self.primary = self.primary or "b"
        self._heard("fail_over")
        return self.primary

    async def switch_over(self, to: str | None = None) -> str:
        self._does(f"switch_over {to or ''}".strip())
        if self.stopped:
            raise ClusterError("No standby is in step.")
        self.primary = to or ("b" if self.primary == "a" else "a")
        self._heard("switch_over")
        return self.primary

    async def rejoin(self, node: str) -> None:
        self._does(f"rejoin {node}")
        self.stopped.discard(node)
        self._heard("rejoin")

    async def restart(self, node: str) -> None:
        self._does(f"restart {node}")
        if self.primary is not None:
            raise ClusterError(f"{self.primary} has become the primary.")
        self.stopped.discard(node)
        if self.leads in {"", node}:
            self.primary = node

    async def only_there(self, node: str) -> OnlyThere | None:
        return None
