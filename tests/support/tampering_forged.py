"""Rows that somebody made up: to excuse what is missing, or to lead verification and people astray.

Records are changed together with every hash that names them, as far as a superuser of the database can.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from psycopg.rows import dict_row

from backend.audit.verification.records import period_hash, period_record, run_digest
from tests.support.rewriting import make_fit
from tests.support.tampering import (
    COMPLETENESS,
    ERASURE,
    EXTERNAL,
    LINKAGE,
    PROJECTION,
    Change,
    Connection,
    executed,
    spread,
)

_ENTRIES_EACH: Final = 6
"""Entries of each log from which rows are made up."""
_OUTBOX: Final = (
    "INSERT INTO audit_outbox (id, log, canon, mac, sealed, emitted_at, filed_at)"
    " VALUES (gen_random_uuid(), %s, %s, %s, %s, now(), now())"
)
_QUARANTINE: Final = (
    "INSERT INTO audit_quarantine (id, log, canon, mac, emitted_at, quarantined_at, reason)"
    " VALUES (gen_random_uuid(), %s, %s, %s, now(), now(), 'made up')"
)
_REWRITE: Final = """
UPDATE audit_entries SET canon = convert_to(replace(convert_from(canon, 'UTF8'), %(old)s, %(new)s), 'UTF8')
WHERE log = 'meta' AND position(%(old)s IN convert_from(canon, 'UTF8')) > 0
"""
_REHASH: Final = (
    "UPDATE audit_entries SET leaf = sha256('\\x00'::bytea || canon), words = audit_words(canon) WHERE log = 'meta'"
)
_EXTRA: Final = (
    Change(
        "a verification that never ran",
        executed(
            "INSERT INTO audit_verifications SELECT gen_random_uuid(), started, verified_at, verified_by, tool_version,"
            ' "full", passed, entries, verdicts, from_heads, to_heads FROM audit_verifications LIMIT 1'
        ),
        frozenset({LINKAGE}),
    ),
    Change(
        "a period that was never sealed",
        executed(
            "INSERT INTO audit_periods SELECT log, n + 1, period_end, period_end + interval '1 day', seq_end, seq_end,"
            " 0, hash_chain, sha256(''), sealed_at FROM audit_periods ORDER BY log, n DESC LIMIT 1"
        ),
        frozenset({LINKAGE}),
    ),
    Change(
        "a purge that nobody announced",
        executed(
            "INSERT INTO audit_purges (log, first_kept_seq, seq_from, edge, root, numbers, last_sequenced, entry_id,"
            " purged_at) SELECT log, 262144, 0, frontier, root, '', now(), gen_random_uuid(), now() FROM audit_heads"
            " LIMIT 1"
        ),
        frozenset({LINKAGE}),
    ),
    Change(
        "a signed head that nobody signed",
        executed(
            "INSERT INTO audit_checkpoints SELECT origin, size - 1, log, root, epoch, note, signed_at"
            " FROM audit_checkpoints"
        ),
        frozenset({EXTERNAL, LINKAGE}),
    ),
    Change(
        "a receipt for a head that is not here",
        executed(
            "INSERT INTO audit_cosignatures SELECT origin, size + 1, witness, receipt, witnessed_at"
            " FROM audit_cosignatures"
        ),
        frozenset({EXTERNAL}),
    ),
    Change(
        "a signing key that nobody certified",
        executed("INSERT INTO audit_epochs SELECT epoch + 7, vkey, certificate, learned_at FROM audit_epochs"),
        frozenset({EXTERNAL}),
    ),
    Change(
        "a partition that is none",
        executed(
            "INSERT INTO audit_spans SELECT log, seq_until, seq_until + 16, 'nowhere', time_min, time_max"
            " FROM audit_spans WHERE seq_from = 0"
        ),
        frozenset({PROJECTION}),
    ),
    Change(
        "keys of people under another name",
        executed("UPDATE audit_subject_keys SET subject = 'p-' || gen_random_uuid()"),
        frozenset({ERASURE, PROJECTION}),
    ),
)


def forged_changes(connection: Connection) -> Iterator[Change]:
    """Every row that can be made up."""
    with connection.cursor(row_factory=dict_row) as cursor:
        logs = [row["log"] for row in cursor.execute("SELECT log FROM audit_heads WHERE size > 0 ORDER BY log")]
        for log in logs:
            statement = "SELECT log, seq, canon, leaf FROM audit_entries WHERE log = %s ORDER BY seq"
            for row in spread(cursor.execute(statement, (log,)).fetchall(), _ENTRIES_EACH):
                yield from _excuses(row)
        runs = cursor.execute("SELECT * FROM audit_verifications").fetchall()
        periods = cursor.execute("SELECT * FROM audit_periods ORDER BY log, n").fetchall()
    yield from _EXTRA
    for run in runs:
        yield from _other_runs(run)
    for period in periods:
        yield from _other_periods(period)


def _excuses(row: Mapping[str, Any]) -> Iterator[Change]:
    """An entry's number, given again where numbers are excused that have not arrived."""
    log, canon, place = row["log"], bytes(row["canon"]), f"{row['log']} {row['seq']}"
    expected = frozenset({COMPLETENESS})
    for what, bytes_of in (("as it is", canon), ("under another number", canon.replace(b'"n":', b'"n":9', 1))):
        for whose, mac in (("no", b""), ("a wrong", hashlib.sha256(canon).digest()), ("the leaf for a", row["leaf"])):
            outbox = executed(_OUTBOX, log, bytes_of, mac, None)
            yield Change(f"{place} {what} in the outbox with {whose} MAC", outbox, expected)
        aside = executed(_QUARANTINE, log, bytes_of, row["leaf"])
        yield Change(f"{place} {what} in quarantine", aside, expected)
    yield Change(f"{place} cut off with what follows, and excused in the outbox", _cut_and_excused(row), expected)


