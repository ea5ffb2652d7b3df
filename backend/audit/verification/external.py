"""Judges what is vouched for from outside the database: signed heads and cosignatures. Must never say ok without having
looked, and never take the first key from the database alone once it is known.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

import psycopg
from psycopg.rows import dict_row

from backend.audit.verification.frame import Frame
from backend.audit.verification.logs import Mark
from backend.audit.verification.records import NO_LOG
from backend.audit.verification.verdicts import Tally
from ledger import checkpoint, note
from ledger.checkpoint import CheckpointError
from ledger.note import NoteError, VerifierKey

UNSIGNED_LIMIT: Final = timedelta(minutes=10)
"""A head is signed within seconds; after this the signer stands still and nobody outside knows the newest entries."""
_BATCH: Final = 2_000
_EPOCHS: Final = "SELECT epoch, vkey, certificate FROM audit_epochs ORDER BY epoch"
_SIGNED: Final = """
SELECT origin, size, log, root, epoch, note FROM audit_checkpoints
WHERE (origin, size) > (%s, %s) ORDER BY origin, size LIMIT %s
"""
_COSIGNED: Final = """
SELECT witness.origin, witness.size, witness.witness, witness.receipt, signed.note
FROM audit_cosignatures AS witness LEFT JOIN audit_checkpoints AS signed USING (origin, size)
WHERE (witness.origin, witness.size, witness.witness) > (%s, %s, %s)
ORDER BY witness.origin, witness.size, witness.witness LIMIT %s
"""
_MARKS: Final = "SELECT size, origin, root FROM audit_checkpoints WHERE log = %s AND size > %s AND size <= %s"
_BEYOND: Final = """
SELECT signed.log, signed.size, signed.origin, signed.root FROM audit_checkpoints AS signed
LEFT JOIN audit_heads AS head USING (log) WHERE signed.size > coalesce(head.size, 0) LIMIT 1000
"""
_FAULTS: Final = "SELECT log, kind, source, witnessed_size FROM audit_faults WHERE resolved_at IS NULL"
_BEHIND: Final = "SELECT sequenced_at FROM audit_entries WHERE log = %s AND seq = %s"


@dataclass(frozen=True, slots=True)
class Trust:
    """What is known without asking the database."""

    genesis: str | None = None
    """The first epoch's key; None until some verification has seen it."""
    witnesses: Sequence[str] = ()
    """Keys of witnesses (vkeys) whose cosignatures can be verified."""


