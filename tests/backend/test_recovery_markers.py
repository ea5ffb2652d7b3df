"""Marker rows on real servers: acknowledged, found again on the new primary, and counted exactly when they are lost."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from backend.context import Runtime
from backend.continuity import markers as under_test
from backend.continuity.marker_file import Ack, Known, Line
from backend.continuity.markers import Markers, judged, marker_path
from backend.continuity.measuring import Lost
from backend.continuity.writable import connect, places_of, took_write
from backend.runtime import build_runtime
from backend.settings import Settings
from tests.support.app import App
from tests.support.writing import both, killed, primary_and_standby, signalled

DRILL = "DR-TEST-20261123"
PATIENCE_S = 30.0


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not holds():  # noqa: ASYNC110  several things are waited for
            await asyncio.sleep(0.02)


@asynccontextmanager
async def writing(runtime: Runtime, *, atleast: int = 5) -> AsyncIterator[Markers]:
    markers = Markers(runtime, DRILL)
    markers.start()
    try:
        before = markers.marks().acknowledged
        await until(lambda: markers.marks().acknowledged >= before + atleast)
        yield markers
    finally:
        await markers.stop()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "data"


def runtime_of(url: str, place: Path) -> Runtime:
    return build_runtime(Settings(database_url=url, data_dir=place))


def rows(url: str) -> list[int]:
    with psycopg.connect(url.replace("postgresql+psycopg://", "postgresql://")) as connection:
        found = connection.execute("SELECT seq FROM recovery_markers WHERE drill = %s ORDER BY seq", (DRILL,))
        return [row[0] for row in found]


def forget(url: str, *seqs: int) -> None:
    with psycopg.connect(url.replace("postgresql+psycopg://", "postgresql://")) as connection:
        connection.execute("DELETE FROM recovery_markers WHERE drill = %s AND seq = ANY(%s)", (DRILL, list(seqs)))


async def test_markers_come_as_often_as_the_policy_says(database_url: str, place: Path) -> None:
    runtime = runtime_of(database_url, place)
    async with writing(runtime) as markers:
        began, first = time.monotonic(), markers.marks().acknowledged
        await asyncio.sleep(1)
        per_second = (markers.marks().acknowledged - first) / (time.monotonic() - began)
    assert 3 < per_second <= 11
    marks = markers.marks()
    assert rows(database_url) == list(range(1, marks.acknowledged + 1))
    assert (marks.last_seq, marks.first_write_at, marks.outage_ms) == (marks.acknowledged, None, None)
    assert await markers.lost(marks) == Lost(markers=0, rpo_ms=0)


async def test_lost_markers_are_counted_exactly(database_url: str, place: Path) -> None:
    async with writing(runtime_of(database_url, place), atleast=8) as markers:
        markers.outage_began(markers._runtime.clock.now())
    marks = markers.marks()
    assert marks.last_seq is not None
    gone = [marks.last_seq - 2, marks.last_seq - 1, marks.last_seq]
    forget(database_url, *gone)
    lost = await markers.lost(marks)
    assert lost is not None
    assert lost.markers == 3
    assert 200 <= lost.rpo_ms < 5_000


async def test_another_process_knows_what_one_before_it_wrote(database_url: str, place: Path) -> None:
    async with writing(runtime_of(database_url, place)) as first:
        pass
    with marker_path(first._runtime, DRILL).open("a") as file:
        file.write("A 99")  # cut off by a crash
    marks = first.marks()
    assert marks.last_seq is not None
    forget(database_url, marks.last_seq)
    later = Markers(runtime_of(database_url, place), DRILL)
    assert await later.lost(marks) == Lost(markers=1, rpo_ms=(await first.lost(marks)).rpo_ms)  # type: ignore[union-attr]
    async with writing(runtime_of(database_url, place), atleast=10) as second:
        again = second.marks()
    assert again.acknowledged >= marks.acknowledged + 5
    assert len(rows(database_url)) == second.marks().acknowledged - 1


async def test_nothing_is_said_of_markers_that_nobody_remembers(database_url: str, place: Path) -> None:
    async with writing(runtime_of(database_url, place)) as first:
        pass
    marker_path(first._runtime, DRILL).unlink()
    assert await Markers(runtime_of(database_url, place), DRILL).lost(first.marks()) is None
    async with writing(runtime_of(database_url, place)) as second:  # numbers are not used twice all the same
        assert second.marks().last_seq > first.marks().last_seq  # type: ignore[operator]


async def test_markers_of_long_ago_are_deleted(database_url: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(under_test, "PRUNE_EVERY", 2)
    monkeypatch.setattr(under_test, "KEPT_MARKERS", 4)
    plain = database_url.replace("postgresql+psycopg://", "postgresql://")
    with psycopg.connect(plain) as connection:
        connection.execute(
            "INSERT INTO recovery_markers SELECT 'DR-TEST-20260101', i, now() - interval '8 days'"
            " FROM generate_series(1, 3) AS i"
        )
    async with writing(runtime_of(database_url, place), atleast=12) as markers:
        pass
    with psycopg.connect(plain) as connection:
        assert connection.execute("SELECT DISTINCT drill FROM recovery_markers").fetchall() == [(DRILL,)]
    marks = markers.marks()
    assert len(rows(database_url)) < marks.acknowledged
    assert await markers.lost(marks) == Lost(markers=0, rpo_ms=0)
    forget(database_url, *rows(database_url))
    assert await markers.lost(marks) is None  # as many as are known are gone: perhaps more


async def test_a_killed_primary_is_found_again_after_its_standby_was_promoted(place: Path) -> None:
    with primary_and_standby() as (primary, standby):
        async with writing(runtime_of(both(primary, standby), place)) as markers:
            before = markers._runtime.clock.now()
            killed(primary)
            markers.outage_began(before)
            await asyncio.sleep(0.5)
            assert markers.marks().first_write_at is None
            began = time.monotonic()
            await asyncio.to_thread(standby.promote)
            await until(lambda: markers.marks().first_write_at is not None)
            marks = markers.marks()
            assert marks.outage_ms is not None
            assert 500 <= marks.outage_ms <= (time.monotonic() - began) * 1000 + 5_000
            assert marks.last_at is not None
            assert marks.last_at < marks.first_write_at  # type: ignore[operator]
            lost = await markers.lost(marks)
            assert lost is not None
            gone = set(range(1, marks.last_seq + 1)) - set(rows(standby.url))  # type: ignore[operator]
            assert lost.markers == len(gone)


async def test_a_primary_that_stands_still_keeps_nobody_from_finding_the_new_one(place: Path) -> None:
    with primary_and_standby() as (primary, standby):
        async with writing(runtime_of(both(primary, standby), place)) as markers:
            markers.outage_began(markers._runtime.clock.now())
            signalled(primary, signal.SIGSTOP)
            await asyncio.to_thread(standby.promote)
            await until(lambda: markers.marks().first_write_at is not None)
            signalled(primary, signal.SIGCONT)
            await asyncio.sleep(0.5)
            assert {line.timeline for line in markers._known.lines} == {1, 2}
            assert markers._known.lines[-1].timeline == 2
            # the old one would still take writes; nobody who knows of the new one is sent there
            found = await connect(both(primary, standby), "test", newest=2)
            assert found is not None
            assert found.timeline == 2
            await found.connection.close()


async def test_a_probe_says_whether_a_write_was_taken(app: App) -> None:
    url, now = app.runtime.settings.database_url, app.runtime.clock.now()
    for _ in range(2):
        found = await took_write(url, DRILL, now)
        assert found is not None
        assert found.connection.closed
    assert rows(url) == [-2, -1]
    assert await took_write("postgresql://127.0.0.1:1/none", DRILL, now) is None


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        ("postgresql://u@/d?host=/a,/b&target_session_attrs=read-write", [("/a", None), ("/b", None)]),
        ("postgresql+psycopg://u@h1:5433,h2:5434/d", [("h1", "5433"), ("h2", "5434")]),
        ("postgresql://u@h1,h2/d?port=6000", [("h1", "6000"), ("h2", "6000")]),
        ("postgresql:///d", [(None, None)]),
    ],
)
def test_every_host_of_a_url_is_asked_by_itself(url: str, hosts: list[tuple[str | None, str | None]]) -> None:
    assert [(one.get("host"), one.get("port")) for one in places_of(url)] == hosts


def test_what_is_lost_is_judged_by_what_survived() -> None:
    acks = [Ack(seq, 1, 0, seq * 100_000, 0) for seq in range(1, 11)]
    assert judged(acks, set(range(1, 8)), all_known=True) == Lost(markers=3, rpo_ms=300)
    assert judged(acks, set(), all_known=True) == Lost(markers=10, rpo_ms=900)
    assert judged(acks, set(), all_known=False) is None
    assert judged([], set(), all_known=True) == Lost(markers=0, rpo_ms=0)


def known_markers(database_url: str, place: Path, lines: list[Line], acks: list[Ack]) -> Markers:
    """Markers that remember these connections and writes; instants are seconds before now."""
    markers = Markers(runtime_of(database_url, place), DRILL)
    markers._known = Known(acks, lines)
    return markers


def ago(markers: Markers, seconds: float) -> int:
    return markers._now_us() - round(seconds * 1_000_000)


def test_a_primary_that_is_being_killed_and_takes_a_new_connection_is_not_back(database_url: str, place: Path) -> None:
    markers = known_markers(database_url, place, [], [])
    markers._known.lines = [
        Line(1, ago(markers, 20), 1, 500, "a"), Line(2, ago(markers, 9.9), 1, 500, "a"),
    ]  # fmt: skip
    markers._known.acks = [Ack(1, 1, 0, 0, ago(markers, 11)), Ack(2, 2, 0, 0, ago(markers, 9.8))]
    markers.outage_began(markers._runtime.clock.now() - timedelta(seconds=10))
    marks = markers.marks()
    assert (marks.acknowledged, marks.last_seq, marks.first_write_at) == (2, 2, None)
    assert not markers.wrote_since(markers._runtime.clock.now() - timedelta(seconds=10))
    markers._known.lines.append(Line(3, ago(markers, 2), 1, 900, "a"))  # started again, without a promotion
    markers._known.acks.append(Ack(3, 3, 0, 0, ago(markers, 1)))
    marks = markers.marks()
    assert (marks.acknowledged, marks.last_seq) == (2, 2)
    assert marks.outage_ms is not None
    assert 8_900 <= marks.outage_ms <= 9_100
    assert markers.wrote_since(markers._runtime.clock.now() - timedelta(seconds=10))


@pytest.mark.parametrize(("silent_s", "back"), [(4.0, False), (6.0, True)])
def test_a_server_that_was_cut_off_for_a_while_is_back_without_having_been_started(
    silent_s: float, *, back: bool, database_url: str, place: Path
) -> None:
    markers = known_markers(database_url, place, [], [])
    markers._known.lines = [Line(1, ago(markers, 20), 1, 500, "a"), Line(2, ago(markers, 10 - silent_s), 1, 500, "a")]
    markers._known.acks = [Ack(1, 1, 0, 0, ago(markers, 10)), Ack(2, 2, 0, 0, ago(markers, 1))]
    markers.outage_began(markers._runtime.clock.now() - timedelta(seconds=10.5))
    assert (markers.marks().first_write_at is not None) is back


async def test_after_the_machine_was_started_again_nothing_is_measured_rather_than_wrong(
    database_url: str, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(under_test, "boot_id", lambda: "before")
    async with writing(runtime_of(database_url, place)) as first:
        began = first._runtime.clock.now()
    monkeypatch.setattr(under_test, "boot_id", lambda: "after")
    async with writing(runtime_of(database_url, place)) as during:
        during.outage_began(began)
        marks = during.marks()
        assert (marks.first_write_at, marks.outage_ms) == (None, None)
        assert "was started again" in marks.why_not
        await until(lambda: during.wrote_since(began))  # what waits for writes need not wait for ever
        during.outage_began(during._runtime.clock.now())  # what begins afterwards is measured
        assert during.marks().why_not == ""
        assert during.marks().acknowledged > 5
