"""Reserved connections are closed, whatever became of the attempts that had them."""

import asyncio
import gc
import warnings

import psycopg
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from backend.reserve import Reserve
from tests.support.app import App


async def test_a_connection_of_an_attempt_under_way_is_closed_with_the_reserve(app: App) -> None:
    runtime = app.runtime
    reserve = Reserve(runtime.settings, runtime.database.nodes)
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def work(session: AsyncSession) -> None:
        await session.execute(text("SELECT 1"))
        begun.set()
        await go_on.wait()

    under_way = asyncio.create_task(reserve.attempt(work, 30))
    await begun.wait()
    [line] = reserve._open
    await reserve.close()
    assert line.closed
    go_on.set()
    await asyncio.gather(under_way, return_exceptions=True)
    del line, under_way
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        gc.collect()


async def test_an_attempt_that_is_cut_off_at_any_moment_leaves_no_connection(app: App) -> None:
    runtime = app.runtime

    async def work(session: AsyncSession) -> None:
        await session.execute(text("SELECT pg_sleep(5)"))

    for after_ms in (0, 1, 2, 3, 5, 8, 13, 21, 34, 55):
        reserve = Reserve(runtime.settings, runtime.database.nodes)
        made: list[psycopg.AsyncConnection[object]] = []
        under_way = asyncio.create_task(reserve.attempt(work, 30))
        await asyncio.sleep(after_ms / 1000)
        under_way.cancel()
        await asyncio.gather(under_way, return_exceptions=True)
        made += reserve._open
        await reserve.close()
        assert all(line.closed for line in made)
