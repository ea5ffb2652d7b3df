"""Reads what a verification holds the entries against: heads, spans, periods, earlier runs, what waits. One moment of
the database, read in one short transaction. Must never judge.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import orjson
import psycopg
from psycopg.rows import dict_row

from backend.audit.verification.purged import PARTITION_PURGED, SEALED_EXPIRED, Cut, cuts_of

PERIOD_SEALED: Final = "ledger.period.sealed"
VERIFICATION_RUN: Final = "ledger.verification.run"
SUBJECT_NAMED: Final = "ledger.subject.named"
SUBJECT_ERASED: Final = "ledger.subject.erased"
ENTRY_QUARANTINED: Final = "ledger.entry.quarantined"
META_LOG: Final = "meta"

_LEDGER = "SELECT name, generation, created_at, clock_timestamp() AS now FROM audit_ledger"
_HEADS = "SELECT log, size, frontier, root, sequenced_at FROM audit_heads ORDER BY log"
_LOGS = """
WITH RECURSIVE present AS (
    SELECT min(log) AS log FROM audit_entries
    UNION ALL
    SELECT (SELECT min(log) FROM audit_entries WHERE log > present.log) FROM present WHERE present.log IS NOT NULL)
SELECT log FROM present WHERE log IS NOT NULL
UNION SELECT log FROM audit_spans UNION SELECT log FROM audit_nodes UNION SELECT log FROM audit_periods
"""
_BEYOND = """
SELECT coalesce(head.log, entry.log) AS log, entry.least AS seq, entry.rows
FROM unnest(%(logs)s::text[]) AS known(log) LEFT JOIN audit_heads AS head USING (log)
CROSS JOIN LATERAL (
    SELECT known.log, min(seq) AS least, count(*) AS rows FROM audit_entries
    WHERE log = known.log AND (seq >= coalesce(head.size, 0) OR seq < 0)) AS entry
WHERE entry.rows > 0
"""
_NODES_BEYOND = """
SELECT node.log, node.level, node.position FROM audit_nodes AS node LEFT JOIN audit_heads AS head USING (log)
WHERE node.level NOT IN (8, 16, 24) OR node.position < 0
    OR (node.position + 1) > (coalesce(head.size, 0) >> node.level) LIMIT 100
"""
_SPANS = """
SELECT span.*, seen.time_first, seen.time_last, to_regclass(quote_ident(span.table_name)) IS NOT NULL AS present,
    pg_get_expr(part.relpartbound, part.oid) AS bound
FROM audit_spans AS span LEFT JOIN pg_class AS part ON part.oid = to_regclass(quote_ident(span.table_name))
CROSS JOIN LATERAL (
    SELECT min(occurred_at) AS time_first, max(occurred_at) AS time_last FROM audit_entries
    WHERE log = span.log AND seq >= span.seq_from AND seq < span.seq_until) AS seen
ORDER BY span.log, span.seq_from
"""
_PERIODS = """
SELECT period.*,
    (SELECT sequenced_at FROM audit_entries WHERE log = period.log AND seq = period.seq_start LIMIT 1) AS at_start,
    (SELECT sequenced_at FROM audit_entries WHERE log = period.log AND seq = period.seq_end - 1 LIMIT 1) AS at_last,
    (SELECT sequenced_at FROM audit_entries WHERE log = period.log AND seq = period.seq_end LIMIT 1) AS at_next
