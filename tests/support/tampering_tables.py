"""Changes to the tables beside the entries, column by column, and the one list of what is no evidence.

Every column of every table whose name begins with `audit_` is changed here or named in `NOTES` or `NOT_EVIDENCE`; a
test holds that against the schema.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from psycopg import sql
from psycopg.rows import dict_row

from backend.audit.verification.verdicts import Verdict
from tests.support.tampering import (
    COMPLETENESS,
    ERASURE,
    EXTERNAL,
    LINKAGE,
    PROJECTION,
    Change,
    Connection,
    byte_changes,
    delete_row,
    executed,
    of_kind,
    set_column,
    spread,
)

KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    "audit_heads": ("log",),
    "audit_nodes": ("log", "level", "position"),
    "audit_spans": ("log", "seq_from"),
    "audit_periods": ("log", "n"),
    "audit_verifications": ("id",),
    "audit_sealed": ("entry_id", "field"),
    "audit_subject_keys": ("id",),
    "audit_checkpoints": ("origin", "size"),
    "audit_cosignatures": ("origin", "size", "witness"),
    "audit_epochs": ("epoch",),
    "audit_quarantine": ("number",),
    "audit_ledger": ("name",),
    "audit_purges": ("log", "first_kept_seq"),
}
"""Tables that are evidence, with what names a row."""
_EXPECTED: Final[dict[str, set[Verdict]]] = {
    "audit_heads": {LINKAGE, PROJECTION},
    "audit_nodes": {LINKAGE},
    "audit_spans": {PROJECTION},
    "audit_periods": {LINKAGE},
    "audit_verifications": {LINKAGE},
    "audit_sealed": {PROJECTION, ERASURE},
    "audit_subject_keys": {ERASURE, PROJECTION},
    "audit_checkpoints": {EXTERNAL, LINKAGE},
    "audit_cosignatures": {EXTERNAL},
    "audit_epochs": {EXTERNAL},
    "audit_quarantine": {COMPLETENESS},
    "audit_ledger": {EXTERNAL},
    "audit_purges": {LINKAGE},
}
_SEEN_WHEN_READ: Final = "a note of when it was seen; nothing rests on it"
NOTES: Final[Mapping[tuple[str, str], str]] = {
    ("audit_subject_keys", "created_at"): "a note",
    ("audit_subject_keys", "destroyed_at"): "a note while the key is there; without the key the announcement counts",
    ("audit_checkpoints", "signed_at"): _SEEN_WHEN_READ,
    ("audit_cosignatures", "witness"): "a claim: what a witness holds is asked of the witness",
    ("audit_cosignatures", "witnessed_at"): _SEEN_WHEN_READ,
    ("audit_epochs", "learned_at"): _SEEN_WHEN_READ,
    ("audit_quarantine", "number"): "a note about the bytes, which count",
    ("audit_quarantine", "log"): "a note about the bytes, which count",
    ("audit_quarantine", "mac"): "a note about the bytes, which count",
    ("audit_quarantine", "sealed"): "a note about the bytes, which count",
    ("audit_quarantine", "emitted_at"): "a note about the bytes, which count",
    ("audit_quarantine", "quarantined_at"): "a note about the bytes, which count",
    ("audit_quarantine", "reason"): "a note about the bytes, which count",
    ("audit_ledger", "created_at"): "a note",
    ("audit_ledger", "generation"): "held against the approved restores by those outside: see `outside`",
    ("audit_ledger", "master_key_id"): "the key that opens is found by trying: a wrong name opens nothing",
    ("audit_purges", "last_sequenced"): "a bound for the head's time of a log of which nothing is left",
    ("audit_purges", "entry_id"): "a pointer to the announcement, which is found by what it says",
    ("audit_purges", "purged_at"): "a note; the announcement has its own time",
}
"""Columns of evidence that are no evidence themselves, and why (docs/audit-ledger.md says so too)."""
NOT_EVIDENCE: Final[Mapping[str, str]] = {
    "audit_archives": "an inventory: copies are read back against what was announced",
    "audit_erased_names": "keeps erased names from coming back",
    "audit_faults": "found again by the next comparison with those outside",
    "audit_imported_logs": "how long imported logs are kept; what goes is announced",
    "audit_keepers": "how signer and witnesses do at this moment",
    "audit_outbox": "what waits is authenticated when it is taken",
    "audit_restores": "a note of what the ledger announced",
    "audit_saved_searches": "people's own",
    "audit_subjects": "names, which must be forgettable",
    "audit_verification_jobs": "what is under way",
    "audit_verification_state": "authenticated: a changed one is not believed",
}
"""Tables that no verdict rests on, and why."""
_KEEPABLE: Final = {"audit_checkpoints", "audit_cosignatures"}
"""A signed head or receipt that is gone weakens nothing: a later one covers the same entries, others hold it too."""


def table_changes(connection: Connection, rows_each: int) -> Iterator[Change]:
    """Every column of some rows of every other table, every byte of one row, and their removal."""
    for table, keys in KEYS.items():
        yield from _of_table(connection, table, keys, rows_each)


def _of_table(connection: Connection, table: str, keys: tuple[str, ...], rows_each: int) -> Iterator[Change]:
    statement = sql.SQL("SELECT * FROM {} ORDER BY {}").format(
        sql.Identifier(table), sql.SQL(", ").join(sql.Identifier(key) for key in keys)
    )
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = spread(cursor.execute(statement).fetchall(), rows_each)
    expected, name = _EXPECTED[table], table.removeprefix("audit_")
    for row in rows:
        for column in row.keys() - {one for of, one in NOTES if of == table}:
            yield from of_kind(f"columns of {name}", _value_changes(table, keys, row, column))
        if table not in _KEEPABLE:
            removal = f"removal from {table} of {[row[key] for key in keys]}"
            yield Change(removal, delete_row(table, keys, row), frozenset(expected), f"rows of {name}")
    for row in rows[:1]:
        for column in row:
            if isinstance(row[column], bytes) and (table, column) not in NOTES:
                yield from of_kind(f"bytes of {name}", byte_changes(table, keys, row, column, expected))


def _value_changes(table: str, keys: tuple[str, ...], row: Any, column: str) -> Iterator[Change]:
    expected = frozenset(_EXPECTED[table])
    name = f"{table}.{column} of {[row[key] for key in keys]}"
    value = row[column]
    others: list[Any] = []
    if isinstance(value, bytes):
        others = [_flipped(value), value[:-1], value + b"\0", b""]
        others = [other for other in others if other != value]
    elif isinstance(value, bool):
        others = [not value]
    elif isinstance(value, int):
        others = [value + 1, value - 1, value + 2**20]
    elif isinstance(value, str):
        others = [value + "x", ""]
    for number, other in enumerate(others):
        yield Change(f"{name}, {number}", set_column(table, keys, row, column, other), expected)
    if not isinstance(value, bytes | bool | int | str) and value is not None:
        quoted, where = column, " AND ".join(f"{key} = %s" for key in keys)
        for expression in _expressions(value):
            statement = f"UPDATE {table} SET {quoted} = {expression.format(quoted)} WHERE {where}"  # noqa: S608  constants
            yield Change(f"{name}, {expression}", executed(statement, *(row[key] for key in keys)), expected)


def _expressions(value: Any) -> tuple[str, ...]:
    if hasattr(value, "tzinfo"):
        return ("{} + interval '1 microsecond'", "{} - interval '1 day'")
    if isinstance(value, dict):
        return ("{} || '{{\"x\": 1}}'", "'{{}}'")
    return ("gen_random_uuid()",)


def _flipped(value: bytes) -> bytes:
    return bytes([value[0] ^ 1]) + value[1:] if value else b"\1"
