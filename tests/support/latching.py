"""Shortcuts for tests of freezes that the database does not take."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import psycopg

from contract.freeze import Freeze, FreezeStatus
from tests.support.app import App


async def until(happened: Callable[[], bool], what: str) -> None:
    """Wait for something; fail when it never comes true."""
    for _ in range(3_000):
        if happened():
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"never happened: {what}")


async def signed_in(app: App, *people: Any) -> list[httpx.AsyncClient]:
    """Clients of people whom the backend knows without its database too."""
    clients = [await app.as_(person) for person in people]
    known = app.runtime.callers
    await until(lambda: bool(known.known.keys) and {one.name for one in people} <= set(known.known.people), "known")
    return clients


async def post(client: httpx.AsyncClient, scope: str = "chain:arbitrum", **body: Any) -> httpx.Response:
    kind, _, name = scope.partition(":")
    asked = {"scope": {"kind": kind, "name": name}, "reason": "losses nobody can explain"} | body
    return await client.post("/v1/freezes", json=asked)


async def latched(client: httpx.AsyncClient, scope: str = "chain:arbitrum", **body: Any) -> Freeze:
    """Freeze and expect it to be latched."""
    answer = await post(client, scope, **body)
    assert answer.status_code == 202, answer.text
    assert (answer.json()["status"], answer.json()["ref"]) == ("latched", None)
    made = Freeze.model_validate(answer.json())
    assert (made.ref, made.status) == ("LATCHED", FreezeStatus.LATCHED)
    return made


def rows(url: str, statement: str, *values: object) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(statement, values).fetchall()


@contextmanager
def lock_held(url: str) -> Iterator[psycopg.Connection]:
    """Another session that keeps the lock under which freezes are numbered."""
    with psycopg.connect(url) as other:
        other.execute("INSERT INTO freeze_state (id, epoch, last_number) VALUES (1, 0, 0) ON CONFLICT DO NOTHING")
        other.commit()
        other.execute("SELECT 1 FROM freeze_state FOR UPDATE")
        yield other
        other.rollback()
