"""Stand-ins for what recovery drills are run with: steps that do as a file says, a cluster in memory, no markers.

Run as a module it is a backend with these, `python -m tests.support.recovery DIRECTORY`: steps keep their state in the
directory, so that a process that was killed finds again what it has done.
"""

import asyncio
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

from backend.context import Runtime
from backend.continuity.cluster.port import Cluster, ClusterError, Killed, OnlyThere
from backend.continuity.kinds.base import At, Facts, Outcome
from backend.continuity.measuring import Lost, Marks, Measuring, Steady
from backend.continuity.stepping import Parts
from backend.policy.recovery import AnyStep, Plan
from contract.recovery import ClusterNode, NodeRole, Precondition, Topology
from tests.support.app import App

CLUSTER = "floor-pair"
POLL_S = 0.02
STUBBORN_S = 2.0
LONG_S = 60.0
"""A step that hangs hangs for longer than any test."""


def plan_of(*steps: dict[str, Any], name: str = "failover") -> Plan:
    """A plan under the name of the policy's, of steps that a test states in a few words."""
    whole = [
        {
            "name": f"step_{number}",
            "title": f"Step {number}",
            "kind": "command",
            "argv": ["true"],
            "passes_when": "it passes",
            "timeout_seconds": 30,
            **step,
        }
        for number, step in enumerate(steps, 1)
    ]
    return Plan.model_validate(
        {
            "name": name,
            "title": "A plan of the tests",
            "protects": "critical",
            "data": ["transaction_data"],
            "preconditions": ["cluster_reachable"],
            "steps": [_without_argv(step) for step in whole],
        }
    )


def _without_argv(step: dict[str, Any]) -> dict[str, Any]:
    return step if step["kind"] == "command" else {name: value for name, value in step.items() if name != "argv"}


def with_plans(runtime: Runtime, *plans: Plan) -> Runtime:
    """A runtime whose policy has these plans."""
    policy = runtime.policy
    rules = policy.recovery.model_copy(update={"plans": plans})
    operations = policy.watchfloor.model_copy(update={"recovery": rules})
    return replace(runtime, policy=policy.model_copy(update={"watchfloor": operations}))


async def _hold_on() -> None:
    """Do not let go for a while, however often one is asked to."""
    until = asyncio.get_running_loop().time() + STUBBORN_S
    while (left := until - asyncio.get_running_loop().time()) > 0:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(left)


async def file_there(path: Path, *, there: bool = True) -> None:
    """Wait until a file is there, or gone."""
    while path.exists() != there:  # noqa: ASYNC110, ASYNC240  another process makes it
        await asyncio.sleep(POLL_S)


@dataclass
class FakeKind:
    """Steps that do what a test says of them by name; everything that happens is written into a list or a file."""

    happened: list[str] = field(default_factory=list)
    does: dict[str, str] = field(default_factory=dict)
    """By the name of a step: fail, raise, hang, stubborn, note; nothing: it passes."""
    undoes: dict[str, str] = field(default_factory=dict)
    """By the name of a step: fail, raise, hang."""
    found: dict[str, bool] = field(default_factory=dict)
    """What looking after a crash says; nothing: that nobody knows."""
    directory: Path | None = None
    """Where a step waits for a file `go-NAME`, and everything is written down."""

    def problems(self, runtime: Runtime, cluster: Cluster, step: AnyStep) -> list[str]:
        return []

    async def describe(self, runtime: Runtime, cluster: Cluster, step: AnyStep) -> str:
        return f"Does {step.name}."

    def _happens(self, what: str) -> None:
        self.happened.append(what)
        if self.directory is not None:
            with (self.directory / "happened").open("a") as file:
                file.write(f"{what}\n")

    async def run(self, at: At) -> Outcome:
        name = at.step.name
        await at.note({"noted": name})
        self._happens(f"run {name}")
        at.log(f"{name} says something")
        match self.does.get(name, ""):
            case "fail":
                return Outcome(passed=False, summary="it came to nothing", output="much was said")
            case "raise":
                raise ClusterError("the cluster refused")
            case "hang":
                await asyncio.sleep(LONG_S)
            case "stubborn":
                await _hold_on()
            case "note":
                ago = (datetime.now(UTC) - timedelta(milliseconds=50)).isoformat()
                await at.note({"outage_began_at": ago})
            case _:
                await self._until_told(name)
        return Outcome(passed=True, summary=f"{name} was done", output=f"output of {name}", facts={"done": name})

    async def _until_told(self, name: str) -> None:
        if self.directory is not None:
            await file_there(self.directory / f"go-{name}")

    async def undo(self, at: At, facts: Facts) -> Outcome:
        name = at.step.name
        assert facts.get("noted") in {None, name}
        self._happens(f"undo {name}")
        if self.directory is not None:
            await file_there(self.directory / "hold-undo", there=False)
        match self.undoes.get(name, ""):
            case "fail":
                return Outcome(passed=False, summary="it stays as it is", left_to_do=("run the other thing",))
            case "raise":
                raise ClusterError("the cluster is gone")
            case "hang":
                await asyncio.sleep(LONG_S)
        return Outcome(passed=True, summary=f"{name} was undone")

    async def look(self, at: At, facts: Facts) -> Outcome | None:
        name = at.step.name
        self._happens(f"look {name}")
        found = self.found.get(name)
        return None if found is None else Outcome(passed=found, summary=f"{name} was found")


