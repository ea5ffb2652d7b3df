"""Judges what is vouched for from outside the database: signed heads and cosignatures. Must never say ok without having
looked, and never take the first key from the database alone once it is known.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import psycopg
from psycopg.rows import dict_row

from backend.audit.head_origins import ORIGINS
from backend.audit.verification.frame import Frame
from backend.audit.verification.generations import Generations, HeldHead
from backend.audit.verification.logs import Mark
from backend.audit.verification.verdicts import META_LOG, NO_LOG, Tally
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
_MARKS: Final = """
SELECT size, origin, root FROM audit_checkpoints WHERE origin = ANY(%s) AND size > %s AND size <= %s
ORDER BY size LIMIT %s
"""
_ALL: Final = 2**63 - 1
_BEYOND_LIMIT: Final = 1_000
"""Heads of one log beyond its end: the first one tells enough."""
_FAULTS: Final = "SELECT log, kind, source, witnessed_size FROM audit_faults WHERE resolved_at IS NULL"
_BEHIND: Final = "SELECT sequenced_at FROM audit_entries WHERE log = %s AND seq = %s"


@dataclass(frozen=True, slots=True)
class Trust:
    """What is known without asking the database."""

    genesis: str | None = None
    """The first epoch's key; None until some verification has seen it."""
    witnesses: Sequence[str] = ()
    """Keys of witnesses (vkeys) whose cosignatures can be verified."""
    held: Sequence[HeldHead] = ()
    """What the signer and the witnesses hold, as far as they could be asked."""


