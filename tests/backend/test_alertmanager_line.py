"""The line of deliveries: nothing is read of what it does not take, and what it takes is locked in one order."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import orjson
import psycopg
import pytest
from sqlalchemy import select

from backend.alerts.alertmanager import receiving
from backend.alerts.tables import AlertRow
from tests.backend.test_alertmanager_webhook import asked
from tests.support.alertmanager_bodies import HOOK, deliverer, delivery, told
from tests.support.app import App


async def test_of_what_comes_beyond_the_line_nothing_is_read(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    hook = await deliverer(app)
    read, go, both = 0, asyncio.Event(), asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        nonlocal read
        read += 1
        if read == 2:
            both.set()
        await go.wait()
        yield orjson.dumps(delivery(told("RpcLag")))

    token = hook.headers["authorization"].encode()
    monkeypatch.setattr(receiving, "MAX_WAITING", 2)
    first = [asyncio.create_task(asked(app, slow, token)) for _ in range(2)]
    await both.wait()
    assert [await asked(app, slow, token) for _ in range(3)] == [503] * 3
    assert read == 2, "they are sent away before their bodies are read"
    go.set()
    assert await asyncio.gather(*first) == [200, 200]
    assert await asked(app, slow, token) == 200, "and the places are free again"


async def test_deliveries_that_wait_lock_what_they_are_about_in_one_order(app: App, database_url: str) -> None:
    """A person's act on several alerts has one of them and waits for another: neither waits in a circle."""
    hook = await deliverer(app)
    assert (await hook.post(HOOK, json=delivery(told("A"), told("B")))).is_success
    async with app.runtime.database.read() as session:
        name = {str(row.id): row.rule for row in await session.scalars(select(AlertRow))}
    low, high = sorted(name)
    locking = "SELECT id FROM alerts WHERE id = %s FOR UPDATE"
    async with (
        await psycopg.AsyncConnection.connect(database_url, autocommit=True) as looker,
        await psycopg.AsyncConnection.connect(database_url) as gate,
        await psycopg.AsyncConnection.connect(database_url) as person,
    ):
        await gate.execute("SELECT name FROM alertmanager_sources FOR UPDATE")
        going = [asyncio.create_task(hook.post(HOOK, json=delivery(told("C"))))]
        await _until_waiting(looker, 1)
        going += [asyncio.create_task(hook.post(HOOK, json=delivery(told(name[one])))) for one in (high, low)]
        await asyncio.sleep(0.3)  # until both stand in the line
        await person.execute(locking, [low])
        await gate.commit()
        await _until_waiting(looker, 1)
        await person.execute(f"{locking} NOWAIT", [high])
        await person.commit()
    assert {answer.status_code for answer in await asyncio.gather(*going)} == {200}


async def _until_waiting(looker: psycopg.AsyncConnection[Any], number: int) -> None:
    """Until so many connections wait for somebody's lock."""
    waiting = (
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        " AND query ILIKE '%alert%'"
    )
    for _ in range(1_000):
        [found] = await (await looker.execute(waiting)).fetchone() or [0]
        if found >= number:
            await asyncio.sleep(0.05)
            return
        await asyncio.sleep(0.01)
    raise AssertionError("nobody waits")
