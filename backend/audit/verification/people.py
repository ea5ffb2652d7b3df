"""Judges personal values: those that are there are what their entries committed to, those that are gone were erased
by an authorised act. Must never say what a value is.
"""

from base64 import b64decode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import psycopg
from psycopg.rows import dict_row

from backend.audit.verification import frame, waiting
from backend.audit.verification.keys import Keys, Opened, Unopened, WrappedKey
from backend.audit.verification.known import Known
from backend.audit.verification.logs import Personal
from backend.audit.verification.purged import SEALED_EXPIRED, expired_before
from backend.audit.verification.verdicts import NO_LOG, Verdict, Verdicts
from backend.audit.verification.waiting import Promises, Waiting
from ledger import seal
from ledger.canon import format_instant
from ledger.seal import SealError

_ROWS: Final = "SELECT * FROM audit_sealed WHERE entry_id = ANY(%s)"
_KEYS: Final = "SELECT id, subject, wrapped, destroyed_at, master_key_id FROM audit_subject_keys"
_THESE_KEYS: Final = f"{_KEYS} WHERE id = ANY(%s)"
_REREADS: Final = 5
"""A master key is replaced once in years; a row that changes each time it is read is somebody's play."""
_ASK_KEYS: Final = 200
"""Keys that are opened with one request."""
KeyRow = tuple[UUID, str, bytes | None, datetime | None, str]
_ORPHANS: Final = """
SELECT sealed.entry_id, sealed.field, sealed.log, entry.seq, entry.canon FROM audit_sealed AS sealed
LEFT JOIN audit_entries AS entry ON entry.id = sealed.entry_id AND entry.log = sealed.log
"""


@dataclass(slots=True)
class Absent:
    """Values of one subject that are gone from one log."""

    seq: int
    """Entry and field of the first."""
    name: str
    count: int = 0
    newest: str = ""
    """The latest time of their entries."""


