"""A pair whose agent runs in the process of the test, so that waits can be made short: a promotion that never comes."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import psycopg
import pytest

from backend.clock import SYSTEM_CLOCK
from tests.support.pair import child_of
from tests.support.places import public_directory
from tests.support.processes import until_gone
from watchfloor.embedded.cluster import SUPERUSER
from watchfloor.pair import promoting
from watchfloor.pair.agent import Pair
from watchfloor.pair.errors import PairError
from watchfloor.pair.keeping import Keeper
from watchfloor.pair.state import DIRECTORY

PATIENCE_S = 60.0
PROMOTE_S = 3.0

pytestmark = pytest.mark.e2e


@asynccontextmanager
async def kept_pair(directory: Path) -> AsyncIterator[Pair]:
    """A pair whose standby is in step."""
    (directory / DIRECTORY).mkdir()
    pair = Pair(directory, synchronous=True, now=SYSTEM_CLOCK.now)
    await pair.begin()
    keeping = asyncio.create_task(Keeper(pair).run())
    try:
        await in_step(pair)
        yield pair
    finally:
        keeping.cancel()
        with suppress(asyncio.CancelledError):
            await keeping
        await pair.end()


async def in_step(pair: Pair) -> None:
    """Wait until commits wait for the standby."""
    deadline = time.monotonic() + PATIENCE_S
    while not pair.kept.now.in_step or pair.is_busy:
        assert time.monotonic() < deadline, "the standby is never in step"
        await asyncio.sleep(0.05)


def startup_of(pair: Pair) -> int:
    """The process of the standby that replays the log."""
    file = pair.standby.cluster / "postmaster.pid"
    return child_of(int(file.read_text().split("\n", 1)[0]), b"startup")


async def test_a_switchover_whose_promotion_never_comes_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(promoting, "PROMOTE_S", PROMOTE_S)
    with public_directory() as directory:
        async with kept_pair(directory) as pair:
            with psycopg.connect(host=str(pair.primary.socket_dir), user=SUPERUSER, dbname="postgres") as writer:
                writer.execute("CREATE TABLE written (id int)")
                writer.execute("INSERT INTO written VALUES (1)")
            os.kill(startup_of(pair), signal.SIGSTOP)
            with pytest.raises(PairError, match=r"nothing has changed, a is primary as before: b did not"):
                await pair.switch_over(None)
            assert pair.primary.name == "a"
            await in_step(pair)
            assert (await pair.primary.one("SELECT count(*) FROM written")) == (1,)
            assert await pair.switch_over(None) == "b", "what kept it from being promoted is gone"
        until_gone(str(directory))


async def test_a_failover_whose_promotion_never_comes_leaves_the_killed_one_to_be_started(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(promoting, "PROMOTE_S", PROMOTE_S)
    with public_directory() as directory:
        async with kept_pair(directory) as pair:
            await pair.kill_primary()
            os.kill(startup_of(pair), signal.SIGSTOP)
            with pytest.raises(PairError, match="nothing was promoted: start a again"):
                await pair.fail_over(None)
            assert not pair.primary.runs
            await pair.restart("a")
            assert pair.primary.name == "a"
            await in_step(pair)
        until_gone(str(directory))
