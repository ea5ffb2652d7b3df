"""Leadership with real backend processes: one leader at a time, quick take-over, no commit of a stopped leader."""

import asyncio
import signal
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from backend.context import Runtime
from backend.leader import run_monitors
from backend.monitors import Monitor
from backend.runtime import build_runtime
from backend.settings import Settings
from backend.stream import Broker
from tests.support.backends import PROBE_TABLE, Backend, backends, eventually
from tests.support.outage import outage

TAKEOVER_GOAL_S = 5.0
"""What we promise. Asserted against the database's record of ticks, with the slack below for a loaded machine."""
SLACK_S = 10.0
Tick = tuple[int, int, int, float]
Record = Callable[[str, object], None]


def _ticks(url: str) -> list[Tick]:
    """(id, pid, fence, seconds) of every committed tick, in order of insertion."""
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT id, pid, fence, extract(epoch FROM at)::float FROM probe_ticks ORDER BY id")
        return [(ident, pid, fence, at) for ident, pid, fence, at in rows]


def _leader(url: str, running: list[Backend]) -> Backend:
    def look() -> Backend | None:
        ticks = _ticks(url)
        return next((each for each in running if ticks and each.pid == ticks[-1][1]), None)

    return eventually(look, 15, "a first tick")[0]


def _tick_by_other(url: str, pid: int, after_id: int) -> Tick | None:
    return next((tick for tick in _ticks(url) if tick[1] != pid and tick[0] > after_id), None)


def _assert_one_at_a_time(ticks: list[Tick]) -> None:
    """Each fencing number belongs to one process, and numbers rise in the order in which ticks happened."""
    by_time = [fence for *_, fence, _at in sorted(ticks, key=lambda tick: tick[3])]
    assert by_time == sorted(by_time)
    assert len({(pid, fence) for _, pid, fence, _ in ticks}) == len({fence for _, _, fence, _ in ticks})


@pytest.fixture
def measured(request: pytest.FixtureRequest) -> Record:
    """Keep a figure with the test's report; a figure is never asserted more tightly than the promise needs."""
    return lambda name, value: request.node.user_properties.append((name, value))


@pytest.fixture
def probed(database_url: str) -> str:
    with psycopg.connect(database_url) as connection:
        connection.execute(PROBE_TABLE)
    return database_url


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGSTOP])
def test_another_backend_takes_over(probed: str, tmp_path: Path, blow: signal.Signals, measured: Record) -> None:
    with backends(probed, tmp_path, 2, probe=True) as running:
        leader = _leader(probed, running)
        time.sleep(1.0)
        last = _ticks(probed)[-1]
        leader.send(blow)
        taken, seconds = eventually(
            lambda: _tick_by_other(probed, leader.pid, last[0]), TAKEOVER_GOAL_S + SLACK_S, "a take-over"
        )
        measured("takeover_s", round(seconds, 2))
        assert taken[2] > last[2]
        if blow is signal.SIGSTOP:
            before = [tick for tick in _ticks(probed) if tick[1] == leader.pid]
            leader.send(signal.SIGCONT)
            time.sleep(1.5)  # several of its tick intervals
            after = [tick for tick in _ticks(probed) if tick[1] == leader.pid]
            assert after == before
        _assert_one_at_a_time(_ticks(probed))


def test_a_leader_that_stops_properly_is_followed_at_once(probed: str, tmp_path: Path, measured: Record) -> None:
    with backends(probed, tmp_path, 2, probe=True) as running:
        leader = _leader(probed, running)
        leader.send(signal.SIGTERM)
        assert leader.wait() in (0, -signal.SIGTERM)
        last = [tick for tick in _ticks(probed) if tick[1] == leader.pid][-1]
        _, seconds = eventually(lambda: _tick_by_other(probed, leader.pid, last[0]), SLACK_S, "a follower")
        measured("takeover_s", round(seconds, 2))
        _assert_one_at_a_time(_ticks(probed))


def test_leadership_comes_back_after_the_database_was_away(probed: str, tmp_path: Path, measured: Record) -> None:
    with backends(probed, tmp_path, 2, probe=True) as running:
        _leader(probed, running)
        with outage(probed):
            time.sleep(4.0)  # longer than a lease
        last = _ticks(probed)[-1]
        _, seconds = eventually(
            lambda: next((tick for tick in _ticks(probed) if tick[0] > last[0]), None),
            TAKEOVER_GOAL_S + SLACK_S,
            "a tick after the database came back",
        )
        measured("takeover_s", round(seconds, 2))
        time.sleep(1.0)
        _assert_one_at_a_time(_ticks(probed))
        assert all(each.process.poll() is None for each in running)


async def test_a_monitor_may_ask_to_be_called_again_soon(database_url: str) -> None:
    runtime = build_runtime(Settings(database_url=database_url, pool_size=1))
    times, enough = 0, asyncio.Event()

    async def tick(_session: AsyncSession, _runtime: Runtime) -> float | None:
        nonlocal times
        times += 1
        if times == 3:
            enough.set()
        return 0.05

    patient = Monitor(name="patient", interval_s=3_600, tick=tick, min_gap_s=3_600)
    try:
        async with run_monitors(runtime, Broker(runtime), (patient,)), asyncio.timeout(SLACK_S):
            await enough.wait()
    finally:
        await runtime.database.close()


async def test_a_lease_from_before_the_clock_was_put_back_keeps_nobody_from_leading(database_url: str) -> None:
    runtime = build_runtime(Settings(database_url=database_url, pool_size=1))
    ticked = asyncio.Event()

    async def tick(_session: AsyncSession, _runtime: Runtime) -> float | None:
        ticked.set()
        return None

    with psycopg.connect(database_url) as connection:
        connection.execute(
            "INSERT INTO leader_leases (name, holder, fence, expires_at)"
            " VALUES ('orphan', 'a leader that died', 7, clock_timestamp() + interval '1 hour')"
        )
    try:
        orphan = Monitor(name="orphan", interval_s=1, tick=tick)
        async with run_monitors(runtime, Broker(runtime), (orphan,)), asyncio.timeout(SLACK_S):
            await ticked.wait()
    finally:
        await runtime.database.close()