@dataclass
class FakeCluster:
    """Two nodes that are what a test says."""

    primary: str = "a"
    only: int | None = 0
    name: str = CLUSTER
    provider: str = "pair"

    async def topology(self) -> Topology:
        nodes = [
            ClusterNode(name=name, role=NodeRole.PRIMARY, state="running")
            if name == self.primary
            else ClusterNode(name=name, role=NodeRole.STANDBY, state="streaming", lag_bytes=0, synchronous=True)
            for name in ("a", "b")
        ]
        return Topology(
            cluster=self.name, provider=self.provider, synchronous_mode=True, nodes=nodes, as_of=datetime.now(UTC)
        )

    async def kill_primary(self, *, before: datetime | None = None) -> Killed:
        raise ClusterError("not here")

    async def fail_over(self, to: str | None = None) -> str:
        raise ClusterError("not here")

    async def switch_over(self, to: str | None = None) -> str:
        self.primary = to or ("b" if self.primary == "a" else "a")
        return self.primary

    async def rejoin(self, node: str) -> None:
        raise ClusterError("not here")

    async def restart(self, node: str) -> None:
        raise ClusterError("not here")

    async def only_there(self, node: str) -> OnlyThere | None:
        return None if self.only is None else OnlyThere(node, "0/0", self.only, self.only)


@dataclass
class FakeMarkers:
    """Markers that are acknowledged as a test says."""

    began: datetime | None = None
    acknowledged: int = 100
    back_after_ms: int | None = 120
    lost_markers: Lost | None = field(default_factory=lambda: Lost(0, 0))

    def start(self) -> None:
        """Nothing has to be begun."""

    def outage_began(self, at: datetime) -> None:
        self.began = at

    def marks(self) -> Marks:
        known = Marks(self.acknowledged, self.acknowledged, self.began)
        if self.began is None or self.back_after_ms is None:
            return known
        first = self.began + timedelta(milliseconds=self.back_after_ms)
        return (
            known if datetime.now(UTC) < first else replace(known, first_write_at=first, outage_ms=self.back_after_ms)
        )

    def wrote_since(self, at: datetime) -> bool:
        return self.back_after_ms is not None

    async def lost(self, marks: Marks) -> Lost | None:
        return self.lost_markers

    async def stop(self) -> None:
        """Nothing has to be ended."""


@dataclass
class Steadiness:
    """What is found of the preconditions; what is said of them after a drill may differ."""

    before: bool = True
    after: bool = True
    raises: bool = False
    hangs: bool = False

    async def look(self, steady: Steady) -> list[Precondition]:
        if self.hangs:
            await asyncio.sleep(LONG_S)
        if self.raises:
            raise OSError("nobody answers")
        ok = self.after if steady.before else self.before
        return [Precondition(name="cluster_reachable", title="The cluster answers", ok=ok, found="it was asked")]


@dataclass
class Stage:
    """Everything that a drill of a test is run with."""

    kind: FakeKind = field(default_factory=FakeKind)
    cluster: FakeCluster = field(default_factory=FakeCluster)
    markers: FakeMarkers = field(default_factory=FakeMarkers)
    steady: Steadiness = field(default_factory=Steadiness)

    def parts(self, runtime: Runtime) -> Parts:
        kinds = dict.fromkeys(("manual", "command", "http", "sql", "cluster", "ledger", "canary", "backup"), self.kind)

        def measure(_runtime: Runtime, _drill: str) -> Measuring:
            return self.markers

        return Parts(runtime, self.cluster, kinds, self.steady.look, measure)


def put_on(app: App, stage: Stage, plans: Sequence[Plan]) -> None:
    """Have an application run drills of these plans with these stand-ins."""
    runtime = with_plans(app.runtime, *plans)
    app.app.state.runtime = runtime
    app.app.state.recovery.parts = stage.parts(runtime)


PLAN_STEPS: tuple[dict[str, Any], ...] = (
    {"name": "first", "begins_outage": True},
    {"name": "second"},
    {"name": "third", "ends_outage": True},
)
"""What a backend process of the tests runs."""


def _main() -> int:
    from backend import main
    from backend.clock import Clock
    from backend.runtime import build_runtime
    from backend.settings import Settings
    from tests.support import backends

    directory = Path(sys.argv.pop())
    kind = FakeKind(directory=directory, found={"second": True} if (directory / "found").exists() else {})
    if (directory / "undo-fails").exists():
        kind.undoes["first"] = "fail"

    def runtime_of(settings: Settings, clock: Clock) -> Runtime:
        return with_plans(build_runtime(settings, clock), plan_of(*PLAN_STEPS))

    with patch.object(main, "build_runtime", runtime_of), patch.object(main, "parts_of", Stage(kind=kind).parts):
        return backends.main()


if __name__ == "__main__":
    sys.exit(_main())
