"""Writes entries into the ledger's tables: rows, tree nodes, head, partitions. Called by the sequencer alone.

Every function works inside the caller's transaction and leaves it open.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import itemgetter
from typing import Any, Final
from uuid import UUID

import psycopg

from backend.audit.authentic import head_mac, is_our_head
from backend.errors import LedgerFaultError
from ledger.entry import INDEX_FIELDS, Entry
from ledger.merkle import EMPTY_ROOT, CompactRange, Node, leaf_hash

PARTITION_ENTRIES: Final = 2**18
"""Entries of one partition: a perfect subtree, so that a purge keeps one hash of it; its text index stays small."""

_Connection = psycopg.AsyncConnection[tuple[Any, ...]]

_HEAD = "SELECT size, frontier, root, sequenced_at, mac FROM audit_heads WHERE log = %s FOR UPDATE"
_FIRST_HEAD = """
INSERT INTO audit_heads (log, size, frontier, root, sequenced_at) VALUES (%s, 0, %s, %s, %s) ON CONFLICT DO NOTHING
"""
_MOVE_HEAD = """
UPDATE audit_heads SET size = %(size)s, frontier = %(frontier)s, root = %(root)s, sequenced_at = %(now)s, mac = %(mac)s
WHERE log = %(log)s AND size = %(old)s
"""
_COLUMNS: Final = tuple(field for field in INDEX_FIELDS if field not in {"log", "id", "occurred_at"})
_columns: Final = itemgetter(*_COLUMNS)
_COPY = (
    f"COPY audit_entries (log, seq, id, occurred_at, sequenced_at, {', '.join(_COLUMNS)}, leaf, canon)"
    " FROM STDIN (FORMAT BINARY)"
)
_TYPES: Final = ("varchar", "int8", "uuid", "timestamptz", "timestamptz", *("text" for _ in _COLUMNS), "bytea", "bytea")
_SPANS = """
SELECT coalesce(max(seq_until), 0), min(seq_from) FILTER (WHERE time_max >= %s) FROM audit_spans WHERE log = %s
"""
_KNOWN = "SELECT id, leaf FROM audit_entries WHERE log = %s AND seq >= %s AND id = ANY(%s)"
_NODES = """
INSERT INTO audit_nodes (log, level, position, hash)
SELECT %(log)s, * FROM unnest(%(levels)s::int[], %(positions)s::bigint[], %(hashes)s::bytea[])
"""
_SPAN = """
UPDATE audit_spans SET time_min = least(time_min, %(first)s), time_max = greatest(time_max, %(last)s)
WHERE log = %(log)s AND seq_from = %(seq_from)s
"""
_SEAL = """
INSERT INTO audit_sealed (entry_id, field, log, occurred_at, subject, key_id, nonce, ciphertext, blind)
SELECT waiting.entry_id, waiting.field, %(log)s, waiting.occurred_at, key.subject, key.id,
    waiting.nonce, waiting.ciphertext, waiting.blind
FROM unnest(%(entry_id)s::uuid[], %(field)s::text[], %(occurred_at)s::timestamptz[], %(subject)s::text[],
    %(key_id)s::uuid[], %(nonce)s::bytea[], %(ciphertext)s::bytea[], %(blind)s::bytea[])
    AS waiting(entry_id, field, occurred_at, subject, key_id, nonce, ciphertext, blind)
JOIN audit_subject_keys AS key ON key.id = waiting.key_id AND key.subject = waiting.subject
WHERE key.wrapped IS NOT NULL
FOR SHARE OF key
"""
"""A key destroyed meanwhile leaves nothing to keep."""


@dataclass(frozen=True, slots=True)
class Placed:
    """An entry that may enter the ledger, with the bytes it was written as."""

    id: UUID
    index: Mapping[str, Any]
    """The entry's search fields, checked."""
    order: tuple[str, str, int]
    """By what entries of one batch are ordered: their time, then their process and its count."""
    canon: bytes
    leaf: bytes
    sealed: Sequence[Mapping[str, Any]]

    @property
    def occurred_at(self) -> str:
        """The time of the act, as the entry says it."""
        return self.order[0]


def placed(ident: UUID, entry: Entry, canon: bytes) -> Placed:
    """An entry of our own making, without sealed fields, that goes past the outbox."""
    order = (entry.index.occurred_at, entry.emitter.boot, entry.emitter.n)
    index = {name: getattr(entry.index, name) for name in INDEX_FIELDS}
    return Placed(ident, index, order, canon, leaf_hash(canon), ())


@dataclass(frozen=True, slots=True)
class Span:
    """What partitions a log has: where the last ends, and from where on entries as old as those at hand may lie."""

    until: int
    possible_from: int | None


