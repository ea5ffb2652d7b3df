"""Measures the audit search over HTTP: every filter, first page and deep page, while entries keep arriving.

Before that, each question is put to the database as one query over the whole ledger, in turns with the search's own
way of finding the same rows: the ratio holds on a machine that has other work, too.
`WATCHFLOOR_BENCH_ENTRIES` says how many entries the year has; 5,000,000 take about ten gigabytes and a quarter of an
hour to make. `WATCHFLOOR_BENCH_KEEP` names a directory in which the year is kept, with its master key, and found again:
under another key, addresses would not be found. `WATCHFLOOR_BENCH_BACKENDS` says how many backends there are (1): the
first one sequences, the last one is asked.
"""

import asyncio
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from multiprocessing.sharedctypes import Synchronized
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any, Final

import httpx
import psycopg
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from backend import migrate
from backend.audit import cursors, search
from backend.audit.authentic import mac_of
from backend.audit.conditions import Where, conditions
from backend.audit.cursors import Cursor, Position
from backend.audit.query import AuditFilter
from backend.clock import SYSTEM_CLOCK
from backend.context import Runtime
from backend.runtime import build_runtime
from backend.settings import Settings
from ledger.canon import format_instant
from ledger.entry import Detail, Emitter, Entry, Index
from tests.bench import year
from tests.bench.report import Row
from tests.support.backends import Backend, backend
from tests.support.people import OFFICER, sign_in
from watchfloor.embedded import EmbeddedPostgres

ENTRIES: Final = 200_000
"""A year small enough to be made on the side."""
RUNS: Final = 100
"""As many as a 99th percentile needs to be more than the slowest."""
WARM_UP: Final = 3
NAIVE_RUNS: Final = 3
NAIVE_LIMIT_S: Final = 5.0
"""The backend's own statement timeout: nobody waits longer."""
LIMIT_MS: Final = 50.0
ARRIVING_PER_S: Final = 500
PAGE_ROWS: Final = 100
_SUBJECT: Final = "audit search"
_NAIVE: Final = "SELECT log, seq, canon FROM audit_entries"
_NAIVE_ORDER: Final = 'ORDER BY occurred_at DESC, log COLLATE "C", seq DESC LIMIT :wanted'
_BETWEEN: Final = {"since": "occurred_at >= :since", "until": "occurred_at < :until"}
_LONG_AGO: Final = datetime(2000, 1, 1, tzinfo=UTC)
_DEEP: Final = timedelta(days=200)
_BEAT_S: Final = 0.02
_LEADS_S: Final = 2.0
"""The backend that starts first has its duties by then."""
_OLD: Final = {"to": "-1d"}
"""Each search is an entry that holds the words looked for: without a bound the measurement finds itself."""
_TIMEOUT_S: Final = 30.0
_QUERIES: Final[dict[str, dict[str, str]]] = {
    "no filter": {},
    "a month": {"from": "-215d", "to": "-185d"},
    "a busy person": {"user": year.HEAVY_PERSON},
    "a rare person": {"user": year.RARE_PERSON},
    "an executor": {"user": "executor:sim-003"},
    "a common event type": {"event_type": "alerts.alert.raised"},
    "a rare event type": {"event_type": year.RARE_EVENT},
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
    "a rare word": {"q": year.RARE, **_OLD},
    "a word in half of all": {"q": year.HALF},
    "a word of the oldest month": {"q": year.OLDEST, **_OLD},
    "a word of every 200th": {"q": "w300"},
    "two words": {"q": "w300 w200"},
    "a phrase": {"q": f'"{year.PHRASE}"'},
    "a beginning": {"q": "quok*", **_OLD},
    "a word that is nowhere": {"q": "nosuchword", **_OLD},
    "a person's name as a word": {"q": year.HEAVY_PERSON},
    "a person and a word": {"user": "person010", "q": "w50"},
    "a word and denied": {"q": year.HALF, "result": "denied"},
}


_NOWHERE: Final = frozenset({"a word that is nowhere"})


