"""A real Patroni cluster of two nodes and an etcd, on ports of loopback that nobody else uses. Skips where absent.

Must never signal a process that it did not start, or whose id it did not read from its own node's files.
"""

import json
import os
import platform
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import psycopg
import pytest

from tests.support import patroni_node
from tests.support.places import public_directory
from watchfloor.embedded import account as accounts
from watchfloor.embedded import binaries, cluster

ROOT: Final = Path(__file__).resolve().parents[2]
VENV: Final = ROOT / ".peers" / "patroni"
PLAN: Final = Path(__file__).with_name("patroni_plan.toml")
PLAN_PROGRAM: Final = "/usr/local/libexec/floor-db-node"
"""What the plan's command steps run, as the file has it."""
START_LIMIT_S: Final = 120.0
"""A busy machine is slow; what does not answer by then never will."""
STOP_LIMIT_S: Final = 30.0
SCOPE: Final = "floor-db"
LOGIN: Final = ("watchfloor", "a-password-of-tests")
"""What the nodes want before they change anything."""
TTL_S: Final = 20
"""Patroni takes no less: a dead primary is replaced after that."""
DATABASE: Final = "watchfloor"
_POLL_S: Final = 0.1


def needed() -> None:
    """Skip the test, and say what is missing."""
    if shutil.which("etcd") is None:
        pytest.skip("etcd is not installed here (apt-get install etcd-server)")
    if not (VENV / ".installed").exists():
        pytest.skip("Patroni absent: make peers")


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody listens on, all different."""
    with ExitStack() as stack:
        held = [stack.enter_context(closing(socket.create_server(("127.0.0.1", 0)))) for _ in range(count)]
        return [int(one.getsockname()[1]) for one in held]


class Node:
    """One server of the cluster: its Patroni, and the PostgreSQL that this runs."""

    def __init__(self, name: str, home: Path, *, etcd: int, ports: Sequence[int], synchronous: bool) -> None:
        self.name = name
        self.api_port, self.port = ports
        self._directory = home / name
        self._account = accounts.choose(self._directory / "data")
        self._installed = accounts.reachable_binaries(binaries.locate(), self._account)
        self._process: subprocess.Popen[bytes] | None = None
        self._still: list[int] = []
        self._directory.mkdir(mode=0o755)
        config = self._directory / patroni_node.CONFIG
        config.write_text(json.dumps(_config(self, etcd=etcd, synchronous=synchronous)))  # which is YAML too
        libraries = str(_reachable_libraries(home, self._account))
        spec = {
            "argv": [_python(self._account), "-m", "patroni", str(config)],
            "environment": {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC", "PYTHONPATH": libraries},
            "identity": accounts.identity(self._account),
            "url": self.url,
        }
        (self._directory / patroni_node.SPEC).write_text(json.dumps(spec))
        if self._account is not None:
            os.chown(self._directory, self._account.uid, self._account.gid)

    @property
    def url(self) -> str:
        """The address of its REST API."""
        return f"http://127.0.0.1:{self.api_port}"

    @property
    def data(self) -> Path:
        """Where its PostgreSQL keeps its data."""
        return self._directory / patroni_node.DATA

    @property
    def bin(self) -> Path:
        """Where the programs of its PostgreSQL are."""
        return self._installed.bin

    @property
    def place(self) -> Path:
        """The directory of its files and sockets."""
        return self._directory

    def start(self) -> None:
        """Start its Patroni, which starts PostgreSQL; does not wait for it."""
        self._reap()
        self._process = patroni_node.start(self._directory)

    def kill(self) -> None:
        """End all of it at once, as when the machine loses its power."""
        patroni_node.kill(self._directory)
        self._reap()

    def stand_still(self) -> None:
        """Stop every process of it: connections are taken and nobody answers."""
        self._still = patroni_node.pids(self._directory)
        patroni_node.send([signal.SIGSTOP], self._still)

    def go_on(self) -> None:
        """Let it go on where it was, as far as it lives."""
        still, self._still = self._still, []
        patroni_node.send([signal.SIGCONT], still)

    def stop(self) -> None:
        """End it for good: Patroni ends its PostgreSQL; what is left of a killed one is ended too."""
        self.go_on()
        deadline = time.monotonic() + STOP_LIMIT_S
        agent = patroni_node.agent_pid(self._directory)
        patroni_node.send([signal.SIGTERM], [] if agent is None else [agent])
        while patroni_node.agent_pid(self._directory) is not None and time.monotonic() < deadline:
            time.sleep(_POLL_S)
        self.kill()

    def _reap(self) -> None:
        """Wait for a process of ours that somebody has ended."""
        if self._process is not None:
            self._process.wait(STOP_LIMIT_S)
            self._process = None

    def said(self) -> str:
        """The end of its log."""
        return (self._directory / "log").read_text(errors="replace")[-3000:]

    def asked(self) -> dict[str, Any] | None:
        """What it says of itself; None where it does not answer."""
        try:
            answer = httpx.get(f"{self.url}/patroni", timeout=2, trust_env=False)
            found: dict[str, Any] = answer.json()
        except (httpx.HTTPError, ValueError):
            return None
        return found


class PatroniCluster:
    """Two nodes and what they agree by."""

    def __init__(self, home: Path, nodes: Sequence[Node]) -> None:
        self.nodes = tuple(nodes)
        self._home = home

    def plan(self, directory: Path) -> Path:
        """A policy whose plans fail this cluster over; its command steps run a program that kills and starts nodes."""
        program, policy = directory / "node", directory / "plan.toml"
        argv = shlex.join([sys.executable, "-m", "tests.support.patroni_node", str(self._home)])
        program.write_text(f'#!/bin/sh\ncd {shlex.quote(str(ROOT))} && exec {argv} "$@"\n')
        program.chmod(0o755)
        policy.write_text(PLAN.read_text().replace(PLAN_PROGRAM, str(program)))
        return policy

    @property
    def setting(self) -> str:
        """For WATCHFLOOR_CLUSTER."""
        return "patroni:" + ",".join(node.url for node in self.nodes)

    def url(self, database: str = DATABASE) -> str:
        """A database on whichever node is the primary."""
        ports = ",".join(str(node.port) for node in self.nodes)
        hosts = ",".join("127.0.0.1" for _ in self.nodes)
        user = cluster.SUPERUSER
        return f"postgresql://{user}@/{database}?host={hosts}&port={ports}&target_session_attrs=read-write"

    def named(self, name: str) -> Node:
        """The node of a name."""
        return next(node for node in self.nodes if node.name == name)

    def other(self, node: Node) -> Node:
        """The other one."""
        return next(one for one in self.nodes if one is not node)

    def primary(self) -> Node | None:
        """The one that says of itself that it is; None while none does."""
        for node in self.nodes:
            if _is_primary(node.asked()):
                return node
        return None

    def healthy(self) -> Node | None:
        """The primary, once the other one follows it and commits wait for that; None before."""
        primary = self.primary()
        if primary is None:
            return None
        standby = self.other(primary).asked() or {}
        follows = standby.get("replication_state") == "streaming"
        return primary if follows and (standby.get("sync_standby") or not _waits(primary)) else None

    def until_healthy(self) -> Node:
        """Wait for that."""
        deadline = time.monotonic() + START_LIMIT_S
        while (found := self.healthy()) is None:
            assert time.monotonic() < deadline, "\n".join(node.said() for node in self.nodes)
            time.sleep(_POLL_S)
        return found


def _is_primary(said: dict[str, Any] | None) -> bool:
    return said is not None and said.get("role") in {"primary", "master"} and said.get("state") == "running"


def _waits(node: Node) -> bool:
    answer = httpx.get(f"{node.url}/config", timeout=5, trust_env=False)
    return bool(answer.json().get("synchronous_mode"))


def _config(node: Node, *, etcd: int, synchronous: bool) -> dict[str, Any]:
    dynamic = {
        "ttl": TTL_S, "loop_wait": 1, "retry_timeout": 3, "maximum_lag_on_failover": 1_048_576,
        "primary_start_timeout": 0, "synchronous_mode": synchronous,
        "postgresql": {
            "use_pg_rewind": True,
            "parameters": {
                "max_connections": 100, "wal_keep_size": "256MB", "wal_retrieve_retry_interval": "500ms",
                "timezone": "UTC", "full_page_writes": "on", "wal_log_hints": "on",
            },
        },
    }  # fmt: skip
    return {
        "scope": SCOPE, "name": node.name,
        "etcd3": {"host": f"127.0.0.1:{etcd}"},
        "restapi": {
            "listen": f"127.0.0.1:{node.api_port}", "connect_address": f"127.0.0.1:{node.api_port}",
            "authentication": {"username": LOGIN[0], "password": LOGIN[1]},
        },
        "bootstrap": {"dcs": dynamic, "initdb": [{"encoding": "UTF8"}, {"locale": "C.UTF-8"}, "data-checksums"]},
        "postgresql": {
            "listen": f"127.0.0.1:{node.port}", "connect_address": f"127.0.0.1:{node.port}",
            "data_dir": str(node.data), "bin_dir": str(node.bin), "pgpass": str(node.place / "pgpass"),
            "authentication": {
                "superuser": {"username": cluster.SUPERUSER, "password": LOGIN[1]},
                "replication": {"username": "replicator", "password": LOGIN[1]},
                "rewind": {"username": "rewinder", "password": LOGIN[1]},
            },
            "parameters": {"unix_socket_directories": str(node.place)},
            "pg_hba": [
                "local all all trust", "host all all 127.0.0.1/32 trust", "host replication all 127.0.0.1/32 trust",
            ],
        },
    }  # fmt: skip


def _python(account: accounts.Account | None) -> str:
    """The Python of Patroni's environment; skips the test where its account may not run it."""
    found = str((VENV / "bin" / "python").resolve())
    if account is not None and not account.run([found, "-c", ""]):
        pytest.skip(f"the account that PostgreSQL runs as may not run {found}")
    return found


