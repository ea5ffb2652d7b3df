"""Which restores lead to the ledger's generation, and what heads of all generations say of its logs. Pure.

A head of a generation that has ended is held against the log like any other, unless a restore accounts for it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from backend.audit.approval import approved
from backend.audit.verification.frame import Frame
from backend.audit.verification.logs import Mark
from backend.audit.verification.verdicts import Tally
from ledger import checkpoint
from ledger.checkpoint import CheckpointError
from ledger.note import NoteError, VerifierKey
from ledger.restored import FIRST_GENERATION, META_LOG, RESTORED, Loss, Origin, RestorationError, Size


@dataclass(frozen=True, slots=True)
class HeldHead:
    """A signed head that the signer or a witness holds; whoever asked them has verified it."""

    source: str
    origin: str
    size: int
    root: bytes

    def to_tree(self) -> list[Any]:
        """Give it as JSON values."""
        return [self.source, self.origin, self.size, self.root.hex()]

    @classmethod
    def from_tree(cls, tree: Sequence[Any]) -> "HeldHead":
        """Read what `to_tree` gave."""
        source, origin, size, root = tree
        return cls(source, origin, size, bytes.fromhex(root))


class Generations:
    """The generations of one ledger, as the entries of `meta` tell of them."""

    def __init__(self, frame: Frame, approvals: bytes, keys: Sequence[VerifierKey]) -> None:
        """Read them; `approvals` authenticates a restore, `keys` sign heads."""
        self._ledger, self._current = frame.ledger, frame.generation
        told = [one for one in frame.announced if one.event_type == RESTORED and one.seq is not None]
        both = [(one.seq, approved(one.facts, approvals)) for one in told]
        self._restores = [(seq, restore) for seq, restore in both if restore is not None]
        self._released: dict[str, list[tuple[Size, bool]]] = {}
        for _, one in self._restores:
            for loss in one.lost:
                if loss.origin.generation < one.generation:
                    released = self._released.setdefault(str(loss.origin), [])
                    released.append((loss.lost, _is_signed(loss, keys)))

    @property
    def latest(self) -> int:
        """The generation that approved restores lead to."""
        return max((one.generation for _, one in self._restores), default=FIRST_GENERATION)

    @property
    def begun_with(self) -> int | None:
        """The entry of `meta` that the present generation began with; None for the first."""
        return next((seq for seq, one in self._restores if one.generation == self._current), None)

    def is_released(self, origin: str, size: int, root: bytes) -> bool:
        """Whether a restore accounts for a head, so that the log need not continue it (see `ledger.restored`)."""
        named = self._released.get(origin, ())
        return any(lost == (size, root) or (signed and size < lost[0]) for lost, signed in named)

    def log_of(self, origin: str) -> Origin | None:
        """The log and generation of an origin of this ledger."""
        try:
            found = Origin.parse(origin)
        except RestorationError:
            return None
        return found if found.ledger == self._ledger else None

    def check(self, held: Iterable[HeldHead], tally: Tally) -> None:
        """Hold the generation against the restores, and against what parties know of."""
        if self.latest != self._current:
            told = f"the database says generation {self._current}, approved restores lead to {self.latest}"
            tally.find(META_LOG, None, "generation", told)
        for one in held:
            tally.look(1)
            origin = self.log_of(one.origin)
            if origin is not None and origin.generation > self._current:
                tally.find(origin.log, one.size, "generation", f"{one.source} holds a head of {one.origin}")

    def marks(self, held: Iterable[HeldHead]) -> Iterable[tuple[str, int, Mark]]:
        """What parties hold, and what was left of a log at the last restore: by log and size."""
        for one in held:
            origin = self.log_of(one.origin)
            if origin is not None and not self.is_released(one.origin, one.size, one.root):
                yield origin.log, one.size, Mark(f"the head of {one.origin} that {one.source} holds", one.root)
        for _, restore in self._restores:
            if restore.generation == self.latest:
                for loss in restore.lost:
                    size, root = loss.present
                    yield loss.origin.log, size, Mark(f"the restore to generation {restore.generation}", root)


def _is_signed(loss: Loss, keys: Sequence[VerifierKey]) -> bool:
    try:
        checkpoint.open_checkpoint(loss.note, keys)
    except (NoteError, CheckpointError):
        return False
    return True
