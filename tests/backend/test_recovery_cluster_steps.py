"""Steps that change a cluster by themselves, on a real database and a cluster in memory that obeys."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from backend.continuity.kinds import putting_right
from backend.continuity.kinds.registry import KINDS
from backend.runtime import build_runtime
from backend.settings import Settings
from contract.recovery import ClusterAction
from tests.support.recovery_steps import Gone, MemoryCluster, Stand, step_of

KILL, FAIL, SWITCH, BACK = (
    step_of("cluster", action=action, destructive=True)
    for action in (
        ClusterAction.KILL_PRIMARY,
        ClusterAction.FAIL_OVER,
        ClusterAction.SWITCH_OVER,
        ClusterAction.FAIL_BACK,
    )
)


@pytest.fixture
def stand(database_url: str, tmp_path: Path) -> Stand:
    return Stand(build_runtime(Settings(database_url=database_url, data_dir=tmp_path)), MemoryCluster())


async def test_a_kill_is_asked_for_until_its_step_is_over(stand: Stand) -> None:
    began = stand.runtime.clock.now()
    await KINDS["cluster"].run(stand.at(KILL))
    assert isinstance(stand.cluster, MemoryCluster)
    assert stand.cluster.deadline is not None
    assert timedelta(seconds=29) < stand.cluster.deadline - began < timedelta(seconds=45)


async def test_the_whole_way_there_and_back(stand: Stand) -> None:
    assert isinstance(stand.cluster, MemoryCluster)
    kind = KINDS["cluster"]
    killed = await kind.run(stand.at(KILL))
    assert (killed.passed, killed.summary) == (True, "a is gone: 2 processes ended without warning.")
    assert {"primary_before", "killed", "outage_began_at"} <= set(stand.noted)
    assert (await kind.run(stand.at(FAIL))).summary.startswith("b is the primary in place of a; a write was taken")
    back = await kind.run(stand.at(BACK))
    assert back.summary.startswith("a is the primary again and all others follow it; a write was taken")
    assert stand.cluster.did == ["kill_primary", "fail_over", "rejoin a", "switch_over a"]


async def test_what_is_promised_waits_for_a_write(stand: Stand) -> None:
    stand.back = False
    running = asyncio.create_task(KINDS["cluster"].run(stand.at(SWITCH)))
    await asyncio.sleep(0.6)
    assert not running.done()
    assert "No marker is acknowledged yet." in stand.logged
    stand.back = True
    assert (await running).passed


async def test_a_killed_primary_is_started_again_and_one_that_was_replaced_rejoins(stand: Stand) -> None:
    cluster, kind = stand.cluster, KINDS["cluster"]
    assert isinstance(cluster, MemoryCluster)
    await kind.run(stand.at(KILL))
    assert (await kind.undo(stand.at(KILL), stand.noted)).passed
    assert (cluster.did[-1], cluster.primary) == ("restart a", "a")
    stand.noted.clear()
    await kind.run(stand.at(KILL))
    killed = dict(stand.noted)
    await kind.run(stand.at(FAIL))
    assert (await kind.undo(stand.at(FAIL), stand.noted)).passed
    assert cluster.did[-2:] == ["rejoin a", "switch_over a"]
    did = len(cluster.did)
    assert (await kind.undo(stand.at(KILL), killed)).passed  # safe to repeat: there is nothing left
    assert len(cluster.did) == did
    assert (await kind.undo(stand.at(KILL), {})).summary == "Nothing had been done to the cluster."


async def test_what_cannot_be_undone_says_what_is_left_to_do(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(putting_right, "BACK_LIMIT_S", 1.0)
    cluster, kind = stand.cluster, KINDS["cluster"]
    assert isinstance(cluster, MemoryCluster)
    await kind.run(stand.at(KILL))
    cluster.refuses = {"restart"}
    outcome = await kind.undo(stand.at(KILL), stand.noted)
    assert (outcome.passed, outcome.summary) == (False, "restart a is refused.")
    assert "restart?node=a" in outcome.left_to_do[0]
    await kind.run(stand.at(FAIL))
    cluster.refuses, cluster.provider = {"rejoin"}, "patroni"
    outcome = await kind.undo(stand.at(FAIL), stand.noted)
    assert outcome.summary == "Fail over could not be undone: rejoin a is refused."
    assert any("patronictl switchover floor --candidate a" in one for one in outcome.left_to_do)


async def test_what_an_earlier_step_took_away_comes_back_with_that_one(stand: Stand) -> None:
    cluster = stand.cluster
    assert isinstance(cluster, MemoryCluster)
    await KINDS["cluster"].run(stand.at(KILL))
    await KINDS["cluster"].run(stand.at(FAIL))
    did = len(cluster.did)
    stand.put_right_by = 1
    outcome = await KINDS["cluster"].undo(stand.at(FAIL), stand.noted)
    assert (outcome.passed, outcome.summary) == (True, "a is out until step 1 is undone, which goes on.")
    assert len(cluster.did) == did
    cluster.stopped.clear()
    assert (await KINDS["cluster"].undo(stand.at(FAIL), stand.noted)).passed
    assert cluster.did[did:] == ["switch_over a"]


async def test_of_two_that_are_down_the_one_that_led_last_is_started_first(stand: Stand) -> None:
    cluster = stand.cluster
    assert isinstance(cluster, MemoryCluster)
    await KINDS["cluster"].run(stand.at(KILL))
    await KINDS["cluster"].run(stand.at(FAIL))
    cluster.primary, cluster.leads = None, "b"
    cluster.stopped.add("b")
    did = len(cluster.did)
    cluster.refuses = {"restart"}
    outcome = await KINDS["cluster"].undo(stand.at(FAIL), stand.noted)
    assert [one.partition("http://pair/")[2].rstrip("'") for one in outcome.left_to_do] == [
        "restart?node=b",
        "rejoin?node=a",
        "switch-over?node=a",
    ]
    cluster.refuses.clear()
    assert (await KINDS["cluster"].undo(stand.at(FAIL), stand.noted)).passed
    assert cluster.did[did:] == ["restart b", "restart b", "rejoin a", "switch_over a"]


async def test_a_standby_that_does_not_come_back_is_the_one_that_is_named(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(putting_right, "SETTLE_S", 0.3)
    cluster = stand.cluster
    assert isinstance(cluster, MemoryCluster)
    cluster.stopped, cluster.refuses = {"b"}, {"rejoin"}
    outcome = await KINDS["cluster"].undo(stand.at(SWITCH), {"primary_before": "a"})
    assert not outcome.passed
    assert ["rejoin?node=b" in one for one in outcome.left_to_do] == [True]
    cluster.provider = "patroni"
    outcome = await KINDS["cluster"].undo(stand.at(SWITCH), {"primary_before": "a"})
    assert outcome.left_to_do == (
        "See who leads and who follows: patronictl list floor",
        "Start Patroni on b; if it cannot follow: patronictl reinit floor b",
    )


async def test_a_primary_that_is_started_again_alone_is_not_as_it_was(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(putting_right, "SETTLE_S", 0.3)
    cluster = stand.cluster
    assert isinstance(cluster, MemoryCluster)
    await KINDS["cluster"].run(stand.at(KILL))
    cluster.stopped.add("b")
    cluster.refuses = {"rejoin"}
    outcome = await KINDS["cluster"].undo(stand.at(KILL), stand.noted)
    assert (outcome.passed, cluster.primary) == (False, "a")
    assert "rejoin?node=b" in outcome.left_to_do[0]
    cluster.refuses.clear()
    assert (await KINDS["cluster"].undo(stand.at(KILL), stand.noted)).passed
    assert cluster.stopped == set()


async def test_nothing_is_undone_while_the_cluster_is_still_at_what_was_asked(stand: Stand) -> None:
    cluster = stand.cluster
    assert isinstance(cluster, MemoryCluster)
    cluster.under_way = ["switching over"] * 3
    assert (await KINDS["cluster"].undo(stand.at(SWITCH), {"primary_before": "a"})).passed
    assert cluster.under_way == []
    assert stand.logged[0] == "Waits until the cluster is done with switching over."


@pytest.mark.parametrize("step", [KILL, FAIL, SWITCH])
async def test_after_a_crash_the_cluster_tells_what_was_done(stand: Stand, step: Any) -> None:
    cluster, kind = stand.cluster, KINDS["cluster"]
    assert isinstance(cluster, MemoryCluster)
    assert await kind.look(stand.at(step), {}) is None
    assert await kind.look(stand.at(step), {"primary_before": "a"}) is None  # noted, and never done
    if step is FAIL:
        await kind.run(stand.at(KILL))
        stand.noted.clear()
    cluster.dies_after = step.action.value
    with pytest.raises(Gone):
        await kind.run(stand.at(step))
    cluster.dies_after = ""
    found = await kind.look(stand.at(step), stand.noted)
    assert found is not None
    assert found.passed
    assert (await kind.undo(stand.at(step), stand.noted)).passed
    assert cluster.primary == "a"
    assert not cluster.stopped


async def test_a_cluster_that_is_none_or_cannot_is_told_beforehand(stand: Stand) -> None:
    kind = KINDS["cluster"]
    assert kind.problems(stand.runtime, MemoryCluster(provider="none"), FAIL) == [
        "No cluster is configured: set WATCHFLOOR_CLUSTER."
    ]
    [told] = kind.problems(stand.runtime, MemoryCluster(provider="patroni"), KILL)
    assert "command step" in told
    assert kind.problems(stand.runtime, MemoryCluster(provider="patroni"), FAIL) == []
    assert await kind.describe(stand.runtime, stand.cluster, KILL) == (
        "Ends the primary a of floor without warning, as a crash would."
    )
