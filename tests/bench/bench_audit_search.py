"""Measures the audit search over HTTP: every filter, first page and deep page, while entries keep arriving.

`WATCHFLOOR_BENCH_ENTRIES` says how many entries the year has; 5,000,000 take about ten gigabytes and a quarter of an
hour to make. `WATCHFLOOR_BENCH_DATABASE` names a database that was filled before and is kept.
"""

import os
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import httpx
import psycopg

from backend.audit import cursors
from backend.audit.authentic import mac_of
from backend.audit.cursors import Cursor, Position
from backend.clock import SYSTEM_CLOCK
from backend.context import Runtime
from backend.runtime import build_runtime
from backend.settings import Settings
from ledger.canon import format_instant
from ledger.entry import Detail, Emitter, Entry, Index
from tests.bench import year
from tests.bench.report import Row
from tests.support import databases
from tests.support.backends import backend
from tests.support.people import OFFICER, sign_in

ENTRIES: Final = 200_000
"""A year small enough to be made on the side."""
RUNS: Final = 25
LIMIT_MS: Final = 50.0
ARRIVING_PER_S: Final = 500
_DEEP: Final = timedelta(days=200)
_BEAT_S: Final = 0.02
_TIMEOUT_S: Final = 30.0
_QUERIES: Final[dict[str, dict[str, str]]] = {
    "no filter": {},
    "a month": {"from": "-190d", "to": "-160d"},
    "a busy person": {"user": year.HEAVY_PERSON},
    "a rare person": {"user": year.RARE_PERSON},
    "an executor": {"user": "executor:sim-003"},
    "a common event type": {"event_type": "alerts.alert.raised"},
    "a rare event type": {"event_type": "auth.user.disabled"},
    "an area of event types": {"event_type": "auth.*"},
    "a category": {"category": "authentication"},
    "an action": {"action": "registered process"},
    "denied": {"result": "denied"},
    "a resource": {"resource_type": "alerts", "resource_id": "alert-77"},
    "a rare address": {"ip": year.RARE_ADDRESS},
    "an address in half of all": {"ip": year.HEAVY_ADDRESS},
    "a request": {"request_id": "req-7y-1ab"},
    "an incident": {"incident": year.INCIDENT},
    "a log": {"log": "3y"},
    "a rare word": {"q": year.RARE},
    "a word in half of all": {"q": year.HALF},
    "a word of the oldest month": {"q": year.OLDEST},
    "a word of every 200th": {"q": "w300"},
    "two words": {"q": "w300 w200"},
    "a phrase": {"q": f'"{year.PHRASE}"'},
    "a beginning": {"q": "quok*"},
    "a word that is nowhere": {"q": "nosuchword"},
    "a person's name as a word": {"q": year.HEAVY_PERSON},
    "a person and a word": {"user": "person010", "q": "w50"},
    "a word and denied": {"q": year.HALF, "result": "denied"},
}


def run() -> list[Row]:
    """Fill a year, start a backend on it, let entries arrive, and search."""
    with _filled() as (url, entries), tempfile.TemporaryDirectory() as scratch:
        runtime = build_runtime(Settings(database_url=url))
        token = _token(runtime)
        env = {"WATCHFLOOR_LOG_LEVEL": "warning", "WATCHFLOOR_DATA_DIR": str(runtime.settings.data_dir)}
        with (
            backend(url, Path(scratch) / "backend.log", env=env) as running,
            _arriving(url, runtime) as arrived,
            httpx.Client(
                base_url=running.url, headers={"authorization": f"Bearer {token}"}, timeout=_TIMEOUT_S
            ) as client,
        ):
            began = time.monotonic()
            rows = [row for name, where in _QUERIES.items() for row in _measured(client, name, where, entries)]
            rate = arrived[0] / (time.monotonic() - began)
    return [*rows, Row("audit search", "entries arriving meanwhile", rate, "entries/s")]