def _cut_and_excused(row: Mapping[str, Any]) -> Callable[[Connection], object]:
    """The end of a log gone, the head made to fit, and its numbers said to be on their way."""

    def apply(connection: Connection) -> None:
        log, seq = row["log"], row["seq"]
        connection.execute(
            "INSERT INTO audit_outbox (id, log, canon, mac, emitted_at, filed_at)"
            " SELECT id, log, canon, leaf, now(), now() FROM audit_entries WHERE log = %s AND seq >= %s", (log, seq),
        )  # fmt: skip
        connection.execute("DELETE FROM audit_entries WHERE log = %s AND seq >= %s", (log, seq))
        make_fit(connection, log, seq)

    return apply


def _meta_rewritten(connection: Connection, old: str, new: str) -> None:
    """Have `meta` announce something else, every hash of it made to fit."""
    connection.execute(_REWRITE, {"old": old, "new": new})
    connection.execute(_REHASH)
    (size,) = connection.execute("SELECT size FROM audit_heads WHERE log = 'meta'").fetchone() or (0,)
    make_fit(connection, "meta", size)


def _other_runs(run: dict[str, Any]) -> Iterator[Change]:
    for column, value in (("verified_by", "somebody"), ("entries", 1), ("tool_version", "0"), ("from_heads", {})):
        other = {**run, column: value}

        def apply(connection: Connection, column: str = column, other: dict[str, Any] = other) -> None:
            said = "{}" if other[column] == {} else other[column]
            changed = f"UPDATE audit_verifications SET {column} = %s WHERE id = %s"  # noqa: S608  constants
            connection.execute(changed, (said, run["id"]))
            _meta_rewritten(connection, run_digest(run), run_digest(other))

        yield Change(f"{column} of verification {run['id']}, digest made to fit", apply, frozenset({LINKAGE}))


def _other_periods(period: dict[str, Any]) -> Iterator[Change]:
    """A sealed period with one entry less and all that names it changed with it, but for what lies outside."""
    if period["seq_end"] == period["seq_start"]:
        return
    other = {**period, "seq_end": period["seq_end"] - 1, "record_count": period["record_count"] - 1}
    of_period = f"{period['log']}/{period['n']}"

    def apply(connection: Connection) -> None:
        connection.execute(
            "UPDATE audit_periods SET seq_end = seq_end - 1, record_count = record_count - 1 WHERE log = %s AND n = %s",
            (period["log"], period["n"]),
        )
        connection.execute(
            "UPDATE audit_periods SET seq_start = seq_start - 1, record_count = record_count + 1, prev_period_hash = %s"
            " WHERE log = %s AND n = %s", (period_hash(period_record(other)), period["log"], period["n"] + 1),
        )  # fmt: skip
        old, new = (f'"record_count":{one["record_count"]},"seq_end":{one["seq_end"]}' for one in (period, other))
        _meta_rewritten(connection, old, new)

    yield Change(f"period {of_period} an entry shorter, hashes made to fit", apply, frozenset({LINKAGE}))
