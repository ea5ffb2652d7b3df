"""What waits in the outbox: believed as far as its MAC goes, and only if it then reaches the ledger.

The columns beside the bytes (times, log) are whatever the database says; none of them excuses anything.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

import psycopg
from psycopg.rows import dict_row

from backend.audit.authentic import is_authentic
from backend.audit.verification.verdicts import NO_LOG, Tally
from ledger.merkle import leaf_hash

Row = Mapping[str, Any]

LIMIT: Final = timedelta(seconds=60)
"""Entries reach the ledger within a fraction of a second; after this something stands still."""
_POLL_S: Final = 0.1
_WAITING: Final = f"""
SELECT id, log, canon, mac, sealed, filed_at::text AS since,
    filed_at < clock_timestamp() - interval '{LIMIT.total_seconds()} s' AS late
FROM audit_outbox
"""  # noqa: S608  constants
"""The time as text: one without end is none of Python's."""
_ARRIVED: Final = "SELECT id, leaf FROM audit_entries WHERE id = ANY(%s)"
_PUT_ASIDE: Final = "SELECT id, canon FROM audit_quarantine WHERE id = ANY(%s)"


@dataclass(frozen=True, slots=True)
class Waiting:
    """The outbox at some moment."""

    rows: Sequence[Row]
    """What processes of ours have written."""
    forged: Sequence[Row]
    """What somebody else has put there."""


def read(connection: psycopg.Connection[Any], key: bytes) -> Waiting:
    """The outbox as it is at this moment."""
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(_WAITING).fetchall()
    ours = [row for row in rows if authentic(key, row)]
    known = {row["id"] for row in ours}
    return Waiting(ours, [row for row in rows if row["id"] not in known])


def authentic(key: bytes, row: Row) -> bool:
    """Whether a process of ours has written the row."""
    return is_authentic(key, row["canon"], row["mac"], row["sealed"])


@dataclass(slots=True)
class Promises:
    """Rows of the outbox that something was excused by: each must have reached the ledger in the end.

    Else whoever took a row out of the outbox could show it to every verification and hide it in between.
    """

    rows: dict[UUID, Row] = field(default_factory=dict)

    def note(self, rows: Iterable[Row]) -> None:
        """Remember what was believed."""
        self.rows.update({row["id"]: row for row in rows})

    def judge(self, connection: psycopg.Connection[Any], patience_s: float, tally: Tally) -> None:
        """Find what waits too long by the database's clock, or does not arrive within `patience_s` by ours."""
        for ident, row in list(self.rows.items()):
            if row["late"]:
                tally.find(row["log"], None, "waiting", f"{ident} waits since {row['since']}")
                del self.rows[ident]
        deadline = time.monotonic() + patience_s
        while self._arrive(connection) and time.monotonic() < deadline:
            time.sleep(_POLL_S)
        for ident, row in self.rows.items():
            tally.find(row["log"], None, "waiting", f"{ident} was in the outbox and does not reach the ledger")

    def _arrive(self, connection: psycopg.Connection[Any]) -> int:
        """Forget what has arrived, or is put aside as it was; gives how many have not."""
        if self.rows:
            for ident, leaf in connection.execute(_ARRIVED, (list(self.rows),)).fetchall():
                if ident in self.rows and leaf_hash(self.rows[ident]["canon"]) == leaf:
                    del self.rows[ident]
            for ident, canon in connection.execute(_PUT_ASIDE, (list(self.rows),)).fetchall():
                if ident in self.rows and self.rows[ident]["canon"] == canon:
                    del self.rows[ident]
        return len(self.rows)


def find_forged(rows: Sequence[Row], tally: Tally) -> None:
    """Tell of rows that no process of ours has written; the sequencer puts them into quarantine within moments."""
    for row in rows:
        tally.find(NO_LOG, None, "forged", f"{row['id']} in the outbox was not written by a process of ours")
