"""Reads a closed partition from its bytes and works out its tree. Believes no column about what an entry says.

Time and place of reading do not matter: the rows of a closed partition never change. Must never keep a transaction
open while it works on what it read.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from backend.audit.verification.numbers import Numbers
from backend.audit.verification.trees import edge_at
from backend.context import Runtime
from backend.errors import LedgerFaultError
from ledger.merkle import CompactRange, Node, leaf_hash

READ_ENTRIES: Final = 2_000
"""Entries of one statement: a few megabytes, a few hundredths of a second."""

_CLOSED = text("""
SELECT span.log, span.seq_from, span.seq_until, span.time_max,
    (SELECT sequenced_at FROM audit_entries WHERE log = span.log AND seq = span.seq_until - 1) AS last_sequenced
FROM audit_spans AS span JOIN audit_heads AS head ON head.log = span.log AND head.size >= span.seq_until
ORDER BY span.log, span.seq_from
""")
_READ = text("""
SELECT seq, canon FROM audit_entries WHERE log = :log AND seq >= :first AND seq < :stop ORDER BY seq
""")

Sink = Callable[[Sequence[bytes]], None]


@dataclass(frozen=True, slots=True)
class Partition:
    """A partition that no entry will enter any more."""

    log: str
    seq_from: int
    seq_until: int
    newest: datetime | None
    """The latest time that one of its entries tells."""
    last_sequenced: datetime | None
    """When its last entry was placed, by the sequencer's clock."""

    @property
    def count(self) -> int:
        """How many entries it has."""
        return self.seq_until - self.seq_from

    def __str__(self) -> str:
        return f"{self.log} {self.seq_from:,} to {self.seq_until - 1:,}"


@dataclass(frozen=True, slots=True)
class Survey:
    """What the bytes of a partition amount to."""

    of: Partition
    before: CompactRange
    """The tree up to its first entry."""
    edge: CompactRange
    """The tree with its last entry."""
    nodes: tuple[Node, ...]
    """The stored nodes that its entries complete."""
    numbers: Numbers
    """Which numbers of which process its entries have."""


async def closed(runtime: Runtime) -> list[Partition]:
    """`closed_on` in a session of its own."""
    async with runtime.database.read() as session:
        return await closed_on(session)


async def closed_on(session: AsyncSession) -> list[Partition]:
    """Every partition that is full, those of a log in a row, the oldest first."""
    return [Partition(*row) for row in await session.execute(_CLOSED)]


async def survey(runtime: Runtime, partition: Partition, sink: Sink | None = None) -> Survey:
    """Read a partition, hand its entries to `sink` in their order, and work out its tree.

    Raises:
        LedgerFaultError: an entry is missing, or is none.
        ProofError: the tree before it cannot be worked out.
    """
    async with runtime.database.read() as session:
        before = await edge_at(session, partition.log, partition.seq_from)
    edge, done, numbers = before.copy(), list[Node](), Numbers()

    def take(canons: list[bytes]) -> None:
        done.extend(edge.extend([leaf_hash(canon) for canon in canons]))
        for canon in canons:
            _note(numbers, partition, canon)
        if sink is not None:
            sink(canons)

    async for canons in _read(runtime, partition):
        await asyncio.to_thread(take, canons)  # milliseconds in which the process answers others
    return Survey(partition, before, edge, tuple(done), numbers)


async def _read(runtime: Runtime, partition: Partition) -> AsyncIterator[list[bytes]]:
    for first in range(partition.seq_from, partition.seq_until, READ_ENTRIES):
        stop = min(first + READ_ENTRIES, partition.seq_until)
        async with runtime.database.read() as session:
            rows = (await session.execute(_READ, {"log": partition.log, "first": first, "stop": stop})).all()
        if [row.seq for row in rows] != list(range(first, stop)):
            raise LedgerFaultError(partition.log, f"entries are missing between {first:,} and {stop - 1:,}")
        yield [bytes(row.canon) for row in rows]


def _note(numbers: Numbers, partition: Partition, canon: bytes) -> None:
    try:
        numbers.note(orjson.loads(canon))
    except (orjson.JSONDecodeError, LookupError, TypeError) as error:
        raise LedgerFaultError(partition.log, f"an entry of {partition} is none") from error