async def append(
    connection: _Connection, key: bytes, log: str, placed: Sequence[Placed], now: datetime
) -> dict[UUID, bytes]:
    """Append entries to one log and move its head, authenticated with `key`, or fail as a whole.

    Entries whose id the log holds already are left out and returned, with the leaves that the log holds.

    Raises:
        LedgerFaultError: the head contradicts itself, is not of our making, or is not the one this transaction read.
    """
    old, edge, now = await _head(connection, key, log, now)
    span = await _span(connection, log, old, placed)
    known = await _known(connection, log, span, placed)
    fresh = [one for one in placed if one.id not in known] if known else placed
    if not fresh:
        return known
    await _ensure_partitions(connection, log, span.until, old + len(fresh))
    await _copy(connection, log, old, fresh, now)
    await _store_nodes(connection, log, edge.extend([one.leaf for one in fresh]))
    root = edge.root()
    moved = {"log": log, "old": old, "size": edge.size, "frontier": edge.to_bytes(), "root": root, "now": now}
    moved["mac"] = head_mac(key, log, edge.size, root)
    cursor = await connection.execute(_MOVE_HEAD, moved)
    if cursor.rowcount != 1:
        raise LedgerFaultError(log, f"the head of {log} moved from {old} while this transaction held it")
    await _widen_spans(connection, log, old, fresh)
    await _store_sealed(connection, log, fresh)
    return known


async def _head(connection: _Connection, key: bytes, log: str, now: datetime) -> tuple[int, CompactRange, datetime]:
    """Where the log stands; its time never runs backwards, whatever this machine's clock does."""
    cursor = await connection.execute(_HEAD, (log,))
    row = await cursor.fetchone()
    if row is None:
        await connection.execute(_FIRST_HEAD, (log, CompactRange().to_bytes(), EMPTY_ROOT, now))
        cursor = await connection.execute(_HEAD, (log,))
        row = await cursor.fetchone()
    assert row is not None  # noqa: S101  inserted above
    size, frontier, root, last, mac = row
    edge = CompactRange.from_bytes(frontier)
    if (edge.size, edge.root()) != (size, root):
        raise LedgerFaultError(log, f"the head of {log} contradicts itself; nothing is appended to it")
    if not is_our_head(key, log, size, root, mac):
        raise LedgerFaultError(log, f"the head of {log} was not written by a process that holds the master key")
    return size, edge, max(now, last)


async def _span(connection: _Connection, log: str, old: int, placed: Sequence[Placed]) -> Span:
    oldest = min(one.occurred_at for one in placed)
    cursor = await connection.execute(_SPANS, (oldest, log))
    row = await cursor.fetchone()
    until, possible_from = row or (0, None)
    # a purge drops spans: never make one again below the head
    return Span(until or old - old % PARTITION_ENTRIES, possible_from)


async def _known(connection: _Connection, log: str, span: Span, placed: Sequence[Placed]) -> dict[UUID, bytes]:
    """Which of the entries are in the log already: their time, which their bytes fix, tells where they could be."""
    if span.possible_from is None:
        return {}
    cursor = await connection.execute(_KNOWN, (log, span.possible_from, [one.id for one in placed]))
    return dict(await cursor.fetchall())


async def _ensure_partitions(connection: _Connection, log: str, end: int, new: int) -> None:
    while end < new:
        until = end + PARTITION_ENTRIES
        await connection.execute("SELECT audit_add_partition(%s, %s, %s)", (log, end, until))
        end = until


async def _copy(connection: _Connection, log: str, old: int, placed: Sequence[Placed], now: datetime) -> None:
    async with connection.cursor().copy(_COPY) as copy:
        copy.set_types(_TYPES)
        for offset, one in enumerate(placed):
            when = datetime.fromisoformat(one.occurred_at)  # its form has been checked
            await copy.write_row((log, old + offset, one.id, when, now, *_columns(one.index), one.leaf, one.canon))


async def _store_nodes(connection: _Connection, log: str, nodes: Sequence[Node]) -> None:
    if nodes:
        values = {
            "log": log,
            "levels": [node.level for node in nodes],
            "positions": [node.position for node in nodes],
            "hashes": [node.hash for node in nodes],
        }
        await connection.execute(_NODES, values)


async def _widen_spans(connection: _Connection, log: str, old: int, placed: Sequence[Placed]) -> None:
    times: dict[int, list[str]] = {}
    for offset, one in enumerate(placed):
        times.setdefault((old + offset) // PARTITION_ENTRIES, []).append(one.occurred_at)
    for part, instants in times.items():
        span = {"log": log, "seq_from": part * PARTITION_ENTRIES}
        await connection.execute(_SPAN, {**span, "first": min(instants), "last": max(instants)})


async def _store_sealed(connection: _Connection, log: str, placed: Sequence[Placed]) -> None:
    rows = [{**field, "entry_id": one.id, "occurred_at": one.occurred_at} for one in placed for field in one.sealed]
    if rows:
        columns: dict[str, Any] = {name: [row[name] for row in rows] for name in rows[0]}
        await connection.execute(_SEAL, columns | {"log": log})
