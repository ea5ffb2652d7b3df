"""Moves committed entries from the outbox into the ledger: one leader, many entries a transaction, no gap ever.

The order of entries is settled here and nowhere else. What cannot be an entry is put into quarantine and announced,
so that it neither stalls the others nor is lost. Must never change an entry, and never poll "newer than the last":
a late commit would be skipped for ever.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from operator import attrgetter
from typing import Any, Final, NamedTuple
from uuid import UUID

import orjson
import psycopg
import structlog

from backend.audit import ledger_rows, meta, quarantine
from backend.audit.authentic import is_authentic
from backend.audit.heads import rollback
from backend.audit.ledger_rows import Placed
from backend.audit.sealing import unpack
from backend.context import Runtime
from backend.errors import LedgerFaultError
from backend.monitors import Duty, Lead
from ledger import bulk
from ledger.canon import CanonError
from ledger.entry import index_fragment, parse
from ledger.merkle import leaf_hash

log = structlog.get_logger(__name__)

BATCH_ENTRIES: Final = 400
"""Entries taken in one transaction: a commit is shared, none waits long for the others of its batch."""
WORTH_GOING_ON: Final = 50
"""Entries of a batch from which the next begins at once: as many again have come meanwhile."""
IDLE_POLL_S: Final = 0.1
"""Entries of other processes are found by looking: announcing each would serialise all commits."""
CAUTIOUS_ENTRIES: Final = 50
"""Entries taken one by one after the database has refused a batch; each costs as much as a batch."""
SET_BACK_S: Final = 5.0
"""How long a log that refuses to grow is left alone before it is tried again."""
_ROW_CLASSES: Final = frozenset({"22", "23", "54"})
"""SQLSTATE classes of errors that a row brings on: its data, its keys, its size."""
_OF_OTHERS: Final = frozenset({"40001", "40P01", "55P03"})
"""SQLSTATEs of errors that another transaction brings on by what it holds: a deadlock, a lock not given in time."""
STALLED_MS: Final = 4_000
"""The server ends the transaction of a sequencer that was stopped, so that its rows go free for the next."""

_Connection = psycopg.AsyncConnection[tuple[Any, ...]]

_TAKE = """
DELETE FROM audit_outbox AS waiting
USING (
    SELECT id FROM audit_outbox WHERE log <> ALL(%(set_back)s)
        AND NOT EXISTS (SELECT FROM audit_faults WHERE resolved_at IS NULL)
    LIMIT %(limit)s FOR UPDATE SKIP LOCKED) AS taken
WHERE waiting.id = taken.id
RETURNING waiting.id, waiting.log, waiting.canon, waiting.mac, waiting.sealed,
    CASE WHEN waiting.emitted_at BETWEEN '0001-01-02' AND '9999-12-30' THEN waiting.emitted_at ELSE now() END
