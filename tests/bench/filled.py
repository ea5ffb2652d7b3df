"""Owns a ledger of many entries made at once, for measurements: the same rows, nodes and head the sequencer would
have written. Must never be used to show that the sequencer works.
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, Final
from uuid import UUID

import psycopg

from ledger.canon import format_instant
from ledger.entry import INDEX_FIELDS
from ledger.merkle import CompactRange
from tests.support.masterkey import vouched

PARTITION_ENTRIES: Final = 2**18
_BATCH_ENTRIES: Final = 2**14
_STEP: Final = timedelta(milliseconds=7)
_FIRST: Final = datetime(2026, 1, 5, tzinfo=UTC)
_BOOT: Final = "00112233445566aa"
_ACTS: Final = (
    ("audit.search.run", "access_control", "search the audit log", "audit", None),
    ("freeze.hold.created", "configuration", "freeze a strategy", "freeze", "F-{n}"),
    ("transactions.batch.stored", "transactions", "store a batch of trades", "batch", "B-{n}"),
    ("alerts.alert.raised", "monitoring", "raise an alert", "alert", "A-{n}"),
)
_COLUMNS: Final = tuple(field for field in INDEX_FIELDS if field not in {"log", "id", "occurred_at"})
_COPY: Final = (
    f"COPY audit_entries (log, seq, id, occurred_at, sequenced_at, {', '.join(_COLUMNS)}, leaf, canon)"
    " FROM STDIN (FORMAT BINARY)"
)
_TYPES: Final = ("varchar", "int8", "uuid", "timestamptz", "timestamptz", *("text" for _ in _COLUMNS), "bytea", "bytea")


def fill(connection: psycopg.Connection[Any], log: str, entries: int, *, first_n: int = 1) -> None:
    """Write so many entries into an empty log, numbered by one process from `first_n`; commits as it goes."""
    edge = CompactRange()
    for first in range(0, entries, PARTITION_ENTRIES):
        connection.execute("SELECT audit_add_partition(%s, %s, %s)", (log, first, first + PARTITION_ENTRIES))
    when = _FIRST
    for first in range(0, entries, _BATCH_ENTRIES):
        stop = min(entries, first + _BATCH_ENTRIES)
        rows = list(_rows(log, first, stop, first_n))
        when = rows[-1][3]
        nodes = edge.extend([row[-2] for row in rows])
        with connection.cursor().copy(_COPY) as copy:
            copy.set_types(_TYPES)
            for row in rows:
                copy.write_row([*row[:4], when, *row[4:]])
        connection.cursor().executemany(
            "INSERT INTO audit_nodes (log, level, position, hash) VALUES (%s, %s, %s, %s)",
            [(log, *node) for node in nodes],
        )
        connection.commit()
    _finish(connection, log, edge, when)


def _finish(connection: psycopg.Connection[Any], log: str, edge: CompactRange, when: datetime) -> None:
    connection.execute(
        "UPDATE audit_spans SET time_min = seen.low, time_max = seen.high FROM ("
        " SELECT seq / %s * %s AS first, min(occurred_at) AS low, max(occurred_at) AS high"
        " FROM audit_entries WHERE log = %s GROUP BY 1) AS seen WHERE log = %s AND seq_from = seen.first",
        (PARTITION_ENTRIES, PARTITION_ENTRIES, log, log),
    )
    connection.execute(
        "INSERT INTO audit_heads (log, size, frontier, root, sequenced_at, mac) VALUES (%s, %s, %s, %s, %s, %s)",
        (log, edge.size, edge.to_bytes(), edge.root(), when, vouched(log, edge.size, edge.root())),
    )
    connection.commit()


def _rows(log: str, first: int, stop: int, first_n: int) -> Iterator[list[Any]]:
    for seq in range(first, stop):
        event, category, action, kind, pattern = _ACTS[seq & 3]
        when = _FIRST + seq * _STEP
        ident = UUID(int=(int(when.timestamp() * 1000) << 80) | 7 << 76 | 2 << 62 | seq)
        resource = pattern and pattern.format(n=seq % 5_000)
        actor, request = f"executor:sim-{seq % 40:03}", f"req-{seq:012x}"
        n = first_n + seq
        index = (
            f'{{"action":"{action}","actor":"{actor}","actor_type":"service","category":"{category}",'
            f'"event_type":"{event}","id":"{ident}","incident":null,"log":"{log}",'
            f'"occurred_at":"{format_instant(when)}","outcome":"success","request_id":"{request}",'
            f'"resource_id":{json.dumps(resource)},"resource_type":"{kind}"}}'
        )
        body = (
            '{"actor_role":"executor","detail":{"error_message":null,"metadata":{},"new_value":'
            f'{{"accepted":{seq % 97},"chain":"ethereum","refused":0,"strategy":"arb-{seq % 12}"}},"old_value":null}},'
            f'"emitter":{{"boot":"{_BOOT}","n":{n},"node":"bench:1","settled":{n - 1},"void":[]}},"sealed":{{}}}}'
        )
        canon = f'{{"body":{body},"index":{index},"v":1}}'.encode()
        leaf = sha256(b"\0" + canon).digest()
        columns = [action, actor, "service", category, event, None, "success", request, resource, kind]
        yield [log, seq, ident, when, *columns, leaf, canon]
