"""Judges personal values: those that are there are what their entries committed to, those that are gone were erased
by an authorised act. Must never say what a value is.
"""

from base64 import b64decode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

import psycopg
from psycopg.rows import dict_row

from backend.audit.verification import frame
from backend.audit.verification.logs import Personal
from backend.audit.verification.purged import SEALED_EXPIRED, expired_before
from backend.audit.verification.records import NO_LOG
from backend.audit.verification.verdicts import Verdict, Verdicts
from ledger import seal
from ledger.canon import format_instant
from ledger.seal import SealError

_ROWS: Final = "SELECT * FROM audit_sealed WHERE entry_id = ANY(%s)"
_KEYS: Final = "SELECT id, subject, wrapped, destroyed_at, master_key_id FROM audit_subject_keys"
_ORPHANS: Final = """
SELECT sealed.entry_id, sealed.field, sealed.log, entry.seq, entry.canon FROM audit_sealed AS sealed
LEFT JOIN audit_entries AS entry ON entry.id = sealed.entry_id AND entry.log = sealed.log
"""


@dataclass(frozen=True, slots=True)
class Keys:
    """What opens personal values; derived from the master key."""

    wrapping: Mapping[str, bytes]
    """By the name of the master key."""
    blinding: bytes

    def __repr__(self) -> str:
        return "Keys()"


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
    rows_seen: int = 0
    subjects: dict[UUID, tuple[str, bytes | None]] = field(default_factory=dict)
    """Subject and opened key, by key id."""
    absent: dict[tuple[str, str], Absent] = field(default_factory=dict)
    """By subject whose values are gone, and log."""

    def load(self, connection: psycopg.Connection[Any]) -> None:
        """Open the subjects' keys."""
        tally = self.verdicts[Verdict.ERASURE]
        tally.look()
        for ident, subject, wrapped, destroyed_at, master in connection.execute(_KEYS):
            self.subjects[ident] = (subject, None)
            if wrapped is None:
                continue
            try:
                key = seal.unwrap_key(self.keys.wrapping[master], wrapped, subject=subject, key_id=str(ident))
            except KeyError:
                tally.find(NO_LOG, None, "key", f"the key of {subject} is under a master key that is not here")
                continue
            except SealError as error:
                tally.find(NO_LOG, None, "key", f"the key of {subject} does not open: {error}")
                continue
            if destroyed_at is not None:
                tally.find(NO_LOG, None, "key", f"the key of {subject} is said to be destroyed and is there")
            self.subjects[ident] = (subject, key)

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
        told = {one.resource_id for one in _announced(connection) if one.event_type == frame.SUBJECT_ERASED}
        for _, subject, wrapped, at, _ in connection.execute(_KEYS):
            if wrapped is None and (at is None or subject not in told):
                told_of = f"the key of {subject} is gone and no erasure was announced"
                self.verdicts[Verdict.ERASURE].find(NO_LOG, None, "key", told_of)

    def settle(self, connection: psycopg.Connection[Any]) -> None:
        """Hold values that are gone against what was announced; read now, so that an erasure meanwhile is known."""
        if not self.absent:
            return
        announced = _announced(connection)
        told = {one.resource_id for one in announced if one.event_type == frame.SUBJECT_ERASED}
        expired = expired_before([one.facts for one in announced if one.event_type == SEALED_EXPIRED])
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


def _announced(connection: psycopg.Connection[Any]) -> list[frame.Announced]:
    return frame.announced(connection, frame.waiting_now(connection))


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
