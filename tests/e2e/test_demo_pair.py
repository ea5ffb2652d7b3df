"""The demo on a pair: backend, executors and freezes ride through a failover, whoever is killed meanwhile."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import psycopg
import pyotp
import pytest

from backend.clock import SYSTEM_CLOCK
from backend.continuity.cluster.pair import PairCluster
from tests.support.demo import HeadlessDemo, environment, headless_demo
from tests.support.places import public_directory
from tests.support.processes import marked, until
from watchfloor.pair.state import SYNCHRONOUS

pytestmark = pytest.mark.e2e
FROZEN_CHAIN = "arbitrum"


@pytest.fixture
def data_dir() -> Iterator[Path]:
    with public_directory() as directory:
        yield directory / "data dir"


def cluster_of(demo: HeadlessDemo) -> PairCluster:
    return PairCluster(Path(demo.ready["cluster"].removeprefix("pair:")), SYSTEM_CLOCK)


def is_ready(demo: HeadlessDemo) -> bool:
    try:
        return httpx.get(f"{demo.url}/readyz", timeout=5).is_success
    except httpx.TransportError:
        return False


def in_step(demo: HeadlessDemo) -> bool:
    topology = asyncio.run(cluster_of(demo).topology())
    return topology.primary is not None and any(node.synchronous for node in topology.nodes)


def trading(demo: HeadlessDemo) -> set[str]:
    """Names of executors that hold a permit, elsewhere than on the frozen chain."""
    statement = "SELECT name FROM executors WHERE permit_until > now() AND chain <> %s"
    try:
        with psycopg.connect(demo.ready["database_url"], connect_timeout=2) as connection:
            return {row[0] for row in connection.execute(statement, (FROZEN_CHAIN,))}
    except psycopg.OperationalError:
        return set()


def freeze(demo: HeadlessDemo, data_dir: Path) -> None:
    """Freeze a chain as an officer does."""
    user = demo.ready["users"]["officer1"]
    beside = environment(data_dir, {"XDG_STATE_HOME": str(data_dir / "state"), "SSH_AUTH_SOCK": user["ssh_auth_sock"]})

    def run(*arguments: str, given: str = "") -> None:
        argv = [sys.executable, "-P", "-m", "watchfloor", *arguments, "--url", demo.url]
        done = subprocess.run(argv, env=beside, input=given, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, done.stderr

    code = pyotp.TOTP(user["totp_secret"]).now()
    run("login", "--user", "officer1", "--password-file", "-", "--totp", code, given=user["password"])
    run("freeze", "--scope", f"chain:{FROZEN_CHAIN}", "--reason", "test", "--wait", "acked")


def frozen_now(demo: HeadlessDemo) -> list[tuple[str, str]]:
    with psycopg.connect(demo.ready["database_url"]) as connection:
        found = connection.execute(
            "SELECT scope_kind, scope_name FROM freezes WHERE status <> 'thawed' ORDER BY number"
        )
        return found.fetchall()


def test_backend_executors_and_freezes_ride_through_a_failover_and_back(data_dir: Path) -> None:
    with headless_demo(data_dir, "--with-standby") as demo:
        cluster = cluster_of(demo)
        assert "target_session_attrs=read-write" in demo.ready["database_url"]
        until(lambda: bool(trading(demo)), "executors that trade")
        freeze(demo, data_dir)
        before, traded = frozen_now(demo), trading(demo)
        asyncio.run(cluster.kill_primary())
        until(lambda: not is_ready(demo), "a backend that says that it has no database")
        os.kill(_pid_of(data_dir, "watchfloor.demo.backend"), signal.SIGKILL)
        assert asyncio.run(cluster.fail_over()) == "b"
        until(lambda: is_ready(demo), "a backend that has found the new primary")
        until(lambda: traded <= trading(demo), "permits for whoever had one")
        assert frozen_now(demo) == before
        asyncio.run(cluster.rejoin("a"))
        assert asyncio.run(cluster.switch_over()) == "a"
        until(lambda: is_ready(demo), "a backend that has found the first one again")
        until(lambda: traded <= trading(demo), "permits again")
        assert frozen_now(demo) == before
        os.kill(_pid_of(data_dir, "pair"), signal.SIGKILL)
        until(lambda: not is_ready(demo), "both servers' end")
        until(lambda: is_ready(demo) and in_step(demo), "another agent, and both servers")
        os.kill(demo.process.pid, signal.SIGKILL)
        until(lambda: not marked(str(data_dir)), "the end of everything")


@pytest.mark.long
def test_a_demo_gets_a_standby_later_and_goes_on_without_one(data_dir: Path) -> None:
    with headless_demo(data_dir) as alone:
        rows = _transactions(alone)
    with headless_demo(data_dir, "--with-standby", "--replication", SYNCHRONOUS) as demo:
        assert in_step(demo)
        asyncio.run(cluster_of(demo).kill_primary())
        asyncio.run(cluster_of(demo).fail_over())
        until(lambda: is_ready(demo), "a backend on the second server")
        assert _transactions(demo) >= rows
        rows = _transactions(demo)
    with headless_demo(data_dir) as alone:
        assert _transactions(alone) >= rows, "the second server has the newer data"
        rows = _transactions(alone)
    with headless_demo(data_dir, "--with-standby") as demo:
        assert _transactions(demo) >= rows
        assert in_step(demo), "nobody is left to bring back what a failover left behind"
        asyncio.run(cluster_of(demo).kill_primary())
    with headless_demo(data_dir, "--with-standby") as demo:
        assert is_ready(demo), "nobody is left to bring back what a drill has killed"


def _transactions(demo: HeadlessDemo) -> int:
    with psycopg.connect(demo.ready["database_url"]) as connection:
        row = connection.execute("SELECT count(*) FROM mev_transactions").fetchone()
    assert row is not None
    return int(row[0])


def _pid_of(data_dir: Path, module: str) -> int:
    lines = [line for line in marked(str(data_dir)) if "demo.child" in line and f" {module} " in f"{line} "]
    assert len(lines) == 1, lines
    return int(lines[0].split()[0])
