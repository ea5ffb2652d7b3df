"""Reads what a verification holds the entries against: heads, spans, periods, earlier runs, what waits. One moment of
the database, read in one short transaction. Must never judge.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import orjson
import psycopg
from psycopg.rows import dict_row

from backend.audit.verification import waiting
from backend.audit.verification.known import Known, widened
from backend.audit.verification.purged import PARTITION_PURGED, SEALED_EXPIRED, Cut, cuts_of
from backend.audit.verification.verdicts import META_LOG
from backend.audit.verification.waiting import Waiting
from ledger.restored import RESTORED

PERIOD_SEALED: Final = "ledger.period.sealed"
VERIFICATION_RUN: Final = "ledger.verification.run"
SUBJECT_NAMED: Final = "ledger.subject.named"
SUBJECT_ERASED: Final = "ledger.subject.erased"
ENTRY_QUARANTINED: Final = "ledger.entry.quarantined"

_LEDGER = "SELECT name, generation, created_at, clock_timestamp() AS now FROM audit_ledger"
_HEADS = "SELECT log, size, frontier, root, sequenced_at, mac FROM audit_heads ORDER BY log"
_LOGS = """
WITH RECURSIVE present AS (
    SELECT ''::text AS log
    UNION ALL
    SELECT least(
        (SELECT min(log) FROM audit_entries WHERE log > present.log),
        (SELECT min(log) FROM audit_nodes WHERE log > present.log),
        (SELECT min(log) FROM audit_periods WHERE log > present.log))::text
    FROM present WHERE present.log IS NOT NULL)
SELECT log FROM present WHERE log <> '' UNION SELECT log FROM audit_spans
"""
"""From name to name by the indexes: there are few logs and many rows."""
_BEYOND = """
SELECT min(seq) AS seq, count(*) AS rows FROM (
    SELECT seq FROM audit_entries WHERE log = %(log)s AND seq >= %(size)s
    UNION ALL SELECT seq FROM audit_entries WHERE log = %(log)s AND seq < 0) AS outside
"""
_NODES_BEYOND = """
SELECT known.log, node.level, node.position
FROM unnest(%(logs)s::text[]) AS known(log) LEFT JOIN audit_heads AS head USING (log)
CROSS JOIN LATERAL (
    SELECT level, position FROM audit_nodes WHERE log = known.log AND level < 8
    UNION ALL SELECT level, position FROM audit_nodes WHERE log = known.log AND level > 8 AND level < 16
    UNION ALL SELECT level, position FROM audit_nodes WHERE log = known.log AND level > 16 AND level < 24
    UNION ALL SELECT level, position FROM audit_nodes WHERE log = known.log AND level > 24
    UNION ALL
    SELECT placed.level, placed.position FROM unnest(ARRAY[8, 16, 24]) AS stored(level)
    CROSS JOIN LATERAL (
        SELECT level, position FROM audit_nodes WHERE log = known.log AND level = stored.level AND position < 0
        UNION ALL
        SELECT level, position FROM audit_nodes WHERE log = known.log AND level = stored.level
            AND position >= coalesce(head.size, 0) >> stored.level) AS placed
    LIMIT 100) AS node
"""
_SPANS = """
SELECT span.*, to_regclass(quote_ident(span.table_name)) IS NOT NULL AS present,
    pg_get_expr(part.relpartbound, part.oid) AS bound
FROM audit_spans AS span LEFT JOIN pg_class AS part ON part.oid = to_regclass(quote_ident(span.table_name))
ORDER BY span.log, span.seq_from
"""
_TIMES = "SELECT min(occurred_at), max(occurred_at) FROM audit_entries WHERE log = %s AND seq >= %s AND seq < %s"
_FRESH_TIMES = """
SELECT min(occurred_at), max(occurred_at) FROM (
    SELECT occurred_at FROM audit_entries WHERE log = %s AND seq >= %s AND seq < %s OFFSET 0) AS fresh