FROM audit_periods AS period ORDER BY log, n
"""
_LAST = """
SELECT head.log, (SELECT sequenced_at FROM audit_entries WHERE log = head.log AND seq = head.size - 1 LIMIT 1) AS at
FROM audit_heads AS head
"""
_PURGES = "SELECT * FROM audit_purges ORDER BY log, first_kept_seq"
_WORDS_SOURCE = "SELECT sha256(convert_to(prosrc, 'UTF8')) FROM pg_proc WHERE oid = 'audit_words(bytea)'::regprocedure"
_RUNS = "SELECT * FROM audit_verifications ORDER BY verified_at, id"
_ANNOUNCED = """
SELECT seq, event_type, resource_id, canon FROM audit_entries
WHERE log = 'meta' AND event_type = ANY(%(events)s) ORDER BY seq
"""
_WAITING = "SELECT id, log, canon, emitted_at FROM audit_outbox"
_QUARANTINED = "SELECT id, log, canon, sha256(canon) AS digest FROM audit_quarantine"
_COUNTS = "SELECT (SELECT count(*) FROM audit_sealed) AS sealed"


@dataclass(frozen=True, slots=True)
class Head:
    """Where a log says it stands."""

    size: int
    root: bytes
    frontier: bytes
    sequenced_at: datetime


@dataclass(frozen=True, slots=True)
class Announced:
    """An entry of the `meta` log about the ledger itself; without `seq` while it waits in the outbox."""

    seq: int | None
    event_type: str
    resource_id: str
    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Frame:
    """The moment that a verification judges."""

    ledger: str
    generation: int
    created_at: datetime
    now: datetime
    heads: dict[str, Head]
    logs: tuple[str, ...]
    """Every log anything at all is left of."""
    beyond: Sequence[Mapping[str, Any]]
    nodes_beyond: Sequence[Mapping[str, Any]]
    spans: Sequence[Mapping[str, Any]]
    periods: Sequence[Mapping[str, Any]]
    runs: Sequence[Mapping[str, Any]]
    announced: Sequence[Announced]
    waiting: Sequence[Mapping[str, Any]]
    quarantined: Sequence[Mapping[str, Any]]
    sealed_rows: int
    words_source: bytes
    """Hash of the source of the function that makes the words of an entry."""
    last_sequenced: dict[str, datetime | None]
    """When the last entry of each log was placed."""
    purges: Sequence[Mapping[str, Any]]
    cuts: Mapping[str, Cut]
    """Where the logs begin whose oldest entries were dropped."""

    def told(self, event_type: str) -> list[Mapping[str, Any]]:
        """What the announcements of one type say."""
        return [one.facts for one in self.announced if one.event_type == event_type]

    def begins_at(self, log: str) -> int:
        """The first entry of a log that should be here."""
        return self.cuts[log].edge.size if log in self.cuts else 0


def read(connection: psycopg.Connection[Any]) -> Frame:
    """Read it; the caller's transaction is of one snapshot (repeatable read) and ends right after.

    Raises:
        LookupError: there is no ledger in the database.
    """
    with connection.cursor(row_factory=dict_row) as cursor:
        ledger = cursor.execute(_LEDGER).fetchone()
        if ledger is None:
            raise LookupError("the database holds no ledger")
        heads = {row.pop("log"): Head(**row) for row in cursor.execute(_HEADS).fetchall()}
        present = {row["log"] for row in cursor.execute(_LOGS).fetchall()}
        logs = tuple(sorted(present | heads.keys()))
        sealed = cursor.execute(_COUNTS).fetchone()
        waiting = cursor.execute(_WAITING).fetchall()
        purges = cursor.execute(_PURGES).fetchall()
        return Frame(
            ledger=ledger["name"],
            generation=ledger["generation"],
            created_at=ledger["created_at"],
            now=ledger["now"],
            heads=heads,
            logs=logs,
            beyond=cursor.execute(_BEYOND, {"logs": list(logs)}).fetchall(),
            nodes_beyond=cursor.execute(_NODES_BEYOND).fetchall(),
            spans=cursor.execute(_SPANS).fetchall(),
            periods=cursor.execute(_PERIODS).fetchall(),
            runs=cursor.execute(_RUNS).fetchall(),
            announced=announced(connection, waiting),
            waiting=waiting,
            quarantined=cursor.execute(_QUARANTINED).fetchall(),
            sealed_rows=sealed["sealed"] if sealed else 0,
            words_source=(connection.execute(_WORDS_SOURCE).fetchone() or (b"",))[0],
            last_sequenced={row["log"]: row["at"] for row in cursor.execute(_LAST).fetchall()},
            purges=purges,
            cuts=cuts_of(purges),
        )


_EVENTS: Final = (PERIOD_SEALED, VERIFICATION_RUN, SUBJECT_ERASED, ENTRY_QUARANTINED, PARTITION_PURGED, SEALED_EXPIRED)


def announced(connection: psycopg.Connection[Any], waiting: Sequence[Mapping[str, Any]]) -> list[Announced]:
    """What the `meta` log says was done to the ledger, with what still waits to enter it."""
    rows = connection.execute(_ANNOUNCED, {"events": list(_EVENTS)}).fetchall()
    found = [Announced(seq, event, ident or "", _facts(canon)) for seq, event, ident, canon in rows]
    for row in waiting:
        index = index_of(row["canon"]) if row["log"] == META_LOG else {}
        if index.get("event_type") in _EVENTS:
            event, ident = str(index["event_type"]), str(index.get("resource_id") or "")
            found.append(Announced(None, event, ident, _facts(row["canon"])))
    return found


def waiting_now(connection: psycopg.Connection[Any]) -> list[dict[str, Any]]:
    """The outbox as it is at this moment."""
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(_WAITING).fetchall()


def tree_of(canon: bytes) -> dict[str, Any]:
    """Read an entry's bytes leniently; nothing when they are no JSON object: `content` says so elsewhere."""
    try:
        tree = orjson.loads(canon)
    except orjson.JSONDecodeError:
        return {}
    return tree if isinstance(tree, dict) else {}


def index_of(canon: bytes) -> dict[str, Any]:
    """The index of an entry, leniently."""
    index = tree_of(canon).get("index")
    return index if isinstance(index, dict) else {}


def _facts(canon: bytes) -> Mapping[str, Any]:
    try:
        facts = tree_of(canon)["body"]["detail"]["new_value"]
    except (KeyError, TypeError):
        return {}
    return facts if isinstance(facts, dict) else {}
