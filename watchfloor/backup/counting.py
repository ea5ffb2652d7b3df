"""Counts what a database holds: rows of every table, heads of the audit ledger. Reads only."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import psycopg
from psycopg import sql

from backend.continuity.backup_manifest import Head
from ledger.merkle import CompactRange

Connection = psycopg.Connection[tuple[Any, ...]]
BATCH_ROWS: Final = 10_000
_TABLES: Final = """
    SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r' AND c.relpersistence = 'p' AND n.nspname NOT LIKE 'pg\\_%'
        AND n.nspname <> 'information_schema'
        AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid
            AND d.deptype = 'e')
    ORDER BY 1, 2"""
"""Ordinary tables and the leaves of partitioned ones that are kept for good and are no part of an extension."""
_CHANGES: Final = """
    SELECT schemaname || '.' || relname, n_tup_ins + n_tup_upd + n_tup_del FROM pg_stat_user_tables"""


@dataclass(frozen=True, slots=True)
class Held:
    """What a database holds at one instant."""

    tables: dict[str, int]
    heads: tuple[Head, ...]

    @property
    def rows(self) -> int:
        """All of them."""
        return sum(self.tables.values())


def held(connection: Connection) -> Held:
    """Count, within the connection's transaction: one snapshot if it is a repeatable read."""
    names = connection.execute(_TABLES).fetchall()
    counts = {}
    for schema, table in names:
        count = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(schema, table)))
        counts[f"{schema}.{table}"] = _first(count)
    return Held(counts, _heads(connection))


def changes(connection: Connection) -> dict[str, int]:
    """How many rows were ever added, changed and taken away, by table."""
    connection.execute("SELECT pg_stat_clear_snapshot()")
    return dict(connection.execute(_CHANGES).fetchall())


def _heads(connection: Connection) -> tuple[Head, ...]:
    if _first(connection.execute("SELECT to_regclass('public.audit_heads') IS NULL")):
        return ()
    found = connection.execute("SELECT log, size, root FROM public.audit_heads ORDER BY log")
    return tuple(Head(log=log, size=size, root=bytes(root).hex()) for log, size, root in found)


def root_at(connection: Connection, head: Head) -> str | None:
    """The root of a log's first entries, worked out from them; None where some are only in the archive."""
    tree = CompactRange()
    for leaves in _leaves(connection, head):
        tree.extend(leaves)
    return tree.root().hex() if tree.size == head.size else None


def _leaves(connection: Connection, head: Head) -> Iterator[list[bytes]]:
    query = "SELECT leaf FROM public.audit_entries WHERE log = %s AND seq < %s ORDER BY seq"
    with connection.cursor(name="leaves") as cursor:
        cursor.execute(query, (head.log, head.size))
        while rows := cursor.fetchmany(BATCH_ROWS):
            yield [bytes(leaf) for (leaf,) in rows]


def _first(cursor: psycopg.Cursor[tuple[Any, ...]]) -> Any:
    row = cursor.fetchone()
    assert row is not None  # noqa: S101  an aggregate always has one row
    return row[0]