def run() -> list[Row]:
    """Fill a year, start a backend on it, let entries arrive, and search."""
    with _filled() as (settings, entries), tempfile.TemporaryDirectory() as scratch:
        url = settings.database_url.replace("+psycopg", "")
        runtime = build_runtime(settings)
        now = datetime.now(UTC)
        asked = {name: _asked(where, now) for name, where in _QUERIES.items()}
        token, ratios = asyncio.run(_prepared(runtime, asked))
        env = {"WATCHFLOOR_LOG_LEVEL": "warning", "WATCHFLOOR_DATA_DIR": str(settings.data_dir)}
        with (
            _backends(url, Path(scratch), env) as running,
            _arriving(url, settings) as arrived,
            httpx.Client(
                base_url=running.url, headers={"authorization": f"Bearer {token}"}, timeout=_TIMEOUT_S
            ) as client,
        ):
            began = time.monotonic()
            found = {name: _measured(client, name, where, now, entries) for name, where in asked.items()}
            rate = arrived.value / (time.monotonic() - began)
    empty = [f"{name}, {page.page} page" for name in asked for page in found[name] if page.wrongly_empty]
    rows = [*ratios, *(page.row for name in asked for page in found[name])]
    rows.append(Row(_SUBJECT, "pages that found nothing", len(empty), "", limit=0, note="; ".join(empty)))
    return [*rows, Row(_SUBJECT, "entries arriving meanwhile", rate, "entries/s")]


@dataclass(frozen=True)
class _Page:
    """How a question's first page, or a deep one, was answered."""

    name: str
    page: str
    entries: int
    found: int
    times_ms: Sequence[float]

    @property
    def median_ms(self) -> float:
        return statistics.median(self.times_ms)

    @property
    def wrongly_empty(self) -> bool:
        return not self.found and self.name not in _NOWHERE

    @property
    def row(self) -> Row:
        worst = sorted(self.times_ms)[round(0.99 * (len(self.times_ms) - 1))]
        note = f"{self.entries:,} entries, {self.found} found, p50 {self.median_ms:.0f} ms, {len(self.times_ms)} runs"
        return Row(_SUBJECT, f"{self.name}, {self.page} page p99", worst, "ms", limit=LIMIT_MS, note=note)


def _measured(
    client: httpx.Client, name: str, asked: Mapping[str, str], now: datetime, entries: int
) -> tuple[_Page, _Page]:
    sizes = client.get("/v1/audit", params={"limit": 1}).json()["sizes"]
    deep = cursors.encode(Cursor(Position(now - _DEEP, "", 0), sizes))

    def page(which: str, further: dict[str, str]) -> _Page:
        times, found = [], 0
        for turn in range(WARM_UP + RUNS):
            began = time.perf_counter()
            answer = client.get("/v1/audit", params={"limit": PAGE_ROWS, **asked, **further})
            if turn >= WARM_UP:
                times.append((time.perf_counter() - began) * 1000)
            answer.raise_for_status()
            found = len(answer.json()["items"])
        return _Page(name, which, entries, found, times)

    return page("first", {}), page("deep", {"cursor": deep})


async def _prepared(runtime: Runtime, asked: Mapping[str, Mapping[str, str]]) -> tuple[str, list[Row]]:
    """A session's token, and how each question's first page compares with one query over the whole ledger."""
    try:
        token = await sign_in(runtime, OFFICER)
        questions = {name: AuditFilter.model_validate(where) for name, where in asked.items()}
        return token, [await _ratio(runtime, name, question) for name, question in questions.items()]
    finally:
        await runtime.database.close()


async def _ratio(runtime: Runtime, name: str, asked: AuditFilter) -> Row:
    naive, ours = [], []
    for turn in range(NAIVE_RUNS + 1):
        async with runtime.database.read() as session:
            where = await conditions(session, runtime, asked)
            sizes = await search.log_sizes(session)
            began = time.perf_counter()
            await search.find(session, where, sizes, None, PAGE_ROWS)
            between = time.perf_counter()
            await _find_at_once(session, where, asked)
            if turn:  # the first warms caches
                ours.append((between - began) * 1000)
                naive.append((time.perf_counter() - between) * 1000)
    once, found = statistics.median(naive), statistics.median(ours)
    cut = ", cut off" if once >= NAIVE_LIMIT_S * 1000 else ""
    note = f"first page found in {found:.1f} ms, by one query over the whole ledger in {once:,.1f} ms{cut}"
    return Row(_SUBJECT, f"{name}, times as fast as one query", once / found, "×", note=note)


