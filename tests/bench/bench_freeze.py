"""Measures a thousand executors on one backend: what their renewals cost, and how soon a freeze has stopped them all.

A polled flag is the opponent, in the same run. `WATCHFLOOR_BENCH_EXECUTORS` and `WATCHFLOOR_BENCH_FREEZES` change the
sizes.
"""

import json
import os
import socketserver
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
import psutil
import psycopg

from tests.bench.gate_executors import POLL_EVERY_S
from tests.bench.report import Row
from tests.support import databases
from tests.support.backends import backend
from tests.support.holds import tokens
from tests.support.people import ADMIN, EXECUTOR

EXECUTORS: Final = int(os.environ.get("WATCHFLOOR_BENCH_EXECUTORS", "1000"))
FREEZES: Final = int(os.environ.get("WATCHFLOOR_BENCH_FREEZES", "20"))
CLIENTS: Final = 2
"""Processes that the executors run in."""
POLLERS: Final = 50
RENEWING_S: Final = 20.0
LIMIT_S: Final = 90.0
"""For things that must happen."""
P99_LIMIT_MS: Final = 250.0
CORE: Final = 1.0


class _Flag(socketserver.StreamRequestHandler):
    """Answers each line with the flag."""

    on = False

    def handle(self) -> None:
        """Serve one poller."""
        while self.rfile.readline():
            self.wfile.write(b"1\n" if _Flag.on else b"0\n")


