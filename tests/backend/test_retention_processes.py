"""Retention in processes of its own: several at once drop once, and one that is killed has dropped all or nothing."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import text

from backend.audit.events import AuditEvent
from ledger.entry import Entry
from tests.support.aged import LOG, WIDTH, Aged, aged
from tests.support.ledger import ledger_rows
from tests.support.processes import until

ALL = 2 * WIDTH + 8
_DROPPING = (
    "SELECT count(*) FROM pg_stat_activity"
    " WHERE query LIKE 'DROP TABLE%%' AND wait_event_type = 'Lock' AND datname = current_database()"
)


@pytest.fixture
async def old(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Aged]:
    monkeypatch.setenv("WATCHFLOOR_DATA_DIR", str(tmp_path / "data"))
    async with aged(database_url, tmp_path, monkeypatch) as made:
        await made.ready()
        await made.keeper().round()
        made.grow_old()
        yield made


@dataclass
class Worker:
    """A running process, and what it has said."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def lines(self) -> int:
        """That it has begun, and one for each round."""
        assert self.process.poll() is None, f"it ended by itself: {self.log.read_text()[-2000:]}"
        return sum(line in ("began", "round") for line in self.log.read_text().splitlines())

    def kill(self) -> None:
        """End it as the kernel does."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@contextmanager
def worker(old: Aged, database_url: str, log: Path) -> Iterator[Worker]:
    """Start one; it is killed at the end."""
    argv = [sys.executable, "-m", "tests.support.retention_worker", old.clock.at.isoformat()]
    env = {**os.environ, "WATCHFLOOR_DATABASE_URL": database_url}
    with log.open("wb") as said:
        made = Worker(subprocess.Popen(argv, env=env, stdout=said, stderr=said), log)
    try:
        yield made
    finally:
        made.kill()


async def _purges(old: Aged) -> list[int]:
    """Where each announced purge began."""
    rows = [row for row in await ledger_rows(old.app) if row.event_type == AuditEvent.PARTITION_PURGED.value]
    return [(Entry.from_canon(row.canon).detail.new_value or {})["seq_from"] for row in rows]


async def _whole(old: Aged) -> dict[str, int]:
    """What must go together or stay together."""
    statements = {
        "entries": "SELECT count(*) FROM audit_entries WHERE log = :log",
        "spans": "SELECT count(*) FROM audit_spans WHERE log = :log",
        "purges": "SELECT count(*) FROM audit_purges WHERE log = :log",
        "nodes": "SELECT count(*) FROM audit_nodes WHERE log = :log",
    }
    return {name: await old.count(statement) for name, statement in statements.items()}


async def test_two_processes_at_once_drop_each_partition_once(old: Aged, database_url: str, tmp_path: Path) -> None:
    with ExitStack() as stack, psycopg.connect(database_url) as reader:
        # what keeps both at the last step of the first purge until both are there
        reader.execute("SELECT count(*) FROM audit_entries_3y_0")
        both = [stack.enter_context(worker(old, database_url, tmp_path / f"{n}.log")) for n in range(2)]
        await asyncio.to_thread(until, lambda: all(one.lines for one in both), "both begin")
        reader.rollback()
        rounds = [one.lines for one in both]
        await asyncio.to_thread(
            until,
            lambda: all(one.lines >= before + 4 for one, before in zip(both, rounds, strict=True)),
            "some rounds of each",
        )
        await asyncio.to_thread(until, lambda: _count(database_url) == 8, "the drop")
    assert await _purges(old) == [0, WIDTH]
    assert (await _whole(old))["purges"] == 2
    assert await old.entries() == 8


def _count(database_url: str) -> int:
    with psycopg.connect(database_url) as connection:
        row = connection.execute("SELECT count(*) FROM audit_entries WHERE log = %s", (LOG,)).fetchone()
        return int(row[0]) if row else -1


async def test_a_process_killed_in_the_middle_of_a_purge_has_dropped_nothing(
    old: Aged, database_url: str, tmp_path: Path
) -> None:
    before = await _whole(old)
    with psycopg.connect(database_url) as reader, psycopg.connect(database_url, autocommit=True) as looking:
        reader.execute("SELECT count(*) FROM audit_entries_3y_0")
        with worker(old, database_url, tmp_path / "killed.log") as one:

            def is_dropping() -> bool:
                row = looking.execute(_DROPPING).fetchone()
                return one.lines >= 0 and bool(row and row[0])

            await asyncio.to_thread(until, is_dropping, "the last step of a purge")
            one.kill()
        reader.rollback()
        # the server works on for whoever was killed, until it finds that nobody is there

        def is_over() -> bool:
            row = looking.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'DROP TABLE%%'"
            ).fetchone()
            return bool(row and row[0] == 0)

        await asyncio.to_thread(until, is_over, "the end of the server's process")
    assert await _whole(old) == before, "nothing of it"
    assert await _purges(old) == []
    with worker(old, database_url, tmp_path / "next.log"):
        await asyncio.to_thread(until, lambda: _count(database_url) == 8, "the next process drops them")
    assert await _purges(old) == [0, WIDTH]


async def test_processes_killed_at_any_moment_leave_all_or_nothing(
    old: Aged, database_url: str, tmp_path: Path
) -> None:
    whole = await _whole(old)
    for number in range(3):
        with worker(old, database_url, tmp_path / f"{number}.log") as one:
            await asyncio.to_thread(until, lambda one=one: one.lines > 0, "its beginning")  # type: ignore[misc]
            await asyncio.sleep(0.06 * number)
        async with old.app.runtime.database.read() as session:
            rest = await session.scalar(text("SELECT count(*) FROM audit_purges"))
        now = await _whole(old)
        dropped = now["purges"]
        assert rest == dropped
        assert (now["entries"], now["spans"]) == (whole["entries"] - dropped * WIDTH, whole["spans"] - dropped)
        assert len(await _purges(old)) == dropped