"""
"""By their numbers: the index of times would be walked through everything older."""
_PERIODS = """
SELECT period.*,
    (SELECT sequenced_at FROM audit_entries WHERE log = period.log AND seq = period.seq_start LIMIT 1) AS at_start,
    (SELECT sequenced_at FROM audit_entries WHERE log = period.log AND seq = period.seq_end - 1 LIMIT 1) AS at_last,
    (SELECT sequenced_at FROM audit_entries WHERE log = period.log AND seq = period.seq_end LIMIT 1) AS at_next
FROM unnest(%(logs)s::text[], %(firsts)s::bigint[]) AS wanted(log, first)
JOIN audit_periods AS period ON period.log = wanted.log AND period.n >= wanted.first ORDER BY period.log, period.n
"""
_LAST = """
SELECT head.log, (SELECT sequenced_at FROM audit_entries WHERE log = head.log AND seq = head.size - 1 LIMIT 1) AS at
FROM audit_heads AS head
"""
_PURGES = "SELECT * FROM audit_purges ORDER BY log, first_kept_seq"
_WORDS_SOURCE = "SELECT sha256(convert_to(prosrc, 'UTF8')) FROM pg_proc WHERE oid = 'audit_words(bytea)'::regprocedure"
_RUNS = """
SELECT * FROM audit_verifications
WHERE %(since)s::timestamptz IS NULL OR verified_at > %(since)s OR id = ANY(%(told)s) ORDER BY verified_at, id
"""
_ANNOUNCED = """
SELECT seq, event_type, resource_id, canon FROM audit_entries
WHERE log = 'meta' AND event_type = ANY(%(events)s) AND seq >= %(since)s ORDER BY seq
"""
_QUARANTINED = """
SELECT number, id, log, canon, mac, sealed, sha256(canon) AS digest FROM audit_quarantine
WHERE number > %(since)s OR id = ANY(%(told)s)
"""
_COUNTS = "SELECT (SELECT count(*) FROM audit_sealed) AS sealed"


@dataclass(frozen=True, slots=True)
class Head:
    """Where a log says it stands."""

    size: int
    root: bytes
    frontier: bytes
    sequenced_at: datetime
    mac: bytes | None


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
    waiting: Waiting
    quarantined: Sequence[Mapping[str, Any]]
    sealed_rows: int
    words_source: bytes
    """Hash of the source of the function that makes the words of an entry."""
    last_sequenced: dict[str, datetime | None]
    """When the last entry of each log was placed."""
    purges: Sequence[Mapping[str, Any]]
    cuts: Mapping[str, Cut]
    """Where the logs begin whose oldest entries were dropped."""
    known: Known
    """What need not be looked at again: rows that it covers are not here."""

    def told(self, event_type: str) -> list[Mapping[str, Any]]:
        """What the announcements of one type say."""
        return [one.facts for one in self.announced if one.event_type == event_type]

    def begins_at(self, log: str) -> int:
        """The first entry of a log that should be here."""
        return self.cuts[log].edge.size if log in self.cuts else 0


def read(connection: psycopg.Connection[Any], outbox_key: bytes, known: Known, *, whole: bool = True) -> Frame:
    """Read what is not `known`, and with `whole` also what can only be counted by looking at all of it.

    The caller's transaction is of one snapshot (repeatable read) and ends right after.

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
        outbox = waiting.read(connection, outbox_key)
        told = announced(connection, outbox, known.announced)
        purges = cursor.execute(_PURGES).fetchall()
        runs = {"since": known.runs_until, "told": _ids(_told_of(told, VERIFICATION_RUN))}
        put_aside = {"since": known.quarantined, "told": _ids(_told_of(told, ENTRY_QUARANTINED))}
        sealed = cursor.execute(_COUNTS).fetchone() if whole else None
        return Frame(
            ledger=ledger["name"],
            generation=ledger["generation"],
            created_at=ledger["created_at"],
            now=ledger["now"],
            heads=heads,
            logs=logs,
            beyond=_beyond(cursor, logs, heads),
            nodes_beyond=cursor.execute(_NODES_BEYOND, {"logs": list(logs)}).fetchall(),
            spans=_with_times(connection, cursor.execute(_SPANS).fetchall(), heads, known),
            periods=cursor.execute(_PERIODS, _first_periods(logs, known, told)).fetchall(),
            runs=cursor.execute(_RUNS, runs).fetchall(),
            announced=told,
            waiting=outbox,
            quarantined=cursor.execute(_QUARANTINED, put_aside).fetchall(),
            sealed_rows=sealed["sealed"] if sealed else 0,
            words_source=(connection.execute(_WORDS_SOURCE).fetchone() or (b"",))[0],
            last_sequenced={row["log"]: row["at"] for row in cursor.execute(_LAST).fetchall()},
            purges=purges,
            cuts=cuts_of(purges),
            known=known,
        )


