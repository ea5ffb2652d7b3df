"""A verification that takes up where the last one ended costs what is new, not what there was before."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import psycopg

from backend.audit.verification import periods
from backend.audit.verification.check import Plan, Result, verify
from backend.audit.verification.state import State
from backend.audit.verification.verdicts import Verdict
from backend.context import Runtime
from tests.bench.filled import fill
from tests.support import databases
from tests.support.app import App, started_app
from tests.support.clocks import SetClock
from tests.support.ledger import settled
from tests.support.verifying import act, keys_of, opened

NEW = 20
"""Entries since the last verification, however many there were before."""
_READ = """
SELECT (SELECT sum(seq_tup_read + coalesce(idx_tup_fetch, 0)) FROM pg_stat_user_tables WHERE relname <> 'audit_outbox')
    + (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes WHERE relname <> 'audit_outbox')
"""
"""Rows that scans of tables and of indexes have read.

Not the outbox's, which holds nothing of the history: the sequencer has read there all that is filled in, and may give
up its counts only while the second verification runs.
"""


def rows_read(connection: psycopg.Connection[Any], url: str) -> int:
    """Rows of all tables that were read up to now; counts of a session are given up when it is told to."""
    connection.execute("SELECT pg_stat_force_next_flush()")
    connection.execute("SELECT 1")
    with opened(url) as other:
        row = other.execute(_READ).fetchone()
    assert row is not None
    return int(row[0])


async def sealed(app: App, days: int) -> None:
    """Seal periods, empty ones too: a row and an entry of `meta` each."""
    for _ in range(days):
        async with app.runtime.database.transaction() as session:
            await periods.seal_due(session, app.runtime)
        await settled(app)


def judged(url: str, runtime: Runtime, trusted: State | None = None, *, full: bool = True) -> tuple[Result, int]:
    """Verify, and count the rows read."""
    with opened(url) as connection:
        connection.execute("VACUUM")  # what has left the outbox is not counted
        connection.execute("SET enable_seqscan = off")  # tables of a few pages are read whole otherwise
        before = rows_read(connection, url)
        result = verify(connection, Plan(keys_of(runtime), trusted=trusted, full=full, words=False))
        return result, rows_read(connection, url) - before


async def cost(url: str, entries: int, days: int) -> tuple[int, int]:
    """Rows that a full and an incremental verification read after so much history."""
    clock = SetClock(datetime(2026, 1, 5, tzinfo=UTC))  # when what is filled in was placed
    async with started_app(url, clock=clock.clock) as app:
        await act(app)
        await settled(app)
        with psycopg.connect(url) as connection:
            fill(connection, "import:old", entries)
            connection.execute("ANALYZE")
        clock.pass_(days=days)
        await sealed(app, days // periods.MAX_AT_ONCE + 1)
        first, whole = await asyncio.to_thread(judged, url, app.runtime)
        assert set(first.verdicts.failed) <= {Verdict.EXTERNAL, Verdict.PROJECTION}, first.verdicts.to_tree()
        for number in range(NEW):
            await act(app, number)
        await settled(app)
        second, more = await asyncio.to_thread(judged, url, app.runtime, first.state, full=False)
        assert second.entries == NEW
        return whole, more


async def test_an_incremental_run_reads_what_is_new_however_long_the_history_is(template_database: str) -> None:
    costs = []
    for entries, days in ((1_000, 2), (10_000, 20)):
        name, url = databases.create_database(template_database)
        try:
            costs.append(await cost(url, entries, days))
        finally:
            databases.drop_database(name)
    (whole_small, new_small), (whole_large, new_large) = costs
    assert whole_large > 5 * whole_small, costs
    assert new_large < 4 * new_small, costs
