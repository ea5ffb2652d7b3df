"""The promise the stream stands on: ids rise in the order of commits, so resuming after an id skips nothing."""

import asyncio
import contextlib
import random

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from backend.context import Runtime
from backend.events import flush_events, publish
from backend.stream.service import last_event_id
from contract.stream import Topic, TransactionsStored
from tests.backend.test_stream import AT
from tests.support.app import App
from tests.support.backends import serving
from tests.support.people import ADMIN, sign_in
from tests.support.sse import open_stream

WRITERS = 8
TRANSACTIONS_EACH = 25
PATIENCE_S = 60.0


class _DeliberateRollbackError(Exception):
    pass


async def _one_transaction(runtime: Runtime, counts: list[int], *, pause_s: float, fail: bool) -> None:
    async with runtime.database.transaction() as session:
        for count in counts:
            stored = TransactionsStored(count=count, first_block_time=AT, last_block_time=AT)
            publish(session, Topic.TRANSACTIONS, stored)
        await session.execute(text("SELECT pg_sleep(:s)"), {"s": pause_s})
        if fail:
            await flush_events(session)  # the ids are taken, and never seen
            raise _DeliberateRollbackError


async def _write(runtime: Runtime, writer: int, choice: random.Random) -> list[int]:
    """Commit or roll back transactions of one to four events; returns the counts that were committed."""
    committed = []
    for number in range(TRANSACTIONS_EACH):
        counts = [writer * 10_000 + number * 10 + part for part in range(choice.randint(1, 4))]
        fail = choice.random() < 0.3
        with contextlib.suppress(_DeliberateRollbackError):
            await _one_transaction(runtime, counts, pause_s=choice.random() * 0.01, fail=fail)
        committed += [] if fail else counts
    return committed


async def _write_everything(runtime: Runtime) -> list[int]:
    written = await asyncio.gather(*(_write(runtime, n, random.Random(n)) for n in range(1, WRITERS + 1)))  # noqa: S311  reproducible, not secret
    return [count for counts in written for count in counts]


async def _an_event(runtime: Runtime) -> int:
    """Something to resume after: before the first event that is kept, a stream begins with a reset."""
    async with runtime.database.transaction() as session:
        publish(session, Topic.TRANSACTIONS, TransactionsStored(count=0, first_block_time=AT, last_block_time=AT))
    async with runtime.database.read() as session:
        return await last_event_id(session)


async def test_a_reader_that_resumes_never_misses_an_event(app: App) -> None:
    """It polls the table, always after the highest id seen: an id that becomes visible late would be lost."""
    seen: list[tuple[int, int]] = []

    async def poll() -> None:
        async with app.runtime.database.read() as session:
            rows = await session.execute(
                text("SELECT id, (payload->>'count')::int FROM stream_events WHERE id > :after ORDER BY id"),
                {"after": seen[-1][0] if seen else 0},
            )
            seen.extend((ident, count) for ident, count in rows)

    async def poll_while_writing(writing: "asyncio.Task[list[int]]") -> None:
        while not writing.done():
            await poll()
            await asyncio.sleep(0.001)
        await poll()

    writing = asyncio.create_task(_write_everything(app.runtime))
    await poll_while_writing(writing)
    assert sorted(count for _, count in seen) == sorted(writing.result())
    assert [ident for ident, _ in seen] == sorted({ident for ident, _ in seen})


@pytest.mark.parametrize("seed", [1, 2])
async def test_a_console_that_reconnects_all_the_time_gets_everything_once(app: App, seed: int) -> None:
    token = await sign_in(app.runtime, ADMIN)
    choice = random.Random(seed)  # noqa: S311  reproducible, not secret
    ids: list[int] = []
    counts: list[int] = []
    started_after = await _an_event(app.runtime)
    async with serving(app.app) as url, asyncio.timeout(PATIENCE_S):
        writing = asyncio.create_task(_write_everything(app.runtime))
        complete = False
        while not complete:
            wanted = len(counts) + choice.randint(1, 60)
            async with open_stream(url, token, after=ids[-1] if ids else started_after) as stream:
                while len(counts) < wanted and not complete:
                    event = await stream.next(beats=True)
                    if event.topic == "transactions":
                        assert event.id is not None
                        ids.append(event.id)
                        counts.append(event.data["count"])
                    complete = writing.done() and len(counts) >= len(writing.result())
    assert ids == sorted(set(ids))
    assert sorted(counts) == sorted(writing.result())


async def test_events_of_one_transaction_keep_their_order(app: App) -> None:
    async with app.runtime.database.transaction() as session:
        for count in range(500):
            publish(
                session, Topic.TRANSACTIONS, TransactionsStored(count=count, first_block_time=AT, last_block_time=AT)
            )
    async with app.runtime.database.read() as session:
        counts = (await session.scalars(text("SELECT (payload->>'count')::int FROM stream_events ORDER BY id"))).all()
    assert counts == list(range(500))


async def _commit_while_another_stalls(runtime: Runtime) -> None:
    stored = TransactionsStored(count=1, first_block_time=AT, last_block_time=AT)
    async with runtime.database.transaction() as stalled:
        publish(stalled, Topic.TRANSACTIONS, stored)
        await flush_events(stalled)
        async with runtime.database.transaction() as session:
            publish(session, Topic.TRANSACTIONS, stored.model_copy(update={"count": 2}))


async def test_a_writer_that_stalls_before_its_commit_holds_the_others_up_only_for_a_moment(app: App) -> None:
    """A stopped process must not keep the order lock: the server ends its transaction, which then cannot commit."""
    with pytest.raises(DBAPIError):
        await _commit_while_another_stalls(app.runtime)
    async with app.runtime.database.read() as session:
        counts = (await session.scalars(text("SELECT (payload->>'count')::int FROM stream_events"))).all()
    assert counts == [2]
