"""What a pair refuses: a standby that lacks too much, an act nobody wants any more, a loss that leaves no trace."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

import pytest

from watchfloor.pair import counting, places, rewinding, serving
from watchfloor.pair.agent import Pair
from watchfloor.pair.asked import Asked, deadline_of
from watchfloor.pair.errors import PairError
from watchfloor.pair.keeping import Keeper
from watchfloor.pair.lagging import MIB, Lag, Limits
from watchfloor.pair.serving import application
from watchfloor.pair.showing import Showing
from watchfloor.pair.state import Kept, state_file

BEGAN = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)
LIMITS = Limits(lost_mib=1, lost_seconds=30)


class Time:
    """A clock that stands still between moves."""

    def __init__(self) -> None:
        self.at = BEGAN

    def __call__(self) -> datetime:
        return self.at

    def move(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def pair(tmp_path: Path, time: Time) -> Iterator[Pair]:
    state_file(tmp_path).parent.mkdir()
    found = Pair(tmp_path, synchronous=False, limits=LIMITS, now=time)
    yield found
    places.leave(found.kept)


def lag_of(tmp_path: Path, time: Time) -> Lag:
    state_file(tmp_path).parent.mkdir(exist_ok=True)
    return Lag(Kept(state_file(tmp_path)), LIMITS, time)


def test_a_standby_that_keeps_up_may_take_over_and_one_of_which_nothing_is_known_may_not(
    tmp_path: Path, time: Time
) -> None:
    lag = lag_of(tmp_path, time)
    assert "nobody knows how far the standby b is behind" in lag.too_much("b", still_runs=False)
    for place in range(0, 100 * MIB, MIB):
        lag.saw("b", place, max(0, place - 100))
        time.move(0.5)
    assert lag.too_much("b", still_runs=False) == ""
    assert "nobody knows" in lag.too_much("a", still_runs=False)


def test_a_standby_is_refused_by_seconds_and_by_bytes(tmp_path: Path, time: Time) -> None:
    lag = lag_of(tmp_path, time)
    lag.saw("b", 1000, 1000)
    for _ in range(31):
        time.move(1)
        lag.saw("b", 1001, None)  # it does not follow; a byte was written the second after
    refused = lag.too_much("b", still_runs=False)
    assert "the standby b was 31 s and 0.0 MiB behind when the primary answered last (10:00:31 UTC)" in refused
    assert "at most 30 s and 1 MiB may be lost" in refused
    lag.saw("b", 1001, 1001)
    assert lag.too_much("b", still_runs=False) == ""
    time.move(20)
    lag.saw("b", 3 * MIB, 1001)
    assert "20 s and 3.0 MiB" in lag.too_much("b", still_runs=False)


def test_a_primary_that_stands_still_may_have_gone_on_until_now(tmp_path: Path, time: Time) -> None:
    lag = lag_of(tmp_path, time)
    lag.saw("b", 1000, 1000)
    time.move(60)
    assert lag.too_much("b", still_runs=False) == ""
    assert "was 60 s" in lag.too_much("b", still_runs=True)


def test_the_next_agent_knows_what_the_one_before_it_wrote_down(tmp_path: Path, time: Time) -> None:
    lag = lag_of(tmp_path, time)
    lag.saw("b", 1000, 1000)
    lag.keep()
    time.move(1)
    lag.saw("b", 3 * MIB, 1000)
    lag.keep()  # too soon
    assert lag_of(tmp_path, time).too_much("b", still_runs=False) == ""
    lag.keep(at_once=True)
    assert "3.0 MiB" in lag_of(tmp_path, time).too_much("b", still_runs=False)


async def test_an_asynchronous_pair_refuses_to_promote_a_stale_standby(
    pair: Pair, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Pair, "lacks_data", lambda *_: False)
    pair.lag.saw("b", 1000, 1000)
    time.move(100)
    pair.lag.saw("b", 2000, None)
    with pytest.raises(PairError, match=r"b was 100 s and .* start a again"):
        await pair.fail_over(None)
    assert pair.kept.now.primary == "a"
    remarks = (await Showing(pair, Keeper(pair), "pair", time).topology()).remarks
    assert remarks == [
        "Commits wait for nobody: a standby that lacks more than 30 s and 1 MiB does not become primary."
    ]


# who asks, and until when


async def test_what_was_to_begin_earlier_is_not_begun(pair: Pair, time: Time) -> None:
    late = Asked(deadline_of((BEGAN - timedelta(seconds=1)).isoformat()))
    with pytest.raises(PairError, match=r"was to begin before 09:59:59 UTC"):
        async with pair.acting("something", late):
            pytest.fail("it was begun")
    assert not late.begun
    assert not pair.is_busy
    async with pair.acting("something", Asked(BEGAN)):
        time.move(5)  # what has begun goes on


@pytest.mark.parametrize("text", ["soon", "2026-11-21T10:00:00"])
def test_a_deadline_is_an_instant_with_its_zone(text: str) -> None:
    with pytest.raises(PairError, match="until when"):
        deadline_of(text)
    assert deadline_of("") is None


Act = Callable[[str | None, Asked], Awaitable[Any]]


async def asked_and_left(pair: Pair, monkeypatch: pytest.MonkeyPatch, *, busy: bool) -> list[str]:
    """Ask for a kill and hang up; what has happened once everything else is over."""
    happened: list[str] = []

    async def kill(_self: Pair, asked: Asked) -> None:
        async with pair.acting("killing the primary", asked):
            happened.append("begun")
            await asyncio.sleep(0.1)
            happened.append("done")

    monkeypatch.setattr(Pair, "kill_primary", kill)
    monkeypatch.setattr(serving, "asdict", lambda _: {})
    app = application(pair, Showing(pair, Keeper(pair), "pair", pair.now))
    messages: list[dict[str, Any]] = [
        {"type": "http.request", "body": b"", "more_body": False},
        {"type": "http.disconnect"},
    ]

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(0.02)
        return messages.pop(0) if messages else {"type": "http.disconnect"}

    async def send(_message: Any) -> None:
        """Nobody reads it."""

    scope = {"type": "http", "method": "POST", "path": "/kill-primary", "query_string": b"", "headers": []}
    if busy:
        async with pair.acting("something else"):
            await app(scope, receive, send)
    else:
        await app(scope, receive, send)
    await asyncio.sleep(0.1)
    return happened


async def test_who_hangs_up_stops_what_has_not_begun(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    assert await asked_and_left(pair, monkeypatch, busy=True) == []


async def test_what_has_begun_goes_on_without_who_asked(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    assert await asked_and_left(pair, monkeypatch, busy=False) == ["begun", "done"]


# what only a former primary had


async def rewound(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> tuple[list[str], str]:
    """Rewind a node of which nobody can count what only it has; what was done, and how it is said to be."""
    node, did = pair.nodes["a"], list[str]()
    log = node.cluster / "pg_wal"
    log.mkdir(parents=True, exist_ok=True)
    (log / "000000010000000000000001").write_bytes(b"evidence")

    async def uncounted(*_: Any, **__: Any) -> None:
        return None

    async def act(*_: Any, **__: Any) -> None:
        did.append("rewound")

    class Asking:
        async def __aenter__(self) -> Self:
            return self

        async def __aexit__(self, *_: object) -> None:
            """Nothing was opened."""

        async def execute(self, _: str) -> None:
            """Nobody is there."""

    monkeypatch.setattr(counting, "loss", uncounted)
    monkeypatch.setattr(type(node.tools), "rewind", act)
    monkeypatch.setattr(type(node), "ask", lambda *_, **__: Asking())
    monkeypatch.setattr(type(node), "as_standby", uncounted)
    pair.kept.change(primary="b", diverged="a")
    return did, await rewinding.rewind(pair, node)


async def test_a_log_that_nobody_could_count_is_kept(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    did, how = await rewound(pair, monkeypatch)
    assert (did, how) == (["rewound"], "rewound")
    kept = Path(pair.kept.now.kept_log)
    assert kept.name == "kept-log-20261121T100000Z"
    assert (kept / "000000010000000000000001").read_bytes() == b"evidence"
    [remark] = (await Showing(pair, Keeper(pair), "pair", pair.now).topology()).remarks[1:]
    assert str(kept) in remark


async def test_a_log_that_can_be_neither_counted_nor_kept_is_left(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("watchfloor.pair.rewinding.shutil.copytree", full)
    with pytest.raises(PairError, match="could not be counted, and its log cannot be kept: No space left"):
        await rewound(pair, monkeypatch)
    assert pair.kept.now.diverged == "a"
    assert pair.kept.now.broken is None
