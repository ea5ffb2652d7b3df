"""Two real servers that are killed, promoted, rewound and brought back, under writers that know what they were told."""

import asyncio
import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from backend.continuity.cluster.port import ClusterError
from contract.recovery import NodeRole
from tests.support.pair import RunningPair, Writer, node_of, running_pair, stop_receiving
from tests.support.places import public_directory
from tests.support.processes import until, until_gone
from watchfloor.pair.state import ASYNCHRONOUS, NODES

ROUNDS = 3
AGENT_KILLS_S = (0.0, 0.03, 0.08, 0.2)
FULL_DISK_MB = 160

pytestmark = pytest.mark.e2e


async def test_kill_fail_over_rejoin_and_back_lose_nothing_that_was_acknowledged() -> None:
    with running_pair() as pair:
        topology = await pair.ready()
        with Writer(pair.url(topology)) as writer:
            for _ in range(ROUNDS):
                writer.until_rows(300)
                killed = await pair.cluster.kill_primary()
                assert killed.node == "a"
                assert len(killed.pids) > 3
                assert await pair.cluster.kill_primary() == killed, "what is so already is not done again"
                assert await pair.cluster.fail_over() == "b"
                assert await pair.cluster.fail_over() == "b"
                writer.until_rows(100)
                loss = await pair.cluster.only_there("a")
                assert loss is not None
                assert loss.acknowledged_at_most == 0
                await pair.cluster.rejoin("a")
                assert await pair.cluster.only_there("a") == loss, "kept, though the log was rewound"
                await pair.ready("b")
                writer.until_rows(100)
                assert await pair.cluster.switch_over() == "a"
                assert await pair.cluster.switch_over("a") == "a"
                await pair.ready("a")
            writer.until_rows(100)
            writer.stop()
            assert writer.lost() == set()


async def test_without_waiting_the_loss_is_counted_exactly() -> None:
    with running_pair(ASYNCHRONOUS) as pair:
        topology = await pair.ready()
        url = pair.url(topology)
        with psycopg.connect(url, autocommit=True) as admin:
            admin.execute("ALTER SYSTEM SET autovacuum = off")  # its commits are commits too
            admin.execute("SELECT pg_reload_conf()")
        with Writer(url) as writer:
            writer.until_rows(200)
            receiver = stop_receiving(pair, "b")
            writer.until_rows(500)
            writer.stop()
        await pair.cluster.kill_primary()
        os.kill(receiver, signal.SIGKILL)  # what lies in its socket is never read
        log = pair.directory / "postgres" / "data" / "pg_wal"
        for number in (0, 99):  # what a server was just making when it was killed
            (log / f"00000001{0:08X}{number:08X}").touch()
        assert await pair.cluster.fail_over("b") == "b"
        loss = await pair.cluster.only_there("a")
        assert loss is not None
        assert len(writer.lost()) >= 500
        assert loss.commits == loss.acknowledged_at_most == len(writer.lost())
        await pair.cluster.rejoin("a")
        assert await pair.cluster.only_there("a") == loss
        await pair.ready("b")


async def test_without_waiting_a_standby_that_lacks_too_much_does_not_become_primary() -> None:
    with running_pair(ASYNCHRONOUS) as pair:
        topology = await pair.ready()
        assert any("Commits wait for nobody" in remark for remark in topology.remarks)
        receiver = stop_receiving(pair, "b")
        with psycopg.connect(pair.url(topology), autocommit=True) as connection:
            connection.execute(
                "CREATE TABLE filling AS SELECT repeat(md5(n::text), 30) FROM generate_series(1, 40000) n"
            )
        deadline = time.monotonic() + 60
        while "MiB may be lost" not in (await pair.cluster.topology()).problem:
            assert time.monotonic() < deadline, "nobody says that it lacks too much"
            await asyncio.sleep(0.1)
        await pair.cluster.kill_primary()
        os.kill(receiver, signal.SIGKILL)
        with pytest.raises(ClusterError, match=r"MiB behind when the primary answered last .* start a again"):
            await pair.cluster.fail_over()
        await pair.cluster.restart("a")
        await pair.ready("a")
        with psycopg.connect(pair.url(topology), autocommit=True) as connection:
            assert connection.execute("SELECT count(*) FROM filling").fetchone() == (40000,)


async def test_a_standby_that_is_not_in_step_does_not_become_primary() -> None:
    with running_pair() as pair:
        topology = await pair.ready()
        with Writer(pair.url(topology)) as writer:
            writer.until_rows(100)
            receiver = stop_receiving(pair, "b")
            writer.until_rows(200)  # once commits go on without the standby
            seen = await pair.cluster.topology()
            assert not node_of(seen, "b").synchronous
            assert "commits do not wait for b" in seen.problem
            with pytest.raises(ClusterError, match="does not follow"):
                await pair.cluster.switch_over()
            await pair.cluster.kill_primary()
            with pytest.raises(ClusterError, match=r"b was not in step .* start a again"):
                await pair.cluster.fail_over()
            pair.kill_agent()
            os.kill(receiver, signal.SIGKILL)
            pair.start_agent()
            await pair.seen("a that stays down", a="killed", b="standby")
            with pytest.raises(ClusterError, match="not in step"):
                await pair.cluster.fail_over()
            await pair.cluster.restart("a")
            await pair.ready("a")
            writer.until_rows(50)
            writer.stop()
            assert writer.lost() == set()


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A pair's directory whose second server has a small disk of its own."""
    with public_directory() as directory:
        home = directory / "postgres-b"
        home.mkdir(mode=0o755)
        argv = ["mount", "-t", "tmpfs", "-o", f"size={FULL_DISK_MB}m,mode=755", "none", str(home)]
        if subprocess.run(argv, capture_output=True, check=False).returncode:
            pytest.skip("nothing may be mounted here")
        try:
            yield directory
        finally:
            until_gone(str(directory))
            subprocess.run(["umount", home], check=True)


