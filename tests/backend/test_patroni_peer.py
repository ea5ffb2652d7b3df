"""The adapter of Patroni against a real cluster of two nodes: changes of the primary, nodes that hang and that die."""

import asyncio
import subprocess
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from backend.clock import SYSTEM_CLOCK
from backend.continuity.cluster.patroni import Patroni
from backend.continuity.cluster.patroni_configured import patroni_of
from backend.continuity.cluster.port import ClusterError
from backend.policy.load import load_policy
from backend.policy.recovery import AnyStep, CommandStep
from backend.settings import Settings
from contract.recovery import NodeRole, Topology
from tests.support.patroni import SCOPE, PatroniCluster, credentials, patroni_cluster

LIMIT_S = 90.0
"""Far above anything normal, so that a busy machine does not fail a test."""


def adapter(made: PatroniCluster, directory: Path) -> Patroni:
    settings = Settings(database_url=made.url(), cluster=made.setting, cluster_user_file=credentials(directory))
    return patroni_of(settings, SYSTEM_CLOCK)


def roles(topology: Topology) -> dict[str, NodeRole]:
    return {node.name: node.role for node in topology.nodes}


async def until(look: Callable[[], Awaitable[Topology]], wanted: Callable[[Topology], bool]) -> Topology:
    deadline = time.monotonic() + LIMIT_S
    while not wanted(found := await look()):
        assert time.monotonic() < deadline, found
        await asyncio.sleep(0.2)
    return found


@pytest.mark.long
async def test_primary_and_standby_change_places_in_order_and_a_node_that_hangs_is_not_believed(tmp_path: Path) -> None:
    with patroni_cluster() as made:
        cluster = adapter(made, tmp_path)
        first = await cluster.topology()
        assert (cluster.name, first.cluster, first.provider) == (SCOPE, SCOPE, "patroni")
        assert roles(first) == {"node-a": NodeRole.PRIMARY, "node-b": NodeRole.STANDBY}
        assert (first.problem, first.synchronous_mode, first.paused) == ("", True, False)
        standby = first.nodes[1]
        assert (standby.state, standby.synchronous, standby.timeline) == ("streaming", True, 1)
        assert standby.lag_bytes is not None
        assert "20 s" in " ".join(first.remarks)
        assert await cluster.switch_over("node-a") == "node-a"  # what is so already is not done again
        assert await cluster.history() == []

        assert await cluster.switch_over() == "node-b"
        await cluster.rejoin("node-a")
        after = await cluster.topology()
        assert roles(after) == {"node-a": NodeRole.STANDBY, "node-b": NodeRole.PRIMARY}
        assert after.problem == ""
        with pytest.raises(ClusterError, match="it can follow nobody"):
            await cluster.rejoin("node-b")
        with pytest.raises(ClusterError, match="by a step of kind command"):
            await cluster.kill_primary()

        made.named("node-a").stand_still()
        hanging = await cluster.topology()
        assert roles(hanging) == {"node-a": NodeRole.UNKNOWN, "node-b": NodeRole.PRIMARY}
        assert "node-a does not answer." in hanging.problem
        made.named("node-a").go_on()
        healed = await until(cluster.topology, lambda seen: not seen.problem)
        assert roles(healed) == roles(after)

        assert await cluster.switch_over("node-a") == "node-a"
        await cluster.rejoin("node-b")
        assert [change.to for change in await cluster.history()] == ["node-b", "node-a"]


def run(step: AnyStep) -> str:
    """Run a command step of a plan as it stands."""
    assert isinstance(step, CommandStep)
    said = subprocess.run(step.argv, env={}, capture_output=True, text=True, timeout=LIMIT_S, check=True).stdout
    assert step.output_contains in said
    return said


async def test_a_primary_that_a_plan_kills_is_not_called_primary_and_comes_back_as_a_standby(tmp_path: Path) -> None:
    with patroni_cluster() as made:
        cluster = adapter(made, tmp_path)
        await cluster.topology()
        plan = load_policy(str(made.plan(tmp_path))).recovery.plans[0]
        assert run(plan.steps[0]) == "node-a was killed\n"
        killed = await cluster.topology()
        assert roles(killed) == {"node-a": NodeRole.UNKNOWN, "node-b": NodeRole.STANDBY}
        assert killed.primary is None
        assert "node-a holds the leader's lock, which lives for 20 s" in killed.problem

        assert await cluster.fail_over() == "node-b"
        alone = await cluster.topology()
        assert alone.primary is not None
        assert "node-a does not answer." in alone.problem
        assert await cluster.fail_over("node-b") == "node-b"
        with pytest.raises(ClusterError, match="a switchover is what changes that"):
            await cluster.fail_over("node-a")
        with pytest.raises(ClusterError, match="node-b is the primary now"):
            await cluster.restart("node-a")

        assert run(plan.steps[4]) == "node-a was started\n"
        await cluster.rejoin("node-a")
        assert await cluster.switch_over("node-a") == "node-a"
        await cluster.rejoin("node-b")
        back = await cluster.topology()
        assert (roles(back), back.problem) == ({"node-a": NodeRole.PRIMARY, "node-b": NodeRole.STANDBY}, "")