"""
"""What is no time to this program ("infinity") is a note about a row, and must not hold up the others."""


class Taken(NamedTuple):
    """One row of the outbox."""

    id: UUID
    log: str
    canon: bytes
    mac: bytes
    sealed: bytes | None
    emitted_at: datetime


Refused = list[tuple[Taken, str]]
"""Rows that cannot be entries, and why."""


class Sequencer:
    """The one process that writes the ledger, as long as its leadership holds."""

    def __init__(self, runtime: Runtime, lead: Lead) -> None:
        self._runtime = runtime
        self._lead = lead
        self._key = runtime.keyring.outbox
        self._set_back: dict[str, float] = {}
        """Logs that refused to grow, and until when they are left alone (seconds of the monotonic clock)."""
        self._cautious = False
        """The last batch was refused by the database because of what one of its rows says: find out which."""

    async def run(self) -> None:
        """Sequence for ever; returns only by an exception."""
        async with await self._runtime.database.dedicated("sequencer") as connection:
            await connection.execute(f"SET idle_in_transaction_session_timeout = {STALLED_MS}")
            while True:
                self._runtime.outbox_filled.clear()
                taken = await self.guarded_step(connection)
                if taken < WORTH_GOING_ON and not self._cautious:
                    await self._pause()

    async def _pause(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(IDLE_POLL_S):
                await self._runtime.outbox_filled.wait()

    async def guarded_step(self, connection: _Connection) -> int:
        """Take one batch; one log that cannot grow does not hold up the others, and neither does one row."""
        try:
            taken = await self.step(connection)
        except LedgerFaultError as fault:
            log.critical("ledger_refuses_to_grow", of=fault.log, error=str(fault))
            self._set_back[fault.log] = self._runtime.clock.monotonic() + SET_BACK_S
            self._runtime.metrics.audit_faults.labels(fault.log).set(1)
            return 0
        except psycopg.Error as error:
            if error.sqlstate in _OF_OTHERS:  # this connection lives: beginning anew would ask signer and witnesses
                log.warning("batch_held_up", error=str(error).strip())
                return 0
            if self._cautious or not _is_of_a_row(error):
                raise
            log.warning("batch_refused", error=str(error).strip())
            self._cautious = True
            return 0
        return taken

    async def step(self, connection: _Connection) -> int:
        """Take one batch into the ledger in one transaction; returns how many rows of the outbox it settled.

        Raises:
            LedgerFaultError: a log cannot grow.
            LeadershipLostError: another backend sequences.
        """
        limit = CAUTIOUS_ENTRIES if self._cautious else BATCH_ENTRIES
        async with meta.telling(connection, self._runtime) as told:
            await self._lead.require(connection)
            cursor = await connection.execute(_TAKE, {"limit": limit, "set_back": self._left_alone()})
            taken = list(map(Taken._make, await cursor.fetchall()))
            if taken:
                await self._place(connection, taken, told)
        self._cautious = False
        self._count(taken, len(told))
        return len(taken)

    def _left_alone(self) -> list[str]:
        now = self._runtime.clock.monotonic()
        for name in [name for name, until in self._set_back.items() if until <= now]:
            del self._set_back[name]
        return list(self._set_back)

    def _count(self, taken: list[Taken], quarantined: int) -> None:
        metrics, now = self._runtime.metrics, self._runtime.clock.now()
        metrics.audit_sequenced.inc(len(taken) - quarantined)
        metrics.audit_quarantined.inc(quarantined)
        for row in taken:
            metrics.audit_lag.observe((now - row.emitted_at).total_seconds())
        if taken:
            metrics.audit_batch.observe(len(taken))

    async def _place(self, connection: _Connection, taken: list[Taken], told: meta.Told) -> None:
        sound: dict[str, list[Placed]] = defaultdict(list)
        refused: Refused = []
        known_forms = _read_together(taken)
        for row in taken:
            try:
                one = self._checked(row, known_forms.get(row.id))
            except CanonError as error:
                refused.append((row, str(error)))
            else:
                sound[row.log].append(one)
        rows = {row.id: row for row in taken}
        now = self._runtime.clock.now()
        for name in sorted(sound):  # always in the same order: two sequencers that overlap cannot deadlock
            if self._cautious:
                refused += await self._append_singly(connection, name, sound[name], rows)
            else:
                known = await ledger_rows.append(connection, self._key, name, _in_order(sound[name]), now)
                refused += _conflicting(known, sound[name], rows)
            self._runtime.metrics.audit_faults.labels(name).set(0)
        if refused:
            await quarantine.store(connection, self._runtime, refused, told)

    async def _append_singly(
        self, connection: _Connection, name: str, placed: list[Placed], rows: Mapping[UUID, Taken]
    ) -> Refused:
        refused: Refused = []
        for one in _in_order(placed):
            try:
                async with connection.transaction():
                    known = await ledger_rows.append(connection, self._key, name, [one], self._runtime.clock.now())
                refused += _conflicting(known, [one], rows)
            except psycopg.Error as error:
                if not _is_of_a_row(error):
                    raise
                refused.append((rows[one.id], f"the ledger cannot hold it: {str(error).strip()}"))
        return refused

    def _checked(self, row: Taken, read: "_Read | None") -> Placed:
        """Read an outbox row as an entry, unless it was `read` with others.

        Raises:
            CanonError: it is not one, or not the one a process of ours has written.
        """
        if not is_authentic(self._key, row.canon, row.mac, row.sealed):
            raise CanonError("forged", reason="the row was not written by a process that holds the master key")
        index, boot, n = read or _read_alone(row.canon)
        if (index["log"], index["id"]) != (row.log, str(row.id)):
            raise CanonError("misplaced", reason="the row's columns are not those of its entry")
        try:
            sealed = unpack(row.sealed) if row.sealed is not None else []
        except ValueError as error:
            raise CanonError("sealed", reason=str(error)) from error
        order = (index["occurred_at"], boot, n)
        return Placed(row.id, index, order, row.canon, leaf_hash(row.canon), sealed)


_Read = tuple[Mapping[str, Any], str, int]
"""The search fields of an entry, its process and that process's number for it."""


def _read_alone(canon: bytes) -> _Read:
    tree = parse(canon)
    emitter = tree["body"]["emitter"]
    return tree["index"], emitter["boot"], emitter["n"]


def _read_together(taken: Sequence[Taken]) -> dict[UUID, _Read]:
    """What the usual entries say; others are left to be read alone, which says what is wrong with them."""
    by_log: dict[str, list[Taken]] = defaultdict(list)
    for row in taken:
        by_log[row.log].append(row)
    found: dict[UUID, _Read] = {}
    for log_name, rows in by_log.items():
        stamps = bulk.read(log_name, [row.canon for row in rows])
        for place, boot, n in zip(stamps.places, stamps.boots, stamps.numbers, strict=True):
            row = rows[place]
            found[row.id] = (orjson.loads(index_fragment(row.canon)), boot.decode(), n)
    return found


def _conflicting(known: Mapping[UUID, bytes], placed: Sequence[Placed], rows: Mapping[UUID, Taken]) -> Refused:
    """Rows with the id of another entry; one that came twice is settled: it is in the ledger as it is."""
    taken = [one.id for one in placed if known.get(one.id, one.leaf) != one.leaf]
    return [(rows[ident], "its id is that of another entry") for ident in taken]


def _is_of_a_row(error: psycopg.Error) -> bool:
    """Whether what a row says is to blame: the same batch would be refused for ever."""
    return (error.sqlstate or "")[:2] in _ROW_CLASSES


def _in_order(placed: Iterable[Placed]) -> list[Placed]:
    """As they were committed, as far as anybody can tell: by time, within a process by its count."""
    return sorted(placed, key=attrgetter("order"))


async def _run(runtime: Runtime, lead: Lead) -> None:
    await rollback.check_before_append(runtime)  # a restored database has ended every connection: we begin again here
    await Sequencer(runtime, lead).run()


SEQUENCER = Duty("sequencer", _run)