class External:
    """The external verdict while it is made."""

    def __init__(
        self, connection: psycopg.Connection[Any], frame: Frame, tally: Tally, trust: Trust, approvals: bytes
    ) -> None:
        """Read the keys and the restores; `approvals` authenticates the latter."""
        self.connection, self.frame, self.tally, self.trust = connection, frame, tally, trust
        self.newest: dict[str, int] = {}
        """The largest size of each log that was signed in the present generation."""
        self._epochs = connection.execute(_EPOCHS).fetchall()
        self.keys, self._broken = _chain(self._epochs, trust.genesis)
        self.generations = Generations(frame, approvals, list(self.keys.values()))
        self._origins: dict[str, list[str]] = {}
        """The origins that heads are kept of, by log."""
        for (name,) in connection.execute(ORIGINS):
            origin = self.generations.log_of(name)
            if origin is not None:
                self._origins.setdefault(origin.log, []).append(name)

    def check(self) -> str | None:
        """Verify every signed head and cosignature; gives the first epoch's key for the next time."""
        for log, kind, source, size in self.connection.execute(_FAULTS):
            told = f"what {source} holds shows that the log is not as it was ({kind}), and nobody resolved it"
            self.tally.find(log, size, "fault", told)
        self.generations.check(self.trust.held, self.tally)
        if not self._epochs:
            if self.trust.genesis:
                self.tally.find(NO_LOG, None, "epoch", "the signing keys are gone")
            self.tally.skip("no head has been signed")
            return self.trust.genesis
        self._check_keys(self._epochs[0][1])
        for row in self._rows(_SIGNED, 2):
            self._signed(row)
        self._cosigned()
        self._unsigned()
        if self.trust.genesis is None:
            self.tally.skip("the first signing key was learnt from the database itself; the next run knows it")
        return self.trust.genesis or self._epochs[0][1]

    def _check_keys(self, genesis: str) -> None:
        if self.trust.genesis not in (None, genesis):
            self.tally.find(NO_LOG, None, "epoch", "the first signing key is not the one that was known")
        if self._epochs[0][2] is not None:
            self.tally.find(NO_LOG, None, "epoch", "the first signing key is certified by one that is gone")
        if self._broken:
            self.tally.find(NO_LOG, None, "epoch", f"the chain of signing keys is broken: {self._broken}")
        stored = {epoch: vkey for epoch, vkey, _ in self._epochs}
        if stored != {epoch: key.encode() for epoch, key in self.keys.items()}:
            self.tally.find(NO_LOG, None, "epoch", "a signing key is not the one that was certified")

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
        origin = self.generations.log_of(head.origin)
        if origin is None or origin.log != log:
            self.tally.find(log, size, "checkpoint", "it is of another ledger or log")
        elif origin.generation > self.frame.generation:
            self.tally.find(log, size, "generation", f"it is of generation {origin.generation}")
        elif origin.generation == self.frame.generation:
            self.newest[log] = max(self.newest.get(log, 0), size)

    def _cosigned(self) -> None:
        known = [VerifierKey.parse(vkey) for vkey in self.trust.witnesses]
        strange: Counter[str] = Counter()
        for row in self._rows(_COSIGNED, 3):
            self.tally.look(1)
            if row["note"] is None:
                self.tally.find(NO_LOG, row["size"], "witness", f"{row['witness']} holds a head that is not here")
                continue
            keys = [key for key in known if key.name == row["witness"]]
            if keys and not self._cosignature(row, keys):
                strange[row["witness"]] += 1
        for name, count in sorted(strange.items()):
            told = f"{count} cosignatures of {name} are by a key that is not known here: they were not verified"
            self.tally.note("witness", told)

    def _cosignature(self, row: Mapping[str, Any], keys: Sequence[VerifierKey]) -> bool:
        """Verify a cosignature; False when it is by another key of a witness of that name.

        A witness without any key here vouches by its own copy, which the rollback check compares.
        """
        try:
            text, _ = note.split(bytes(row["note"]))
            signed = text.encode() + b"\n" + bytes(row["receipt"])
            lines = [one for one in note.split(signed)[1] if one.name == row["witness"]]
            ours = [key for key in keys if key.key_id in {one.key_id for one in lines}]
            if lines and not ours:
                return False
            note.open_note(signed, ours or keys)
        except NoteError as error:
            self.tally.find(NO_LOG, row["size"], "witness", f"{row['witness']}: {error}")
        return True

    def _unsigned(self) -> None:
        """Entries that have been waiting long for a signature over them."""
        begun = self.generations.begun_with
        since = self._placed(META_LOG, begun) if begun is not None else None
        for log, head in self.frame.heads.items():
            signed = self.newest.get(log, 0)
            if signed >= head.size:
                continue
            placed = self._placed(log, max(signed, self.frame.begins_at(log)))
            waiting = max((at for at in (placed, since) if at is not None), default=None)
            if waiting is not None and self.frame.now - waiting > UNSIGNED_LIMIT:
                self.tally.find(log, signed, "unsigned", f"{head.size - signed} entries are under no signed head")

    def _placed(self, log: str, seq: int) -> datetime | None:
        row = self.connection.execute(_BEHIND, (log, seq)).fetchone()
        return row[0] if row else None

    def marks(self, log: str, first: int, stop: int, limit: int = _ALL) -> dict[int, list[Mark]]:
        """The roots that signed heads name for sizes in (first, stop]; not those that a restore accounts for."""
        found: dict[int, list[Mark]] = {}
        values = (self._origins.get(log, []), first, stop, limit)
        for size, origin, root in self.connection.execute(_MARKS, values):
            if not self.generations.is_released(origin, size, root):
                found.setdefault(size, []).append(Mark(f"checkpoint {origin}", root))
        return found

    def marks_at_once(self) -> Iterator[tuple[str, int, Mark]]:
        """What the signer and witnesses hold, and what signed heads name beyond the end of the logs."""
        yield from self.generations.marks(self.trust.held)
        for log in self._origins:
            head = self.frame.heads.get(log)
            for size, marks in self.marks(log, head.size if head else 0, _ALL, _BEYOND_LIMIT).items():
                for mark in marks:
                    yield log, size, mark


def _chain(epochs: Sequence[Any], genesis: str | None) -> tuple[dict[int, VerifierKey], str]:
    """The signing keys, and what is wrong with their chain; with none there is none."""
    if not epochs:
        return {}, ""
    try:
        return checkpoint.verify_chain(genesis or epochs[0][1], [bytes(one or b"") for _, _, one in epochs[1:]]), ""
    except (NoteError, CheckpointError, ValueError) as error:
        return {}, str(error)