def _told_of(announced: Sequence[Announced], event_type: str) -> list[str]:
    """What announcements of one type are about."""
    return [one.resource_id for one in announced if one.event_type == event_type]


def _ids(names: Sequence[str]) -> list[UUID]:
    """Those that are ids: what else is announced belongs to no row."""
    found = []
    for name in names:
        with suppress(ValueError):
            found.append(UUID(name))
    return found


def _beyond(cursor: psycopg.Cursor[dict[str, Any]], logs: Sequence[str], heads: Mapping[str, Head]) -> list[Any]:
    """What lies outside the sizes of the heads; asked for one log after the other, so that each is planned for."""
    found = []
    for log in logs:
        size = heads[log].size if log in heads else 0
        found += [{"log": log, **row} for row in cursor.execute(_BEYOND, {"log": log, "size": size}) if row["rows"]]
    return found


def _with_times(
    connection: psycopg.Connection[Any], spans: Sequence[dict[str, Any]], heads: Mapping[str, Head], known: Known
) -> Sequence[dict[str, Any]]:
    """Give each partition the times of its entries: those known, and those of what was written since."""
    for span in spans:
        log, first, stop = span["log"], span["seq_from"], span["seq_until"]
        until, times = known.times.get((log, first), (first, (None, None)))
        if until < stop and (log not in heads or until < heads[log].size or until == first):
            statement = _TIMES if until == first else _FRESH_TIMES
            found = connection.execute(statement, (log, until, stop)).fetchone()
            times = widened(times, (found[0], found[1]) if found else (None, None))
        span["time_first"], span["time_last"] = times
    return spans


def _first_periods(logs: Sequence[str], known: Known, told: Sequence[Announced]) -> dict[str, list[Any]]:
    """From which period on those of each log are to be read: one before the first that is to be judged."""
    firsts = {log: known.periods[log][0] + 1 if log in known.periods else 0 for log in logs}
    for name in _told_of(told, PERIOD_SEALED):
        log, _, n = name.rpartition("/")
        if log in firsts and n.isdecimal():
            firsts[log] = min(firsts[log], int(n))
    return {"logs": list(firsts), "firsts": [max(0, first - 1) for first in firsts.values()]}


_EVENTS: Final = (
    PERIOD_SEALED, VERIFICATION_RUN, SUBJECT_ERASED, ENTRY_QUARANTINED, PARTITION_PURGED, SEALED_EXPIRED, RESTORED,
)  # fmt: skip


def announced(connection: psycopg.Connection[Any], outbox: Waiting, since: int = 0) -> list[Announced]:
    """What the `meta` log says from some entry on was done to the ledger, with what still waits to enter it."""
    rows = connection.execute(_ANNOUNCED, {"events": list(_EVENTS), "since": since}).fetchall()
    found = [Announced(seq, event, ident or "", _facts(canon)) for seq, event, ident, canon in rows]
    for row in outbox.rows:
        index = index_of(row["canon"]) if row["log"] == META_LOG else {}
        if index.get("event_type") in _EVENTS:
            event, ident = str(index["event_type"]), str(index.get("resource_id") or "")
            found.append(Announced(None, event, ident, _facts(row["canon"])))
    return found


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