class _FlagServer(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True


@dataclass
class Fleet:
    """The client processes, and what they have told."""

    processes: list[subprocess.Popen[str]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)

    def listen(self, process: subprocess.Popen[str]) -> None:
        """Gather what a process tells."""
        self.processes.append(process)
        threading.Thread(target=self._gather, args=(process,), daemon=True).start()

    def _gather(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self.events.append(json.loads(line))

    def instants(self, event: str, since: float) -> list[float]:
        """When something was told of since an instant."""
        return [one["at"] for one in list(self.events) if one["event"] == event and one["at"] >= since]

    def wait(self, event: str, count: int, since: float) -> list[float]:
        """Wait until so many have told of something."""
        end = time.monotonic() + LIMIT_S
        while len(found := self.instants(event, since)) < count:
            if time.monotonic() > end:
                raise TimeoutError(f"{len(found)} of {count} {event}")
            time.sleep(0.02)
        return found


@contextmanager
def _fleet(url: str, token: str, port: int) -> Iterator[Fleet]:
    fleet = Fleet()
    share = EXECUTORS // CLIENTS
    for number in range(CLIENTS):
        words = [url, token, number * share, share, port, POLLERS if number == 0 else 0]
        argv = [sys.executable, "-m", "tests.bench.gate_executors", *map(str, words)]
        fleet.listen(subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
    try:
        yield fleet
    finally:
        for process in fleet.processes:
            if process.stdin is not None:
                process.stdin.close()
            process.wait(LIMIT_S)


class Servers:
    """Processor time of the backend and of the database's processes that serve it."""

    def __init__(self, backend_pid: int, admin: psycopg.Connection[Any], database: str) -> None:
        self._backend = psutil.Process(backend_pid)
        self._admin = admin
        self._database = database

    def cpu_s(self) -> tuple[float, float]:
        """Seconds so far: backend, database."""
        own = self._backend.cpu_times()
        query = "SELECT pid FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()"
        pids = [pid for (pid,) in self._admin.execute(query, (self._database,))]
        times = [psutil.Process(pid).cpu_times() for pid in pids if psutil.pid_exists(pid)]
        return own.user + own.system, sum(each.user + each.system for each in times)


def _freeze_once(client: httpx.Client, fleet: Fleet, database_url: str) -> dict[str, list[float]]:
    """One freeze of everything; milliseconds after its answer, by what they are of."""
    asked = time.monotonic()
    answer = client.post("/v1/freezes", json={"scope": {"kind": "global"}, "reason": "a measurement"})
    accepted = time.monotonic()
    _Flag.on = True
    answer.raise_for_status()
    halted = fleet.wait("halted", EXECUTORS, asked)
    with psycopg.connect(database_url, autocommit=True) as connection:
        acked = _until_acknowledged(connection, answer.json()["id"])
        polled = fleet.wait("polled", POLLERS, accepted)
        connection.execute("UPDATE freezes SET status = 'thawed', thawed_at = clock_timestamp()")
    _Flag.on = False
    fleet.wait("free", CLIENTS, time.monotonic() - 0.01)
    time.sleep(POLL_EVERY_S * 1.2)  # every poller has seen the flag go
    return {
        "answered": [1000 * (accepted - asked)],
        "halted": [max(0.0, 1000 * (at - accepted)) for at in halted],
        "polled": [1000 * (at - accepted) for at in polled],
        "acknowledged": [1000 * (acked - accepted)],
    }


def _until_acknowledged(connection: psycopg.Connection[Any], freeze: str) -> float:
    end = time.monotonic() + LIMIT_S
    while time.monotonic() < end:
        row = connection.execute("SELECT count(*) FROM halt_acks WHERE freeze_id = %s", (freeze,)).fetchone()
        if row is not None and row[0] >= EXECUTORS:
            return time.monotonic()
        time.sleep(0.02)
    raise TimeoutError("not everybody has acknowledged")


def run() -> list[Row]:
    """Measure."""
    with ExitStack() as stack:
        template = stack.enter_context(databases.migrated_template())
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        name, url = databases.create_database(template)
        stack.callback(databases.drop_database, name)
        machine, admin = tokens(url, EXECUTOR, ADMIN)
        env = {"WATCHFLOOR_LOG_LEVEL": "warning", "WATCHFLOOR_POOL_SIZE": "10"}
        server = stack.enter_context(backend(url, scratch / "backend.log", env=env))
        flag = stack.enter_context(_FlagServer(("127.0.0.1", 0), _Flag))
        threading.Thread(target=flag.serve_forever, daemon=True).start()
        stack.callback(flag.shutdown)
        connection = stack.enter_context(psycopg.connect(databases.admin_url(), autocommit=True))
        servers = Servers(server.pid, connection, name)
        fleet = stack.enter_context(_fleet(server.url, machine, flag.server_address[1]))
        fleet.wait("free", CLIENTS, 0.0)
        rows = _renewals(servers)
        headers = {"authorization": f"Bearer {admin}"}
        client = stack.enter_context(httpx.Client(base_url=server.url, headers=headers, timeout=LIMIT_S))
        found = [_freeze_once(client, fleet, url) for _ in range(FREEZES)]
        return [*rows, *_latencies(found)]


def _renewals(servers: Servers) -> list[Row]:
    time.sleep(2.0)  # registrations are over
    began, (own, database) = time.monotonic(), servers.cpu_s()
    time.sleep(RENEWING_S)
    took, (own_after, database_after) = time.monotonic() - began, servers.cpu_s()
    backend_cores, database_cores = (own_after - own) / took, (database_after - database) / took
    note = f"{EXECUTORS:,} executors, twice a second; machine load {os.getloadavg()[0]:.1f}"
    each_us = 1e6 * (backend_cores + database_cores) / (2 * EXECUTORS)
    return [
        Row("freeze", "renewals: backend and database", backend_cores + database_cores, "cores", CORE, note=note),
        Row("freeze", "renewals: backend", backend_cores, "cores"),
        Row("freeze", "renewals: database", database_cores, "cores"),
        Row("freeze", "one renewal", each_us, "µs of processor"),
    ]


def _latencies(found: Sequence[dict[str, list[float]]]) -> list[Row]:
    note = f"{len(found)} freezes; machine load {os.getloadavg()[0]:.1f}"
    last = [max(one["halted"]) for one in found]
    rows = [Row("freeze", "accepted → last executor halted, p99", _percentile(last, 99), "ms", P99_LIMIT_MS, note=note)]
    of: dict[str, Callable[[dict[str, list[float]]], list[float]]] = {
        "accepted → executor halted": lambda one: one["halted"],
        "accepted → last executor halted": lambda one: [max(one["halted"])],
        "accepted → all acknowledgements stored": lambda one: one["acknowledged"],
        "asked → accepted": lambda one: one["answered"],
        f"flag polled every {POLL_EVERY_S:g} s → seen": lambda one: one["polled"],
    }
    for what, take in of.items():
        values = [value for one in found for value in take(one)]
        for label, value in (
            ("p50", statistics.median(values)),
            ("p99", _percentile(values, 99)),
            ("max", max(values)),
        ):
            rows.append(Row("freeze", f"{what}, {label}", value, "ms"))
    return rows


def _percentile(values: Sequence[float], percent: int) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, round(percent / 100 * (len(ordered) - 1)))]