async def test_a_full_disk_of_the_standby_is_said_and_it_does_not_become_primary(small_disk: Path) -> None:
    await _fill_the_standby(RunningPair(small_disk), small_disk / "postgres-b")


async def _fill_the_standby(pair: RunningPair, home: Path) -> None:
    try:
        topology = await pair.ready()
        with psycopg.connect(pair.url(topology), autocommit=True) as connection:
            connection.execute("CREATE TABLE filling (text text)")
            with (home / "filling").open("wb") as file, pytest.raises(OSError, match="No space"):
                file.write(bytes(FULL_DISK_MB << 20))
            for _ in range(40):
                connection.execute(
                    "INSERT INTO filling SELECT repeat(md5(n::text), 30) FROM generate_series(1, 1000) n"
                )
        deadline = time.monotonic() + 60
        while "the disk is full" not in (seen := await pair.cluster.topology()).problem:
            assert time.monotonic() < deadline, seen
            await asyncio.sleep(0.1)
        assert not node_of(seen, "b").synchronous
        await pair.cluster.kill_primary()
        with pytest.raises(ClusterError, match=r"not in step|no data"):
            await pair.cluster.fail_over()
        await pair.cluster.restart("a")
        (home / "filling").unlink()
        await pair.cluster.rejoin("b")
        await pair.ready("a")
    finally:
        pair.close()


@pytest.mark.parametrize(
    "after_s", [AGENT_KILLS_S[0], *(pytest.param(one, marks=pytest.mark.long) for one in AGENT_KILLS_S[1:])]
)
async def test_an_agent_killed_in_the_middle_of_a_failover_is_followed_by_one_that_knows(after_s: float) -> None:
    with running_pair() as pair:
        topology = await pair.ready()
        with Writer(pair.url(topology)) as writer:
            writer.until_rows(100)
            await pair.cluster.kill_primary()
            asking = asyncio.create_task(pair.cluster.fail_over())
            await asyncio.sleep(after_s)
            pair.kill_agent()
            with contextlib.suppress(ClusterError):
                await asking
            pair.start_agent()
            until(pair.socket.exists, "an agent")
            await pair.seen(
                "the standby, or what it has become", b="running" if await _is_primary(pair, "b") else "standby"
            )
            assert await pair.cluster.fail_over() == "b"
            await pair.cluster.rejoin("a")
            await pair.ready("b")
            writer.until_rows(50)
            writer.stop()
            assert writer.lost() == set()


async def _is_primary(pair: RunningPair, name: str) -> bool:
    deadline = time.monotonic() + 30
    while True:
        nodes = (await pair.cluster.topology()).nodes
        assert sum(node.role is NodeRole.PRIMARY for node in nodes) <= 1
        found = [node.role for node in nodes if node.name == name and node.role in (NodeRole.PRIMARY, NodeRole.STANDBY)]
        if found:
            return found[0] is NodeRole.PRIMARY
        assert time.monotonic() < deadline, nodes
        await asyncio.sleep(0.05)


@pytest.mark.parametrize("after_s", [0.05, pytest.param(0.3, marks=pytest.mark.long)])
async def test_an_agent_killed_while_it_brings_a_node_back_leaves_nothing_half_done(after_s: float) -> None:
    with running_pair() as pair:
        topology = await pair.ready()
        with Writer(pair.url(topology)) as writer:
            writer.until_rows(100)
            await pair.cluster.kill_primary()
            await pair.cluster.fail_over()
            asking = asyncio.create_task(pair.cluster.rejoin("a"))
            await asyncio.sleep(after_s)
            pair.kill_agent()
            with contextlib.suppress(ClusterError):
                await asking
            pair.start_agent()
            await pair.seen("b as it was", b="primary")
            await pair.cluster.rejoin("a")
            await pair.ready("b")
            writer.until_rows(50)
            writer.stop()
            assert writer.lost() == set()


async def test_a_server_that_ends_by_itself_is_started_again_and_no_other_becomes_primary() -> None:
    with running_pair() as pair:
        topology = await pair.ready()
        with Writer(pair.url(topology)) as writer:
            for node in NODES:
                writer.until_rows(50)
                os.kill(pair.pid(node), signal.SIGKILL)
                await asyncio.sleep(0.5)
                await pair.ready("a")
            writer.until_rows(50)
            writer.stop()
            assert writer.lost() == set()


async def test_acts_that_make_no_sense_are_refused_in_a_sentence() -> None:
    with running_pair() as pair:
        await pair.ready()
        for act, reason in (
            (pair.cluster.fail_over(), "the primary a is up: have them switch over instead"),
            (pair.cluster.rejoin("a"), "a is the primary"),
            (pair.cluster.rejoin("c"), "no node c"),
        ):
            with pytest.raises(ClusterError, match=reason):
                await act
        await pair.cluster.kill_primary()
        await pair.cluster.fail_over()
        with pytest.raises(ClusterError, match="b has become the primary meanwhile"):
            await pair.cluster.restart("a")
        assert await pair.cluster.only_there("b") is None


async def test_an_agent_that_is_gone_is_said() -> None:
    with public_directory() as directory:
        from backend.clock import SYSTEM_CLOCK
        from backend.continuity.cluster.pair import PairCluster

        cluster = PairCluster(directory / "nobody.sock", SYSTEM_CLOCK)
        assert "does not answer" in (await cluster.topology()).problem
        with pytest.raises(ClusterError, match="does not answer"):
            await cluster.kill_primary()