def _measured(client: httpx.Client, name: str, where: dict[str, str], entries: int) -> list[Row]:
    now = datetime.now(UTC)
    asked = {
        key: _instant(value, now) if value.endswith("d") and value[0] == "-" else value for key, value in where.items()
    }
    sizes = client.get("/v1/audit", params={"limit": 1}).json()["sizes"]
    deep = cursors.encode(Cursor(Position(now - _DEEP, "", 0), sizes))
    rows = []
    for page, cursor in (("first", {}), ("deep", {"cursor": deep})):
        times, found = [], 0
        for _ in range(RUNS):
            began = time.perf_counter()
            answer = client.get("/v1/audit", params={"limit": 100, **asked, **cursor})
            times.append((time.perf_counter() - began) * 1000)
            answer.raise_for_status()
            found = len(answer.json()["items"])
        times.sort()
        worst = times[min(len(times) - 1, round(0.99 * len(times)))]
        note = f"{entries:,} entries, {found} found, p50 {statistics.median(times):.0f} ms, {RUNS} runs"
        rows.append(Row("audit search", f"{name}, {page} page p99", worst, "ms", limit=LIMIT_MS, note=note))
    return rows


def _instant(ago: str, now: datetime) -> str:
    return (now - timedelta(days=int(ago[1:-1]))).isoformat()


def _token(runtime: Runtime) -> str:
    import asyncio

    async def signed_in() -> str:
        try:
            return await sign_in(runtime, OFFICER)
        finally:
            await runtime.database.close()

    return asyncio.run(signed_in())


@contextmanager
def _filled() -> Iterator[tuple[str, int]]:
    kept = os.environ.get("WATCHFLOOR_BENCH_DATABASE")
    if kept:
        with psycopg.connect(kept) as connection:
            (size,) = connection.execute("SELECT sum(size)::bigint FROM audit_heads").fetchone() or (0,)
        yield kept, size
        return
    entries = int(os.environ.get("WATCHFLOOR_BENCH_ENTRIES", ENTRIES))
    with databases.migrated_template() as template:
        name, url = databases.create_database(template)
        try:
            runtime = build_runtime(Settings(database_url=url))
            acts = year.acts_of(runtime.policy.audit_category, runtime.policy.audit_log)
            with psycopg.connect(url) as connection:
                connection.execute("SET synchronous_commit = off")
                year.fill(connection, runtime.keyring, acts, entries)
            yield url, entries
        finally:
            databases.drop_database(name)


@contextmanager
def _arriving(url: str, runtime: Runtime) -> Iterator[list[int]]:
    """Have entries put into the outbox all the while; yields a list that counts them."""
    stop, count = threading.Event(), [0]

    def feed() -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            while not stop.wait(_BEAT_S):
                rows = [_row(runtime, count[0] + n + 1) for n in range(round(ARRIVING_PER_S * _BEAT_S))]
                connection.cursor().executemany(
                    "INSERT INTO audit_outbox (id, log, canon, mac, emitted_at) VALUES (%s, %s, %s, %s, %s)", rows
                )
                count[0] += len(rows)

    thread = threading.Thread(target=feed)
    thread.start()
    try:
        yield count
    finally:
        stop.set()
        thread.join()


def _row(runtime: Runtime, number: int) -> tuple[Any, ...]:
    ident, now = SYSTEM_CLOCK.new_id(), datetime.now(UTC)
    index = Index(
        action="raise an alert", actor="system:bench", actor_type="system", category="monitoring",
        event_type="alerts.alert.raised", id=str(ident), log="1y", occurred_at=format_instant(now), outcome="success",
        resource_type="alerts", resource_id=f"alert-{number % 5_000}",
    )  # fmt: skip
    emitter = Emitter(boot="bench", n=number, node="bench:2", settled=number - 1)
    canon = Entry(index=index, emitter=emitter, detail=Detail(new_value={"reason": "arriving"})).to_canon()
    return ident, "1y", canon, mac_of(runtime.keyring.outbox, canon), now
