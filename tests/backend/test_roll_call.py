"""Two backends and a database that was away: the one that has latched nothing waits for the one that may have."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import psycopg
import pytest

from backend.errors import WatchfloorError
from backend.freeze import rollcall
from tests.support.app import DESKS, App, started_app
from tests.support.holds import MACHINE, renewal
from tests.support.latching import latched, rows, signed_in
from tests.support.outage import outage
from tests.support.people import ADMIN


async def until(happened: Callable[[], Awaitable[bool]], what: str) -> None:
    for _ in range(1_000):
        if await happened():
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"never happened: {what}")


@pytest.fixture
async def pair(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[App, App]]:
    """Two backends, each with a data directory of its own and the same master key."""
    monkeypatch.setenv("WATCHFLOOR_MASTER_KEY_FILE", str(tmp_path / "master.key"))
    monkeypatch.setenv("WATCHFLOOR_DATA_DIR", str(tmp_path / "a"))
    async with started_app(database_url) as first:
        monkeypatch.setenv("WATCHFLOOR_DATA_DIR", str(tmp_path / "b"))
        async with started_app(database_url, sequence=False) as second:
            yield first, second


def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine is no reason to be taken for dead."""
    monkeypatch.setattr(rollcall, "LONGEST_S", 3_600.0)
    monkeypatch.setattr(rollcall, "FORGOTTEN_AFTER_S", 3_600.0)


async def may_send(app: App) -> bool:
    """Whether one renewal is answered with a permit that allows sending."""
    try:
        return (await DESKS[id(app.runtime)].renew(MACHINE, renewal("bot-1"))).spelled_out().may_trade
    except WatchfloorError:
        return False


async def test_what_one_has_latched_holds_at_the_other_when_the_database_comes_back(
    pair: tuple[App, App], database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = pair
    patient(monkeypatch)
    (admin,) = await signed_in(first, ADMIN)
    await until(lambda: may_send(second), "it may send while all is well")
    keeper, drained = first.app.state.latch, asyncio.Event()
    drain = keeper.drain

    async def late() -> None:
        if drained.is_set():
            await drain()

    monkeypatch.setattr(keeper, "drain", late)
    with outage(database_url):
        await latched(admin, "executor:bot-1")
        assert not await may_send(second)
    for _ in range(3):
        assert not await may_send(second), "the freeze is not in the database yet"
    drained.set()
    await until(lambda: held(database_url), "the hold is stored")
    for _ in range(5):
        assert not await may_send(second), "it is held now"


async def held(database_url: str) -> bool:
    return bool(rows(database_url, "SELECT 1 FROM freezes WHERE status = 'active'"))


async def test_when_nobody_has_latched_anything_permits_are_soon_given_again(
    pair: tuple[App, App], database_url: str
) -> None:
    _, second = pair
    await until(lambda: may_send(second), "it may send while all is well")
    with outage(database_url):
        await until(lambda: refused(second), "it may not while the database is away")
    await until(lambda: may_send(second), "it may send again")


async def test_an_old_check_in_that_bears_a_later_time_ends_no_wait(
    pair: tuple[App, App], database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = pair
    patient(monkeypatch)
    (admin,) = await signed_in(first, ADMIN)
    await until(lambda: may_send(second), "it may send while all is well")
    monkeypatch.setattr(first.app.state.latch, "drain", _never)
    with outage(database_url):
        await latched(admin, "executor:bot-1")
        assert not await may_send(second)
    with psycopg.connect(database_url) as connection:  # as after a restart on a host whose clock is an hour behind
        connection.execute("UPDATE backend_checkins SET checked_in_at = checked_in_at + interval '1 hour'")
    for _ in range(3):
        assert not await may_send(second), "what bears a later time is an old check-in all the same"


async def _never() -> None:
    return


async def refused(app: App) -> bool:
    return not await may_send(app)


async def test_a_backend_that_ends_in_order_is_not_waited_for(pair: tuple[App, App], database_url: str) -> None:
    assert len(pair) == 2
    await until(lambda: checked_in(database_url, 2), "both check in")
    async with started_app(database_url, sequence=False):
        await until(lambda: checked_in(database_url, 2), "one speaks for another of its own place")
    assert await checked_in(database_url, 2) or await checked_in(database_url, 1)


async def checked_in(database_url: str, count: int) -> bool:
    return len(rows(database_url, "SELECT boot FROM backend_checkins")) == count
