"""Changes to a ledger as a whole: logs cut, dropped or written anew with every hash made to fit, tables emptied."""

from collections.abc import Callable, Iterator
from typing import Final

from psycopg import sql

from ledger.merkle import TILE_LEVELS, CompactRange
from tests.support.masterkey import vouched
from tests.support.tampering import ERASURE, EXTERNAL, LINKAGE, PROJECTION, Change, Connection, executed

_SEALED_REST: Final = "log, occurred_at, subject, key_id, nonce, ciphertext, blind"


def whole_changes(connection: Connection) -> Iterator[Change]:
    """Acts on a log as a whole."""
    sizes = dict(connection.execute("SELECT log, size FROM audit_heads WHERE size > 0").fetchall())
    for log, size in sorted(sizes.items()):
        for cut in sorted({1, 2, size // 2, size - 1} - {0}):
            if cut < size:
                yield Change(
                    f"{cut} of {size} cut from {log}, the head made to fit",
                    _rewritten(log, size - cut),
                    frozenset({LINKAGE}),
                )
        yield Change(f"{log} written anew", _rewritten(log, size, forge=True), frozenset({LINKAGE}))
        yield Change(f"{log} dropped whole", _dropped(log), frozenset({LINKAGE}))
        yield Change(
            f"{log} dropped with its heads and records",
            _dropped(log, "audit_periods", "audit_checkpoints"),
            frozenset({LINKAGE}),
        )
    yield Change(
        "key destroyed without an erasure",
        executed("UPDATE audit_subject_keys SET wrapped = NULL, destroyed_at = now()"),
        frozenset({ERASURE}),
    )
    yield Change("sealed values gone", executed("DELETE FROM audit_sealed"), frozenset({ERASURE}))
    yield Change("values gone and keys destroyed", _erased, frozenset({ERASURE}))
    yield Change(
        "a sealed value of nobody",
        executed(
            f"INSERT INTO audit_sealed SELECT gen_random_uuid(), field, {_SEALED_REST} FROM audit_sealed LIMIT 1"  # noqa: S608  constants
        ),
        frozenset({PROJECTION}),
    )
    yield Change(
        "a field no entry has",
        executed(f"INSERT INTO audit_sealed SELECT entry_id, 'other', {_SEALED_REST} FROM audit_sealed LIMIT 1"),  # noqa: S608
        frozenset({PROJECTION}),
    )
    yield Change(
        "a node of no place",
        executed("INSERT INTO audit_nodes VALUES ('7y', 8, 4000, sha256(''))"),
        frozenset({LINKAGE}),
    )
    yield Change(
        "a node of no level",
        executed("INSERT INTO audit_nodes VALUES ('7y', 9, 0, sha256(''))"),
        frozenset({LINKAGE}),
    )
    yield Change("all periods gone", executed("DELETE FROM audit_periods"), frozenset({LINKAGE}))
    yield Change("all runs gone", executed("DELETE FROM audit_verifications"), frozenset({LINKAGE}))
    yield Change("the ledger named anew", executed("UPDATE audit_ledger SET name = name || 'x'"), frozenset({EXTERNAL}))
    yield Change("another generation", executed("UPDATE audit_ledger SET generation = 2"), frozenset({EXTERNAL}))
    yield Change("all signing keys gone", executed("DELETE FROM audit_epochs"), frozenset({EXTERNAL}))


def _erased(connection: Connection) -> None:
    connection.execute("UPDATE audit_subject_keys SET wrapped = NULL, destroyed_at = now()")
    connection.execute("DELETE FROM audit_sealed")


def _dropped(log: str, *further: str) -> Callable[[Connection], object]:
    def apply(connection: Connection) -> None:
        for table in ("audit_entries", "audit_heads", "audit_nodes", "audit_spans", "audit_sealed", *further):
            connection.execute(sql.SQL("DELETE FROM {} WHERE log = %s").format(sql.Identifier(table)), (log,))

    return apply


def _rewritten(log: str, size: int, *, forge: bool = False) -> Callable[[Connection], object]:
    """Cut a log, or write its entries anew, and make every hash in it fit."""

    def apply(connection: Connection) -> None:
        connection.execute("DELETE FROM audit_entries WHERE log = %s AND seq >= %s", (log, size))
        if forge:
            connection.execute(
                "UPDATE audit_entries SET canon ="
                " convert_to(replace(convert_from(canon, 'UTF8'), '\"n\":', '\"n\":1'), 'UTF8')"
                " WHERE log = %s", (log,),
            )  # fmt: skip
            connection.execute("UPDATE audit_entries SET leaf = sha256('\\x00'::bytea || canon) WHERE log = %s", (log,))
        make_fit(connection, log, size)

    return apply


def make_fit(connection: Connection, log: str, size: int) -> None:
    """Make the tree, the head and the spans of a log those of its rows."""
    rows = connection.execute("SELECT leaf FROM audit_entries WHERE log = %s ORDER BY seq", (log,)).fetchall()
    edge = CompactRange()
    nodes = edge.extend([leaf for (leaf,) in rows])
    connection.execute("DELETE FROM audit_nodes WHERE log = %s", (log,))
    for node in nodes:
        assert node.level in TILE_LEVELS
        connection.execute("INSERT INTO audit_nodes (log, level, position, hash) VALUES (%s, %s, %s, %s)", (log, *node))
    connection.execute(
        "UPDATE audit_heads SET size = %s, frontier = %s, root = %s, mac = %s,"
        " sequenced_at = coalesce((SELECT sequenced_at FROM audit_entries WHERE log = %s AND seq = %s), sequenced_at)"
        " WHERE log = %s",
        (size, edge.to_bytes(), edge.root(), vouched(log, size, edge.root()), log, size - 1, log),
    )
    connection.execute(
        "UPDATE audit_spans SET time_min = seen.low, time_max = seen.high FROM"
        " (SELECT min(occurred_at) AS low, max(occurred_at) AS high FROM audit_entries WHERE log = %s) AS seen"
        " WHERE log = %s",
        (log, log),
    )


def _blind_words(connection: Connection) -> None:
    """Have searches find nothing, and the function that would show it say the same."""
    connection.execute(
        "CREATE OR REPLACE FUNCTION audit_words(canon bytea) RETURNS tsvector LANGUAGE sql IMMUTABLE STRICT"
        " PARALLEL SAFE AS $$ SELECT ''::tsvector $$"
    )
    connection.execute("UPDATE audit_entries SET words = ''")