async def _find_at_once(session: AsyncSession, where: Where, asked: AuditFilter) -> None:
    bounds = {"since": asked.since, "until": asked.until, "low": _LONG_AGO, "high": datetime.now(UTC)}
    clauses = where.sql("", ":low", ":high")
    clauses += [clause for name, clause in _BETWEEN.items() if bounds[name] is not None]
    clauses += [] if where.log is None else ["log = :log"]
    query = text(f"{_NAIVE} WHERE {' AND '.join(clauses or ['true'])} {_NAIVE_ORDER}")
    try:
        (await session.execute(query, {**where.values, **bounds, "log": where.log, "wanted": PAGE_ROWS})).all()
    except DBAPIError as error:
        if not isinstance(error.orig, psycopg.errors.QueryCanceled):
            raise


def _asked(where: Mapping[str, str], now: datetime) -> dict[str, str]:
    return {key: _instant(value, now) if key in {"from", "to"} else value for key, value in where.items()}


def _instant(ago: str, now: datetime) -> str:
    return (now - timedelta(days=int(ago[1:-1]))).isoformat()


@contextmanager
def _filled() -> Iterator[tuple[Settings, int]]:
    """A year of entries on a server of its own, on disk, and the settings under which it was written."""
    entries = int(os.environ.get("WATCHFLOOR_BENCH_ENTRIES", ENTRIES))
    kept = os.environ.get("WATCHFLOOR_BENCH_KEEP")
    with ExitStack() as stack:
        place = Path(kept or stack.enter_context(tempfile.TemporaryDirectory(prefix="wf-bench-search-")))
        place.mkdir(parents=True, exist_ok=True)
        server = stack.enter_context(closing(_Server(place)))
        settings = Settings(database_url=server.url, data_dir=place / "state")
        marker = place / "entries"
        if not marker.exists():
            migrate.upgrade(settings.database_url)
            _fill(server.url, settings, entries)
            marker.write_text(str(entries))
        yield settings, int(marker.read_text())


class _Server:
    """A PostgreSQL as the operator's guide has it set up: memory for its pages, and a log that is packed."""

    def __init__(self, place: Path) -> None:
        pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 4 // 2**20
        told = {"shared_buffers": f"{pages}MB", "wal_compression": "pglz", "max_wal_size": "4GB"}
        self._postgres = EmbeddedPostgres(place / "postgres", settings=told).start()
        self.url = self._postgres.database_url

    def close(self) -> None:
        """Stop it."""
        self._postgres.stop()


def _fill(url: str, settings: Settings, entries: int) -> None:
    runtime = build_runtime(settings)
    acts = year.acts_of(runtime.policy.audit_category, runtime.policy.audit_log)
    with psycopg.connect(url) as connection:
        connection.execute("SET synchronous_commit = off")
        connection.execute("SET maintenance_work_mem = '512MB'")
        year.fill(connection, runtime.keyring, acts, entries)


@contextmanager
def _backends(url: str, scratch: Path, env: dict[str, str]) -> Iterator[Backend]:
    """As many backends as are wanted; yields the last, which has no duty unless it is the only one."""
    wanted = int(os.environ.get("WATCHFLOOR_BENCH_BACKENDS", "1"))
    with ExitStack() as stack:
        for number in range(wanted):
            if number:
                time.sleep(_LEADS_S)
            running = stack.enter_context(backend(url, scratch / f"backend-{number}.log", env=env))
        yield running


@contextmanager
def _arriving(url: str, settings: Settings) -> Iterator["Synchronized[int]"]:
    """Have another process put entries into the outbox all the while; yields their number."""
    processes = multiprocessing.get_context("spawn")
    stop, count = processes.Event(), processes.Value("q", 0)
    process = processes.Process(target=_feed, args=(url, settings, stop, count))
    process.start()
    try:
        yield count
    finally:
        stop.set()
        process.join()


def _feed(url: str, settings: Settings, stop: Event, count: "Synchronized[int]") -> None:
    runtime = build_runtime(settings)
    with psycopg.connect(url, autocommit=True) as connection:
        while not stop.wait(_BEAT_S):
            rows = [_row(runtime, count.value + n + 1) for n in range(round(ARRIVING_PER_S * _BEAT_S))]
            connection.cursor().executemany(
                "INSERT INTO audit_outbox (id, log, canon, mac, emitted_at) VALUES (%s, %s, %s, %s, %s)", rows
            )
            count.value += len(rows)


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