def _reachable_libraries(home: Path, account: accounts.Account | None) -> Path:
    """Patroni's packages where its account can read them: a checkout may be private to root."""
    library = Path(sysconfig.get_path("purelib", vars={"base": str(VENV)}))
    if account is None or account.enters(library):
        return library
    copied = home / "libraries"
    if not copied.exists():
        shutil.copytree(library, copied)
    return copied


@contextmanager
def _etcd(home: Path, port: int, peer_port: int) -> Iterator[None]:
    client, peer = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{peer_port}"
    argv = [
        str(shutil.which("etcd")), "--name", "one", "--data-dir", str(home / "etcd"), "--listen-client-urls", client,
        "--advertise-client-urls", client, "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
        "--initial-cluster", f"one={peer}", "--logger", "zap", "--log-level", "warn",
    ]  # fmt: skip
    environment = {"PATH": "/usr/bin:/bin"}
    if platform.machine() == "aarch64":
        environment["ETCD_UNSUPPORTED_ARCH"] = "arm64"
    with (home / "etcd.log").open("ab") as log:
        process = subprocess.Popen(argv, env=environment, cwd="/", stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + START_LIMIT_S
        while not _etcd_answers(client):
            assert process.poll() is None, (home / "etcd.log").read_text()[-2000:]
            assert time.monotonic() < deadline, "etcd does not answer"
            time.sleep(_POLL_S)
        yield
    finally:
        process.kill()
        process.wait(STOP_LIMIT_S)


def _etcd_answers(client: str) -> bool:
    try:
        return bool(httpx.get(f"{client}/health", timeout=2, trust_env=False).json().get("health") == "true")
    except (httpx.HTTPError, ValueError):
        return False


@contextmanager
def patroni_cluster(*, synchronous: bool = True) -> Iterator[PatroniCluster]:
    """A cluster whose standby is in step, with an empty database; everything is gone at the end."""
    needed()
    with public_directory() as home, ExitStack() as stack:
        etcd, peer, *ports = free_ports(6)
        stack.enter_context(_etcd(home, etcd, peer))
        nodes = [
            Node(name, home, etcd=etcd, ports=pair, synchronous=synchronous)
            for name, pair in (("node-a", ports[:2]), ("node-b", ports[2:]))
        ]
        made = PatroniCluster(home, nodes)
        for node in nodes:
            stack.callback(node.stop)
        nodes[0].start()
        _until_primary(made)
        nodes[1].start()
        made.until_healthy()
        with psycopg.connect(made.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {DATABASE}")
        yield made


def _until_primary(made: PatroniCluster) -> None:
    """The first node makes the cluster, so that it is the primary in every test."""
    deadline = time.monotonic() + START_LIMIT_S
    while made.primary() is None:
        assert time.monotonic() < deadline, made.nodes[0].said()
        time.sleep(_POLL_S)


def credentials(directory: Path) -> Path:
    """A file for WATCHFLOOR_CLUSTER_USER_FILE."""
    path = directory / "patroni.user"
    path.write_text(":".join(LOGIN) + "\n")
    path.chmod(0o600)
    return path
