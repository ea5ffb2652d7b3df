"""A pair of servers and its agent for tests, and a writer that knows what it was told. Leaves no process behind."""

import asyncio
import contextlib
import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import psycopg

from backend.clock import SYSTEM_CLOCK
from backend.continuity.cluster.pair import PairCluster
from contract.recovery import ClusterNode, Topology
from tests.support.places import public_directory
from tests.support.processes import PATIENCE_SECONDS, until_gone
from watchfloor.pair.state import NODES, SYNCHRONOUS

ROOT = Path(__file__).resolve().parents[2]
POLL_SECONDS = 0.05
CREATE = b"CREATE TABLE IF NOT EXISTS written (id bigint PRIMARY KEY)"


class RunningPair:
    """One data directory and, most of the time, an agent."""

    def __init__(self, directory: Path, replication: str = SYNCHRONOUS) -> None:
        self.directory = directory
        self.socket = directory / "pair.sock"
        self.cluster = PairCluster(self.socket, SYSTEM_CLOCK)
        self._replication = replication
        self._log = (directory / "agent.log").open("ab")
        self.process = self._spawn()

    def _spawn(self) -> subprocess.Popen[bytes]:
        argv = ["pair", "serve", "--data-dir", str(self.directory), "--socket", str(self.socket)]
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "watchfloor", *argv, "--replication", self._replication], cwd="/",
            env={**os.environ, "PYTHONPATH": str(ROOT)}, stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log,
        )  # fmt: skip

    def kill_agent(self) -> None:
        """End the agent without warning; both servers end with it."""
        self.process.kill()
        self.process.wait()

    def start_agent(self) -> None:
        """Start another agent on the same data."""
        self.process = self._spawn()

    def close(self) -> None:
        """Stop in order, and wait until nothing is left."""
        self.process.terminate()
        try:
            self.process.wait(PATIENCE_SECONDS)
        finally:
            self.kill_agent()
            self._log.close()
        until_gone(str(self.directory))

    async def seen(self, what: str, **expected: str) -> Topology:
        """The topology once each node's role or state is as `a="primary"`, `b="streaming"` say."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            topology = await self.cluster.topology()
            nodes = {node.name: node for node in topology.nodes}
            if all(name in nodes and word in (nodes[name].role, nodes[name].state) for name, word in expected.items()):
                return topology
            assert self.process.poll() is None, (self.directory / "agent.log").read_text()
            assert time.monotonic() < deadline, f"never happened: {what}: {topology}"
            await asyncio.sleep(POLL_SECONDS)

    async def ready(self, primary: str = NODES[0]) -> Topology:
        """The topology once the other node follows, and is in step where it shall be."""
        other = next(name for name in NODES if name != primary)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            topology = await self.seen("a standby that follows", **{primary: "primary", other: "streaming"})
            if node_of(topology, other).synchronous or self._replication != SYNCHRONOUS:
                return topology
            assert time.monotonic() < deadline, f"never in step: {topology}"
            await asyncio.sleep(POLL_SECONDS)

    def url(self, topology: Topology, database: str = "postgres") -> str:
        """The URL that finds whoever is primary."""
        hosts = ",".join(node_of(topology, name).address for name in NODES)
        return f"postgresql://watchfloor@/{database}?host={hosts}&target_session_attrs=read-write&connect_timeout=2"

    def pid(self, node: str) -> int:
        """The first process of a node's server."""
        home = self.directory / ("postgres" if node == NODES[0] else f"postgres-{node}")
        return int((home / "data" / "postmaster.pid").read_text().split("\n", 1)[0])


def node_of(topology: Topology, name: str) -> ClusterNode:
    """A node by its name."""
    return next(node for node in topology.nodes if node.name == name)


@contextlib.contextmanager
def running_pair(replication: str = SYNCHRONOUS) -> Iterator[RunningPair]:
    """A pair in a directory of its own."""
    with public_directory() as directory:
        pair = RunningPair(directory, replication)
        try:
            yield pair
        finally:
            pair.close()


class Writer:
    """Commits one row after the other on several connections, and remembers each that was acknowledged and when."""

    def __init__(self, url: str, connections: int = 4, *, every_s: float = 0.0) -> None:
        self.url = url
        self._every_s = every_s
        self.acknowledged: dict[int, float] = {}
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._write, args=(number, connections)) for number in range(connections)
        ]
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(CREATE)
            connection.execute("TRUNCATE written")

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Write no more; returns once nothing is under way."""
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def until_rows(self, count: int) -> None:
        """Wait until so many more rows were acknowledged."""
        goal = len(self.acknowledged) + count
        deadline = time.monotonic() + PATIENCE_SECONDS
        while len(self.acknowledged) < goal:
            assert time.monotonic() < deadline, "nobody takes rows"
            time.sleep(POLL_SECONDS)

    def lost(self) -> set[int]:
        """Rows that were acknowledged and are not there."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            return self.acknowledged.keys() - {row[0] for row in connection.execute("SELECT id FROM written")}

    def longest_gap_s(self, since: float) -> float:
        """The longest time, from a moment on, in which nothing was acknowledged."""
        times = sorted(at for at in self.acknowledged.values() if at >= since)
        return max(later - earlier for earlier, later in zip([since, *times], times, strict=False))

    def _write(self, first: int, step: int) -> None:
        numbers = itertools.count(first, step)  # one that failed may be there or not, and is not tried again
        while not self._stopping.is_set():
            with contextlib.suppress(psycopg.Error):
                self._on_one_connection(numbers)
            time.sleep(0.01)

    def _on_one_connection(self, numbers: Iterator[int]) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            while not self._stopping.is_set():
                number = next(numbers)
                connection.execute("INSERT INTO written VALUES (%s)", (number,))
                self.acknowledged[number] = time.monotonic()
                time.sleep(self._every_s)


def walreceiver(standby: int) -> int:
    """The process of a standby that receives the log."""
    return child_of(standby, b"walreceiver")


def child_of(server: int, name: bytes) -> int:
    """A process of a server, by what it calls itself."""
    for directory in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parent = int((directory / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == server and name in (directory / "cmdline").read_bytes():
                return int(directory.name)
    raise AssertionError(f"no {name.decode()}")


def stop_receiving(pair: RunningPair, node: str) -> int:
    """Have a standby's receiver stand still; nothing that is sent from now on arrives."""
    found = walreceiver(pair.pid(node))
    os.kill(found, signal.SIGSTOP)
    return found