@dataclass(slots=True)
class People:
    """Personal values while a verification runs."""

    verdicts: Verdicts
    keys: Keys
    promises: Promises
    known: Known
    """What was announced before the entries that are still to be looked at."""
    rows_seen: int = 0
    subjects: dict[UUID, tuple[str, bytes | None]] = field(default_factory=dict)
    """Subject and opened key, by key id."""
    absent: dict[tuple[str, str], Absent] = field(default_factory=dict)
    """By subject whose values are gone, and log."""

    def load(self, connection: psycopg.Connection[Any]) -> None:
        """Open the subjects' keys."""
        tally = self.verdicts[Verdict.ERASURE]
        tally.look()
        rows = connection.execute(_KEYS).fetchall()
        opened = self._opened(connection, rows)
        for ident, subject, wrapped, destroyed_at, _ in rows:
            key = opened.get(ident)
            self.subjects[ident] = (subject, None if isinstance(key, Unopened) else key)
            if isinstance(key, Unopened):
                tally.find(NO_LOG, None, "key", f"the key of {subject}: {key.why}")
            elif wrapped is not None and destroyed_at is not None:
                tally.find(NO_LOG, None, "key", f"the key of {subject} is said to be destroyed and is there")

    def keys_now(self, connection: psycopg.Connection[Any]) -> Mapping[UUID, tuple[str, bytes | None]]:
        """The subjects' keys with those made since `load`; one that does not open is told by the next verification."""
        rows = [row for row in connection.execute(_KEYS).fetchall() if row[0] not in self.subjects]
        opened = self._opened(connection, rows)
        found = {row[0]: (row[1], key) for row in rows if isinstance(key := opened.get(row[0]), bytes)}
        return {**self.subjects, **found}

    def _opened(self, connection: psycopg.Connection[Any], rows: Sequence[KeyRow]) -> dict[UUID, Opened]:
        """Open keys; what does not open is read again: its master key may have been replaced since the row was read."""
        found: dict[UUID, Opened] = {}
        for _ in range(_REREADS):
            asked = [row for row in rows if row[2] is not None]
            for part in _in_parts(asked):
                wrapped = [WrappedKey(str(ident), subject, under, key or b"") for ident, subject, key, _, under in part]
                found.update(zip((row[0] for row in part), self.keys.open(wrapped), strict=True))
            shut = {row[0]: row for row in asked if isinstance(found[row[0]], Unopened)}
            if not shut:
                break
            now = connection.execute(_THESE_KEYS, (list(shut),)).fetchall()
            rows = [row for row in now if row != shut[row[0]]]
            for row in rows:
                found.pop(row[0])  # if it was destroyed meanwhile there is nothing to open
            if not rows:
                break
        return found

    def waiting(self, connection: psycopg.Connection[Any]) -> Waiting:
        """The outbox as it is now; what is believed of it must reach the ledger."""
        now = waiting.read(connection, self.keys.outbox)
        self.promises.note(now.rows)
        return now

    def erased(self, connection: psycopg.Connection[Any], outbox: Waiting) -> set[str]:
        """Whose erasure was announced until now."""
        told = frame.announced(connection, outbox, self.known.announced)
        return self.known.erased | {one.resource_id for one in told if one.event_type == frame.SUBJECT_ERASED}

    def _expired(self, connection: psycopg.Connection[Any], outbox: Waiting) -> dict[str, str]:
        told = frame.announced(connection, outbox, self.known.announced)
        fresh = expired_before([one.facts for one in told if one.event_type == SEALED_EXPIRED])
        return {log: max(fresh.get(log, ""), self.known.expired.get(log, "")) for log in fresh | self.known.expired}

    def check(self, connection: psycopg.Connection[Any], entries: Sequence[Personal]) -> None:
        """Hold the values of some entries against what the entries committed to."""
        by_id = {str(entry.index.get("id")): entry for entry in entries}
        idents = [ident for ident in by_id if _is_uuid(ident)]
        with connection.cursor(row_factory=dict_row) as cursor:
            rows = cursor.execute(_ROWS, (idents,)).fetchall()
        self.rows_seen += len(rows)
        there = {(str(row["entry_id"]), row["field"]): row for row in rows}
        for ident, entry in by_id.items():
            for name, committed in entry.commitments.items():
                row = there.pop((ident, name), None)
                if row is None:
                    self._note_absent(entry, name)
                else:
                    self._check_row(entry, name, committed, row)
        for ident, name in there:
            entry = by_id[ident]
            self._wrong(entry, name, "the entry has no such field")

    def _note_absent(self, entry: Personal, name: str) -> None:
        self.verdicts[Verdict.ERASURE].look(1)
        gone = self.absent.setdefault((_subject(entry.index), entry.log), Absent(entry.seq, name))
        gone.count += 1
        gone.newest = max(gone.newest, str(entry.index.get("occurred_at")))

    def _wrong(self, entry: Personal, name: str, detail: str) -> None:
        self.verdicts[Verdict.PROJECTION].find(entry.log, entry.seq, "sealed", f"{name}: {detail}")

    def _check_row(self, entry: Personal, name: str, committed: str, row: Mapping[str, Any]) -> None:
        self.verdicts[Verdict.PROJECTION].look()
        if row["log"] != entry.log or format_instant(row["occurred_at"]) != entry.index.get("occurred_at"):
            self._wrong(entry, name, "its log or time is not that of the entry")
        subject, key = self.subjects.get(row["key_id"], ("", None))
        if subject != row["subject"]:
            self._wrong(entry, name, "its key is that of somebody else")
        if key is None:
            return  # destroyed: what is left cannot be opened, and whether that was right is judged by the key
        try:
            opened = seal.decrypt(
                key, row["nonce"], row["ciphertext"], log=entry.log, entry_id=str(entry.index.get("id")), field=name,
                committed=b64decode(committed),
            )  # fmt: skip
            blind = seal.blind(self.keys.blinding, name, opened.value.decode())
        except (SealError, ValueError) as error:
            self._wrong(entry, name, str(error))
            return
        if row["blind"] != blind:
            self._wrong(entry, name, "it is searched under another value")

    def finish(self, connection: psycopg.Connection[Any]) -> None:
        """Hold keys that are gone against what was announced."""
        self.settle(connection)
        told = self.erased(connection, self.waiting(connection))
        for _, subject, wrapped, at, _ in connection.execute(_KEYS):
            if wrapped is None and (at is None or subject not in told):
                told_of = f"the key of {subject} is gone and no erasure was announced"
                self.verdicts[Verdict.ERASURE].find(NO_LOG, None, "key", told_of)

    def settle(self, connection: psycopg.Connection[Any]) -> None:
        """Hold values that are gone against what was announced; read now, so that an erasure meanwhile is known."""
        if not self.absent:
            return
        outbox = self.waiting(connection)
        told, expired = self.erased(connection, outbox), self._expired(connection, outbox)
        rows = connection.execute(_KEYS).fetchall()
        destroyed = {subject for _, subject, wrapped, at, _ in rows if wrapped is None and at is not None}
        for (subject, log), gone in sorted(self.absent.items()):
            if (subject not in destroyed or subject not in told) and gone.newest >= expired.get(log, ""):
                told_of = f"{gone.count} values of {subject} are gone, e.g. {gone.name}, and nobody erased them"
                self.verdicts[Verdict.ERASURE].find(log, gone.seq, "gone", told_of)
        self.absent.clear()

    def find_orphans(self, connection: psycopg.Connection[Any], expected: int) -> None:
        """Find values that belong to no entry, when more were counted than entries have."""
        if self.rows_seen >= expected:
            return
        for ident, name, log, seq, canon in connection.cursor().stream(_ORPHANS):  # a row at a time: it may be all
            body = frame.tree_of(canon).get("body") if canon is not None else None
            if not (isinstance(body, dict) and name in body.get("sealed", {})):
                told = f"a sealed {name} of {ident} belongs to no entry"
                self.verdicts[Verdict.PROJECTION].find(log, seq, "sealed", told)


def _subject(index: Mapping[str, Any]) -> str:
    """Whose values an entry keeps: the rule of `service.record`, by which their key was chosen."""
    if index.get("event_type") == frame.SUBJECT_NAMED:
        return str(index.get("resource_id"))
    if index.get("actor_type") == "anonymous" and index.get("resource_type") == "user" and index.get("resource_id"):
        return str(index["resource_id"])
    return str(index.get("actor") or index.get("actor_type"))


def _is_uuid(text: str) -> bool:
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False


def _in_parts(rows: Sequence[KeyRow]) -> Iterable[Sequence[KeyRow]]:
    return (rows[at : at + _ASK_KEYS] for at in range(0, len(rows), _ASK_KEYS))
