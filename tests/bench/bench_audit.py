"""Measures the ledger's write path end to end against the common design, on a server of its own that keeps its word.

16 writers in 4 processes store one act and its audit entry a transaction, as fast as the ledger lets them; a real
backend sequences.
The opponents: a chain that each transaction extends under an advisory lock, with the same columns and search indexes,
and `auditchain` from the package index if `WATCHFLOOR_BENCH_AUDITCHAIN` names a Python that has it.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psycopg

from backend import migrate
from tests.bench.audit_writers import ACTS, CHAIN
from tests.bench.report import Row
from tests.support.backends import backend
from tests.support.places import public_directory
from watchfloor.embedded import EmbeddedPostgres

PROCESSES: Final = 4
WRITERS: Final = 4
SECONDS: Final = 12.0
WARM_S: Final = 2.0
"""What happens before is not counted: connections, plans, the first partition."""
DRAIN_S: Final = 30.0
_LAG = """
WITH batch AS (
    SELECT sequenced_at, lead(sequenced_at) OVER (ORDER BY sequenced_at) AS next
    FROM (SELECT DISTINCT sequenced_at FROM audit_entries) AS batches)
SELECT percentile_cont(ARRAY[0.5, 0.99]) WITHIN GROUP (
    ORDER BY extract(epoch FROM batch.next - entry.occurred_at) * 1000)
FROM audit_entries AS entry JOIN batch USING (sequenced_at) WHERE entry.log <> 'meta'
"""
"""From the act to the start of the next batch, which is later than the end of its own: an upper bound."""


@dataclass(frozen=True)
class Measured:
    """One way to write."""

    per_s: float
    latencies_s: list[float]
    lags_ms: tuple[float, float] = (0.0, 0.0)

    def emit_ms(self, share: float) -> float:
        """A quantile of what one transaction took."""
        ordered = sorted(self.latencies_s)
        return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def run() -> list[Row]:
    """Measure all, the ratios first."""
    with _server() as url, tempfile.TemporaryDirectory() as scratch:
        os.environ["WATCHFLOOR_DATA_DIR"] = scratch
        chained = _measure(url, "chain", "SELECT coalesce(max(seq), 0) FROM bench_chain")
        with backend(url, Path(scratch) / "backend.log", env={"WATCHFLOOR_LOG_LEVEL": "warning"}):
            ours = _measure(url, "outbox", "SELECT coalesce(sum(size), 0) FROM audit_heads WHERE log <> 'meta'")
            lags_ms = _drained(url)
        other = _auditchain(url)
    note = f"{PROCESSES * WRITERS} writers as fast as they can, search indexes on, synchronous commits"
    rows = [Row("audit", "sequenced / chain under a lock", ours.per_s / chained.per_s, "×", 3.0, at_least=True)]
    if other is None:
        rows.append(Row("audit", "auditchain", 0, "", note="left out: WATCHFLOOR_BENCH_AUDITCHAIN is not set"))
    else:
        rows.append(Row("audit", "sequenced / auditchain", ours.per_s / other, "×", note="one process, no search"))
    return [
        *rows,
        Row("audit", "sequenced", ours.per_s, "entries/s", 5_000, at_least=True, note=note),
        Row("audit", "chain under a lock", chained.per_s, "entries/s", note=note),
        Row("audit", "lag p50", lags_ms[0], "ms", note="upper bound"),
        Row("audit", "lag p99", lags_ms[1], "ms", 250, note="upper bound"),
        Row("audit", "emit p50", ours.emit_ms(0.5), "ms"),
        Row("audit", "emit p99", ours.emit_ms(0.99), "ms", 15),
        Row("audit", "emit p99, chain", chained.emit_ms(0.99), "ms"),
    ]


@contextmanager
def _server() -> Iterator[str]:
    with public_directory() as directory, EmbeddedPostgres(directory / "postgres", ephemeral=True) as server:
        with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
            connection.execute("CREATE DATABASE bench")
        url = server.url("bench")
        migrate.upgrade(url.replace("postgresql://", "postgresql+psycopg://", 1))
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(ACTS)
            connection.execute(CHAIN)
        yield url


def _measure(url: str, kind: str, count: str) -> Measured:
    argv = [sys.executable, "-m", "tests.bench.audit_writers", kind, url, str(WRITERS), str(SECONDS)]
    running = [
        subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(PROCESSES)
    ]
    for process in running:
        assert process.stdout is not None
        process.stdout.readline()
    for process in running:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    with psycopg.connect(url, autocommit=True) as connection:
        time.sleep(WARM_S)
        began, before = time.monotonic(), _number(connection, count)
        time.sleep(SECONDS - WARM_S - 0.5)
        after, seconds = _number(connection, count), time.monotonic() - began
    latencies = [latency for process in running for latency in json.loads(process.communicate()[0])]
    return Measured((after - before) / seconds, latencies)


def _number(connection: psycopg.Connection[tuple[int]] | psycopg.Connection[tuple[object, ...]], count: str) -> int:
    row = connection.execute(count.encode()).fetchone()
    return int(str(row[0])) if row else 0


def _drained(url: str) -> tuple[float, float]:
    """Wait until everything is in the ledger, and return the lag's median and 99th percentile (ms)."""
    with psycopg.connect(url, autocommit=True) as connection:
        deadline = time.monotonic() + DRAIN_S
        while _number(connection, "SELECT count(*) FROM audit_outbox") and time.monotonic() < deadline:
            time.sleep(0.2)
        row = connection.execute(_LAG).fetchone()
    assert row is not None
    return float(row[0][0]), float(row[0][1])


def _auditchain(url: str) -> float | None:
    """Entries a second of auditchain's own PostgreSQL or SQLite store, or None when it is not there."""
    python = os.environ.get("WATCHFLOOR_BENCH_AUDITCHAIN")
    if not python:
        return None
    script = Path(__file__).parent / "apps" / "auditchain_writer.py"
    done = subprocess.run([python, str(script), url, "5"], capture_output=True, text=True, check=True)
    return float(done.stdout)
