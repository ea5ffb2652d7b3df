"""Changes that a superuser of the database can make to a ledger, enumerated, each with the verdicts one of which must
fail. Every change is made on one connection in a transaction that is rolled back.
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from backend.audit.verification.verdicts import Verdict
from ledger.merkle import leaf_hash

Connection = psycopg.Connection[Any]
LINKAGE, CONTENT, PROJECTION = Verdict.LINKAGE, Verdict.CONTENT, Verdict.PROJECTION
ERASURE, EXTERNAL, COMPLETENESS = Verdict.ERASURE, Verdict.EXTERNAL, Verdict.COMPLETENESS
_INDEX_COLUMNS: Final = (
    "category", "event_type", "action", "actor", "actor_type", "outcome", "resource_type", "resource_id", "request_id",
    "incident",
)  # fmt: skip
_TEXTS: Final = ("x", "x' || ", 'with "quote', "back\\slash", "", "null")


@dataclass(frozen=True)
class Change:
    """One act of a superuser."""

    name: str
    apply: Callable[[Connection], object]
    expected: frozenset[Verdict]
    """At least one of these must fail."""
    kind: str = ""
    """What such changes are counted as."""


def of_kind(kind: str, made: Iterator[Change]) -> Iterator[Change]:
    """The same changes, counted as one kind."""
    return (replace(change, kind=kind) for change in made)


_UNDERIVE_WORDS = """
WITH derived AS (
    SELECT a.attrelid, a.attnum FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid
    WHERE a.attname = 'words' AND c.relname LIKE 'audit_entries%' AND c.relkind IN ('r', 'p')
), expressions AS (DELETE FROM pg_attrdef WHERE (adrelid, adnum) IN (SELECT attrelid, attnum FROM derived))
UPDATE pg_attribute SET attgenerated = '', atthasdef = false
WHERE (attrelid, attnum) IN (SELECT attrelid, attnum FROM derived)
"""
"""In the catalogue: before PostgreSQL 17 DROP EXPRESSION refuses partitions of partitions."""


def disarm(connection: Connection) -> None:
    """Do once what such a superuser does first: no trigger, no generated column stands in the way."""
    rows = connection.execute(
        "SELECT c.relname FROM pg_class AS c WHERE c.relkind = 'r' AND c.relname LIKE 'audit%'"
        " AND EXISTS (SELECT FROM pg_trigger AS t WHERE t.tgrelid = c.oid)"
    ).fetchall()
    for (table,) in rows:
        connection.execute(sql.SQL("ALTER TABLE {} DISABLE TRIGGER ALL").format(sql.Identifier(table)))
    connection.execute(_UNDERIVE_WORDS)


def entry_changes(connection: Connection, *, rows_each: int) -> Iterator[Change]:
    """Every change to entries; of many, `rows_each` spread evenly."""
    with connection.cursor(row_factory=dict_row) as cursor:
        entries = cursor.execute("SELECT * FROM audit_entries ORDER BY log, seq").fetchall()
    chosen = spread(entries, rows_each)
    for row in chosen:
        yield from of_kind("columns of entries", _entry_changes(row))
    small = min(entries, key=lambda row: len(row["canon"]))
    for column in ("canon", "leaf"):
        every_byte = byte_changes("audit_entries", ("log", "seq"), small, column, {CONTENT})
        yield from of_kind("bytes of entries", every_byte)
    yield from of_kind("order of entries", _order_changes(entries, chosen))


def spread(rows: list[Any], count: int) -> list[Any]:
    """Some rows: the first, the last and evenly those between."""
    if len(rows) <= count:
        return rows
    return [rows[round(at * (len(rows) - 1) / (count - 1))] for at in range(count)]


def set_column(table: str, keys: tuple[str, ...], row: Any, column: str, value: Any) -> Callable[[Connection], object]:
    """Put another value into one column of one row."""
    where = sql.SQL(" AND ").join(sql.SQL("{} = %s").format(sql.Identifier(key)) for key in keys)
    statement = sql.SQL("UPDATE {} SET {} = %s WHERE ").format(sql.Identifier(table), sql.Identifier(column)) + where
    values = (value, *(row[key] for key in keys))
    return lambda connection: connection.execute(statement, values)


def delete_row(table: str, keys: tuple[str, ...], row: Any) -> Callable[[Connection], object]:
    """Take one row away."""
    where = sql.SQL(" AND ").join(sql.SQL("{} = %s").format(sql.Identifier(key)) for key in keys)
    statement = sql.SQL("DELETE FROM {} WHERE ").format(sql.Identifier(table)) + where
    return lambda connection: connection.execute(statement, tuple(row[key] for key in keys))


def _place(row: Any) -> str:
    return f"{row['log']} {row['seq']}"


def _entry_changes(row: Any) -> Iterator[Change]:
    """Every column of one entry, and its removal."""
    table, key, place = "audit_entries", ("log", "seq"), _place(row)
    for column in _INDEX_COLUMNS:
        values = {*_TEXTS, row[column] and row[column] + " ", row[column] and row[column].upper()}
        for value in sorted(value for value in values if value not in (None, row[column])):
            yield Change(
                f"{column} of {place} = {value!r}", set_column(table, key, row, column, value), frozenset({PROJECTION})
            )
    for column in ("actor", "actor_type", "resource_type", "resource_id", "request_id"):
        if row[column] is not None:
            yield Change(
                f"{column} of {place} = NULL", set_column(table, key, row, column, None), frozenset({PROJECTION})
            )
    for log in ("meta", "1y", "7y"):
        if log != row["log"]:
            statement = "UPDATE audit_entries SET log = %s, seq = seq + 90000 WHERE log = %s AND seq = %s"
            yield Change(
                f"{place} moved to {log}", executed(statement, log, row["log"], row["seq"]), frozenset({LINKAGE})
            )
    plain: dict[str, tuple[str, set[Verdict]]] = {
        "id": ("gen_random_uuid()", {PROJECTION}),
        "occurred_at + 1 us": ("occurred_at + interval '1 microsecond'", {PROJECTION}),
        "occurred_at - 1 day": ("occurred_at - interval '1 day'", {PROJECTION}),
        "occurred_at without end": ("'infinity'", {PROJECTION}),
        "sequenced_at + 9 days": ("sequenced_at + interval '9 days'", {PROJECTION, LINKAGE}),
        "sequenced_at - 9 days": ("sequenced_at - interval '9 days'", {PROJECTION, LINKAGE}),
        "words without": ("''", {PROJECTION}),
        "words of another": ("to_tsvector('simple', 'nothing')", {PROJECTION}),
        "seq far": ("seq + 100000", {LINKAGE}),
        "leaf of nothing": ("sha256('')", {CONTENT}),
        "leaf cut": ("substr(leaf, 1, 31)", {CONTENT}),
        "canon with a space": ("canon || ' '", {CONTENT}),
        "canon empty": ("''", {CONTENT}),
    }
    for name, (expression, expected) in plain.items():
        column = name.split()[0]
        statement = f"UPDATE audit_entries SET {column} = {expression} WHERE log = %s AND seq = %s"  # noqa: S608  constants
        yield Change(f"{name} of {place}", executed(statement, row["log"], row["seq"]), frozenset(expected))
    yield Change(f"removal of {place}", delete_row(table, key, row), frozenset({LINKAGE}))


def executed(statement: str, *values: Any) -> Callable[[Connection], object]:
    """One statement as a change."""
    return lambda connection: connection.execute(statement, values)


def byte_changes(table: str, keys: tuple[str, ...], row: Any, column: str, expected: set[Verdict]) -> Iterator[Change]:
    """Every byte of one value."""
    raw = bytes(row[column])
    for at in range(len(raw)):
        changed = raw[:at] + bytes([raw[at] ^ (1 << at % 8)]) + raw[at + 1 :]
        name = f"byte {at} of {table}.{column} of {[row[key] for key in keys]}"
        yield Change(name, set_column(table, keys, row, column, changed), frozenset(expected))


def _order_changes(entries: list[Any], chosen: list[Any]) -> Iterator[Change]:
    """Rows put elsewhere, doubled, or replaced by well-made ones."""
    by_place = {(row["log"], row["seq"]): row for row in entries}
    for row in chosen:
        other = by_place.get((row["log"], row["seq"] + 1))
        if other is None:
            continue
        for what, columns in (("bytes", ("canon",)), ("bytes and hashes", ("canon", "leaf"))):
            expected = frozenset({CONTENT if columns == ("canon",) else LINKAGE})
            yield Change(f"{what} of {_place(row)} and the next swapped", _swap(row, other, columns), expected)
        yield Change(f"{_place(row)} and the next swapped whole", _swap_whole(row, other), frozenset({LINKAGE}))
        yield Change(f"{_place(row)} over the next", _replaced(other, row["canon"]), frozenset({LINKAGE}))
        yield Change(f"{_place(row)} twice", _doubled(row), frozenset({LINKAGE}))
        forged = bytes(row["canon"]).replace(b'"outcome":"success"', b'"outcome":"failure"')
        yield Change(f"{_place(row)} forged and hashed again", _replaced(row, forged), frozenset({LINKAGE}))


def _swap(one: Any, other: Any, columns: tuple[str, ...]) -> Callable[[Connection], object]:
    def apply(connection: Connection) -> None:
        for column in columns:
            set_column("audit_entries", ("log", "seq"), one, column, other[column])(connection)
            set_column("audit_entries", ("log", "seq"), other, column, one[column])(connection)

    return apply


def _swap_whole(one: Any, other: Any) -> Callable[[Connection], object]:
    statement = "UPDATE audit_entries SET seq = %s WHERE log = %s AND seq = %s"

    def apply(connection: Connection) -> None:
        for target, source in ((-1, one["seq"]), (one["seq"], other["seq"]), (other["seq"], -1)):
            if target == -1 or source == -1:
                target, source = (2**17 if value == -1 else value for value in (target, source))  # noqa: PLW2901  a free place
            connection.execute(statement, (target, one["log"], source))

    return apply


_REPLACE = """
UPDATE audit_entries SET canon = %(canon)s, leaf = %(leaf)s, words = audit_words(%(canon)s),
    id = (convert_from(%(canon)s, 'UTF8')::jsonb #>> '{index,id}')::uuid,
    occurred_at = (convert_from(%(canon)s, 'UTF8')::jsonb #>> '{index,occurred_at}')::timestamptz, {columns}
WHERE log = %(log)s AND seq = %(seq)s
"""


def _replaced(row: Any, canon: bytes) -> Callable[[Connection], object]:
    """Put a well-formed entry over another, with every column right."""
    pairs = ", ".join(
        f"{name} = convert_from(%(canon)s, 'UTF8')::jsonb #>> '{{index,{name}}}'" for name in _INDEX_COLUMNS
    )
    statement = _REPLACE.replace("{columns}", pairs)
    values = {"canon": canon, "leaf": leaf_hash(canon), "log": row["log"], "seq": row["seq"]}
    return lambda connection: connection.execute(statement, values)


def _doubled(row: Any) -> Callable[[Connection], object]:
    def apply(connection: Connection) -> None:
        connection.execute("ALTER TABLE audit_entries DROP CONSTRAINT pk_audit_entries")
        connection.execute(
            "INSERT INTO audit_entries SELECT * FROM audit_entries WHERE log = %s AND seq = %s",
            (row["log"], row["seq"]),
        )

    return apply


def fingerprint(name: str) -> int:
    """A number of a change that never depends on chance, to choose some of all."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big")
