"""The last head of every log that was signed here, on disk before anybody hears of the signature.

Must never take a head that is not proved to continue the last one, and never go back: not after a crash, not after a
file was lost in part. One process works in the directory, one request at a time.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Final

from ledger import note
from ledger.checkpoint import Checkpoint, CheckpointError
from ledger.merkle import ProofError, verify_consistency
from ledger.note import NoteError
from ledger.restored import EMPTY, Origin, RestorationError, Size
from witness.files import private_directory, write_whole
from witness.wire import ConflictError, RefusalError, origin_hash

_SUFFIX: Final = ".checkpoint"


class DamagedHeadError(Exception):
    """A head on disk cannot be read: nothing is signed for its log until a person has looked."""


@dataclass(frozen=True, slots=True)
class Head:
    """A head as it was signed here."""

    checkpoint: Checkpoint
    signed: bytes


class Heads:
    """The heads in one directory."""

    def __init__(self, directory: Path) -> None:
        """Read every head.

        Raises:
            DamagedHeadError: one cannot be read.
        """
        private_directory(directory)
        self._directory = directory
        self._heads = {head.checkpoint.origin: head for head in map(_read, sorted(directory.glob(f"*{_SUFFIX}")))}

    def latest(self, origin: str) -> Head | None:
        """The last head of a log; None before the first."""
        return self._heads.get(origin)

    def by_hash(self, hashed: str) -> Head | None:
        """The last head of the log whose origin has this hash."""
        return next((head for origin, head in self._heads.items() if origin_hash(origin) == hashed), None)

    def origins(self) -> tuple[str, ...]:
        """Every log a head of which was signed here."""
        return tuple(sorted(self._heads))

    def of_ledger(self, ledger: str) -> Iterator[tuple[Origin, Head]]:
        """The last head of every log of a ledger, in every generation."""
        for head in self._heads.values():
            origin = Origin.parse(head.checkpoint.origin)
            if origin.ledger == ledger:
                yield origin, head

    def adopt(self, signed: bytes) -> None:
        """Take the first head of an origin that was kept elsewhere before this process died."""
        head = Head(Checkpoint.parse(note.split(signed)[0]), signed)
        if head.checkpoint.origin not in self._heads:
            self._keep(head)

    def advance(
        self,
        old: int,
        proof: Sequence[bytes],
        new: Checkpoint,
        sign: Callable[[], bytes],
        *,
        base: Size = EMPTY,
        before: Callable[[bytes], None] | None = None,
    ) -> bytes:
        """Check that `new` continues the last head, sign it, keep it, and only then give the signed bytes away.

        `base` is what the first head of an origin continues; `before` is called with what was signed before it is kept.

        Raises:
            ConflictError: `old` is not the size of the last head.
            RefusalError: 400 or 422, the head is smaller than `old` or not proved to continue the last one.
        """
        last = self._heads.get(new.origin)
        known, root = (last.checkpoint.size, last.checkpoint.root) if last else base
        if old > new.size:
            raise RefusalError(HTTPStatus.BAD_REQUEST, "the old size is larger than the checkpoint's")
        if old != known:
            raise ConflictError(known)
        try:
            verify_consistency(old, new.size, root, new.root, proof)
        except ProofError as error:
            raise RefusalError(HTTPStatus.UNPROCESSABLE_ENTITY, f"{new.origin}: {error}") from error
        signed = sign()
        if before is not None:
            before(signed)
        self._keep(Head(new, signed))
        return signed

    def _keep(self, head: Head) -> None:
        write_whole(self._directory / f"{origin_hash(head.checkpoint.origin)}{_SUFFIX}", head.signed)
        self._heads[head.checkpoint.origin] = head


def _read(path: Path) -> Head:
    try:
        signed = path.read_bytes()
        checkpoint = Checkpoint.parse(note.split(signed)[0])
        Origin.parse(checkpoint.origin)
    except (OSError, NoteError, CheckpointError, RestorationError) as error:
        raise DamagedHeadError(f"{path} is not a signed head: {error}") from error
    if path.name != f"{origin_hash(checkpoint.origin)}{_SUFFIX}":
        raise DamagedHeadError(f"{path} holds the head of another log, {checkpoint.origin}")
    return Head(checkpoint, signed)