@dataclass(slots=True)
class External:
    """The external verdict while it is made."""

    connection: psycopg.Connection[Any]
    frame: Frame
    tally: Tally
    trust: Trust
    keys: dict[int, VerifierKey] = field(default_factory=dict)
    newest: dict[str, int] = field(default_factory=dict)
    """The largest signed size of each log."""

    def check(self) -> str | None:
        """Verify every signed head and cosignature; gives the first epoch's key for the next time."""
        for log, kind, source, size in self.connection.execute(_FAULTS):
            self.tally.find(log, size, "fault", f"the log is {kind} than what {source} holds, and nobody resolved it")
        epochs = self.connection.execute(_EPOCHS).fetchall()
        if not epochs:
            self.tally.reason = "no head has been signed"
            if self.trust.genesis:
                self.tally.find(NO_LOG, None, "epoch", "the signing keys are gone")
            return self.trust.genesis
        genesis: str = epochs[0][1]
        if self.trust.genesis not in (None, genesis):
            self.tally.find(NO_LOG, None, "epoch", "the first signing key is not the one that was known")
        if epochs[0][2] is not None:
            self.tally.find(NO_LOG, None, "epoch", "the first signing key is certified by one that is gone")
        try:
            certificates = [bytes(certificate or b"") for _, _, certificate in epochs[1:]]
            self.keys = checkpoint.verify_chain(self.trust.genesis or genesis, certificates)
        except (NoteError, CheckpointError, ValueError) as error:
            self.tally.find(NO_LOG, None, "epoch", f"the chain of signing keys is broken: {error}")
        if {epoch: vkey for epoch, vkey, _ in epochs} != {epoch: key.encode() for epoch, key in self.keys.items()}:
            self.tally.find(NO_LOG, None, "epoch", "a signing key is not the one that was certified")
        for row in self._rows(_SIGNED, 2):
            self._signed(row)
        self._cosigned()
        self._unsigned()
        if self.trust.genesis is None:
            self.tally.skip("the first signing key was learnt from the database itself; the next run knows it")
        return self.trust.genesis or genesis

    def _rows(self, statement: str, keys: int) -> Iterator[Mapping[str, Any]]:
        """Rows of a table in the order of their key, some thousand at a time."""
        last: list[Any] = ["", -1, ""][:keys]
        with self.connection.cursor(row_factory=dict_row) as cursor:
            while rows := cursor.execute(statement, [*last, _BATCH]).fetchall():
                yield from rows
                last = list(rows[-1].values())[:keys]

    def _signed(self, row: Mapping[str, Any]) -> None:
        log, size = row["log"], row["size"]
        self.tally.look(1)
        try:
            head = checkpoint.open_checkpoint(bytes(row["note"]), list(self.keys.values())).checkpoint
        except (NoteError, CheckpointError) as error:
            self.tally.find(log, size, "signature", str(error))
            return
        if (head.origin, head.size, head.root, head.epoch) != (row["origin"], size, row["root"], row["epoch"]):
            self.tally.find(log, size, "checkpoint", "its columns are not what was signed")
        if not is_origin_of(head.origin, self.frame.ledger, log):
            self.tally.find(log, size, "checkpoint", "it is of another ledger or log")
        self.newest[log] = max(self.newest.get(log, 0), size)

    def _cosigned(self) -> None:
        known = [VerifierKey.parse(vkey) for vkey in self.trust.witnesses]
        for row in self._rows(_COSIGNED, 3):
            self.tally.look(1)
            if row["note"] is None:
                self.tally.find(NO_LOG, row["size"], "witness", f"{row['witness']} holds a head that is not here")
                continue
            self._cosignature(row, [key for key in known if key.name == row["witness"]])

    def _cosignature(self, row: Mapping[str, Any], keys: list[VerifierKey]) -> None:
        if not keys:
            return  # a witness without a key: its own copy counts, which the rollback check compares
        text, _ = note.split(bytes(row["note"]))
        try:
            note.open_note(text.encode() + b"\n" + bytes(row["receipt"]), keys)
        except NoteError as error:
            self.tally.find(NO_LOG, row["size"], "witness", f"{row['witness']}: {error}")

    def _unsigned(self) -> None:
        """Entries that have been waiting long for a signature over them."""
        for log, head in self.frame.heads.items():
            signed = self.newest.get(log, 0)
            row = self.connection.execute(_BEHIND, (log, signed)).fetchone() if signed < head.size else None
            if row is not None and self.frame.now - row[0] > UNSIGNED_LIMIT:
                self.tally.find(log, signed, "unsigned", f"{head.size - signed} entries are under no signed head")


def is_origin_of(origin: str, ledger: str, log: str) -> bool:
    """Whether a checkpoint's origin names a log of this ledger, in whichever generation."""
    name, _, generation = origin.partition("/r")
    return name == f"{ledger}/{log}" and (not generation or generation.isdecimal())


def marks(connection: psycopg.Connection[Any], log: str, first: int, stop: int) -> dict[int, list[Mark]]:
    """The roots that signed heads name for sizes in (first, stop]."""
    found: dict[int, list[Mark]] = {}
    for size, origin, root in connection.execute(_MARKS, (log, first, stop)):
        found.setdefault(size, []).append(Mark(f"checkpoint {origin}", root))
    return found


def beyond(connection: psycopg.Connection[Any], frame: Frame) -> dict[str, dict[int, list[Mark]]]:
    """The roots that signed heads name for sizes the logs did not have in the frame's moment."""
    found: dict[str, dict[int, list[Mark]]] = {}
    for log, size, origin, root in connection.execute(_BEYOND):
        head = frame.heads.get(log)
        if size > (head.size if head else 0):
            found.setdefault(log, {}).setdefault(size, []).append(Mark(f"checkpoint {origin}", root))
    return found
