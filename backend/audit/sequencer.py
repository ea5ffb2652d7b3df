"""Moves committed entries from the outbox into the ledger: one leader, many entries a transaction, no gap ever.

The order of entries is settled here and nowhere else. What cannot be an entry is put into quarantine and announced,
so that it neither stalls the others nor is lost. Must never change an entry, and never poll "newer than the last":
a late commit would be skipped for ever.
"""

import asyncio
import hmac
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import psycopg
import structlog

from backend.audit import ledger_rows, quarantine
from backend.audit.ledger_rows import Placed
from backend.audit.outbox import mac_of
from backend.context import Runtime
from backend.monitors import Duty, Lead
from ledger.canon import CanonError
from ledger.entry import Entry

log = structlog.get_logger(__name__)

BATCH_ENTRIES: Final = 1_000
"""Entries taken in one transaction: a commit is shared, a reader waits a few tens of milliseconds at most."""
IDLE_POLL_S: Final = 0.1
"""Entries of other processes are found by looking: announcing each would serialise all commits."""
STALLED_MS: Final = 4_000
"""The server ends the transaction of a sequencer that was stopped, so that its rows go free for the next."""

_Connection = psycopg.AsyncConnection[tuple[Any, ...]]

_TAKE = """
DELETE FROM audit_outbox AS waiting
USING (SELECT id FROM audit_outbox LIMIT %(limit)s FOR UPDATE SKIP LOCKED) AS taken
WHERE waiting.id = taken.id
RETURNING waiting.id, waiting.log, waiting.canon, waiting.mac, waiting.sealed, waiting.emitted_at
"""


@dataclass(frozen=True, slots=True)
class Taken:
    """One row of the outbox."""

    id: UUID
    log: str
    canon: bytes
    mac: bytes
    sealed: bytes | None
    emitted_at: datetime


class Sequencer:
    """The one process that writes the ledger, as long as its leadership holds."""

    def __init__(self, runtime: Runtime, lead: Lead) -> None:
        self._runtime = runtime
        self._lead = lead

    async def run(self) -> None:
        """Sequence for ever; returns only by an exception."""
        async with await self._runtime.database.dedicated("sequencer") as connection:
            await connection.execute(f"SET idle_in_transaction_session_timeout = {STALLED_MS}")
            while True:
                self._runtime.outbox_filled.clear()
                taken = await self.step(connection)
                if taken < BATCH_ENTRIES:
                    await self._pause()

    async def _pause(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(IDLE_POLL_S):
                await self._runtime.outbox_filled.wait()

    async def step(self, connection: _Connection) -> int:
        """Take one batch into the ledger in one transaction; returns how many rows of the outbox it settled."""
        announced: list[int] = []
        emitter = self._runtime.emitter
        try:
            async with connection.transaction():
                await self._lead.require(connection)
                cursor = await connection.execute(_TAKE, {"limit": BATCH_ENTRIES})
                taken = [Taken(*row) for row in await cursor.fetchall()]
                if taken:
                    await self._place(connection, taken, announced)
        except BaseException:
            for number in announced:
                emitter.withdraw(number)
            raise
        for number in announced:
            emitter.settle(number)
        self._count(len(taken), len(announced))
        return len(taken)

    def _count(self, settled: int, quarantined: int) -> None:
        metrics = self._runtime.metrics
        metrics.audit_sequenced.inc(settled - quarantined)
        metrics.audit_quarantined.inc(quarantined)

    async def _place(self, connection: _Connection, taken: list[Taken], announced: list[int]) -> None:
        sound: dict[str, list[Placed]] = defaultdict(list)
        refused: list[tuple[Taken, str]] = []
        for row in taken:
            try:
                sound[row.log].append(Placed(row.id, self._checked(row), row.canon, row.sealed))
            except CanonError as error:
                refused.append((row, str(error)))
        if refused:
            announced += await quarantine.store(connection, self._runtime, refused)
        now = self._runtime.clock.now()
        for name in sorted(sound):  # always in the same order: two sequencers that overlap cannot deadlock
            await ledger_rows.append(connection, name, _in_order(sound[name]), now)

    def _checked(self, row: Taken) -> Entry:
        """Read an outbox row as an entry.

        Raises:
            CanonError: it is not one, or not the one a process of ours has written.
        """
        if not hmac.compare_digest(mac_of(self._runtime.keyring.outbox, row.canon), row.mac):
            raise CanonError("forged", "the row was not written by a process that holds the master key")
        entry = Entry.from_canon(row.canon)
        if (entry.index.log, entry.index.id) != (row.log, str(row.id)):
            raise CanonError("misplaced", "the row's columns are not those of its entry")
        return entry


def _in_order(placed: Iterable[Placed]) -> list[Placed]:
    """As they were committed, as far as anybody can tell: by time, within a process by its count."""
    return sorted(placed, key=lambda one: (one.entry.index.occurred_at, one.entry.emitter.boot, one.entry.emitter.n))


async def _run(runtime: Runtime, lead: Lead) -> None:
    await Sequencer(runtime, lead).run()


SEQUENCER = Duty("sequencer", _run)
