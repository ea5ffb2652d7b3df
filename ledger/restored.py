"""How a ledger goes on after a restore: the generation in an origin, and the entries that account for what was lost.

Pure. Must never let a head go that no such entry names: what a party holds is continued or accounted for.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ledger import checkpoint, note
from ledger.checkpoint import Checkpoint, CheckpointError
from ledger.merkle import EMPTY_ROOT, HASH_BYTES, ProofError, leaf_hash, verify_inclusion
from ledger.note import NoteError, VerifierKey

META_LOG: Final = "meta"
"""The log whose entries say what was done to the ledger."""
RESTORED: Final = "ledger.log.restored"
"""Event type of the first entry of a generation."""
FIRST_GENERATION: Final = 1
_ORIGIN: Final = re.compile(
    r"(?P<ledger>[^/\n]+)/(?P<log>[^/\n]+)(?:/r(?P<generation>[2-9]|[1-9][0-9]{1,8}))?", re.ASCII
)

Size = tuple[int, bytes]
"""A tree: how many leaves, and their root."""
EMPTY: Final[Size] = (0, EMPTY_ROOT)


class RestorationError(ValueError):
    """An origin, or an entry about a restore, that is none."""


@dataclass(frozen=True, slots=True)
class Origin:
    """The first line of a checkpoint, taken apart: `<ledger>/<log>`, from the second generation on with `/r<N>`."""

    ledger: str
    log: str
    generation: int

    def __str__(self) -> str:
        return f"{self.ledger}/{self.log}" + (f"/r{self.generation}" if self.generation > FIRST_GENERATION else "")

    @classmethod
    def parse(cls, text: str) -> "Origin":
        """Read an origin line.

        Raises:
            RestorationError: it names no log of a ledger.
        """
        found = _ORIGIN.fullmatch(text)
        if found is None:
            raise RestorationError(f"{text[:100]!r} is not the origin of a log")
        return cls(found["ledger"], found["log"], int(found["generation"] or FIRST_GENERATION))


@dataclass(frozen=True, slots=True)
class Loss:
    """A signed head that a restored ledger does not continue, and what of its log is left."""

    origin: Origin
    lost: Size
    note: bytes
    present: Size
    """The log as it was when it went on; what comes later continues this."""


@dataclass(frozen=True, slots=True)
class Restoration:
    """What an entry `ledger.log.restored` says."""

    ledger: str
    generation: int
    lost: tuple[Loss, ...]

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> "Restoration":
        """Read the facts of such an entry.

        Raises:
            RestorationError: they are not complete, or contradict themselves.
        """
        try:
            origin, generation = Origin.parse(facts["origin"]), facts["generation"]
            lost = tuple(_loss(one) for one in facts["lost"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise RestorationError(f"it does not say what was restored: {error}") from error
        if origin.log != META_LOG or origin.generation != generation or generation <= FIRST_GENERATION:
            raise RestorationError("its origin is not that of its generation")
        if any(one.origin.ledger != origin.ledger or one.origin == origin for one in lost):
            raise RestorationError("it accounts for heads of another ledger")
        return cls(origin.ledger, generation, lost)

    @classmethod
    def parse(cls, canon: bytes) -> "Restoration":
        """Read the bytes of an entry.

        Raises:
            RestorationError: it is another entry, or see `of`.
        """
        try:
            tree = json.loads(canon)
            index, facts = tree["index"], tree["body"]["detail"]["new_value"]
            kind = (index["log"], index["event_type"])
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise RestorationError("it is no entry") from error
        if kind != (META_LOG, RESTORED):
            raise RestorationError("it is an entry about something else")
        return cls.of(facts)


def _loss(item: Mapping[str, Any]) -> Loss:
    raw = item["checkpoint"].encode()
    head = Checkpoint.parse(note.split(raw)[0])
    size, root = item["present"]["size"], bytes.fromhex(item["present"]["root"])
    if type(size) is not int or size < 0 or len(root) != HASH_BYTES:
        raise RestorationError("what is left of a log is no tree")
    return Loss(Origin.parse(head.origin), (head.size, head.root), raw, (size, root))


def released_by(restorations: Iterable[Restoration], head: Checkpoint, keys: Sequence[VerifierKey]) -> Loss | None:
    """The newest account of a head that need not be continued; None when nothing accounts for it.

    A head is accounted for where exactly it is named, or a larger one of the same origin that a known key signed:
    naming an older one would hide what came after it.
    """
    for one in sorted(restorations, key=lambda one: one.generation, reverse=True):
        for loss in one.lost:
            if (
                str(loss.origin) == head.origin
                and loss.origin.generation < one.generation
                and _covers(loss, head, keys)
            ):
                return loss
    return None


def _covers(loss: Loss, head: Checkpoint, keys: Sequence[VerifierKey]) -> bool:
    if loss.lost[0] <= head.size:
        return loss.lost == (head.size, head.root)
    try:
        checkpoint.open_checkpoint(loss.note, keys)
    except (NoteError, CheckpointError):
        return False
    return True


@dataclass(frozen=True, slots=True)
class ProvedEntry:
    """An entry of the `meta` log with the proof that it is under a head."""

    index: int
    path: tuple[bytes, ...]
    canon: bytes

    def verify(self, head: Checkpoint) -> None:
        """Hold it against a head.

        Raises:
            ProofError: it is not shown to be under it.
        """
        verify_inclusion(leaf_hash(self.canon), self.index, head.size, self.path, head.root)


def restorations_under(head: Checkpoint, entries: Iterable[ProvedEntry]) -> tuple[Restoration, ...]:
    """The restores that lead to the generation of a `meta` head, each proved to be an entry under it.

    Raises:
        RestorationError: they do not lead there, or one is not under it.
    """
    origin = Origin.parse(head.origin)
    if origin.log != META_LOG:
        raise RestorationError(f"restores are entries of {META_LOG}")
    found = []
    for one in entries:
        try:
            one.verify(head)
        except ProofError as error:
            raise RestorationError(f"entry {one.index} is not under the head: {error}") from error
        found.append(Restoration.parse(one.canon))
    generations = [one.generation for one in found]
    if not found or generations != sorted(generations) or generations[-1] != origin.generation:
        raise RestorationError(f"they do not lead to generation {origin.generation}")
    if any(one.ledger != origin.ledger for one in found):
        raise RestorationError("they are of another ledger")
    return tuple(found)
