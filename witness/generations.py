"""What a party was shown about restores of its ledgers, and what the first head of a log after one has to continue.

A ledger goes on under a new generation only with the entry that says so, under the head that is signed here with it:
without it, a rewritten ledger would only need another name. Must never go back to a generation that has ended.
"""

from collections.abc import Iterable, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Final

from ledger.checkpoint import Checkpoint
from ledger.note import VerifierKey
from ledger.restored import (
    EMPTY,
    FIRST_GENERATION,
    Origin,
    Restoration,
    RestorationError,
    Size,
    released_by,
    restorations_under,
)
from witness.files import private_directory, write_whole
from witness.heads import DamagedHeadError, Head, Heads
from witness.wire import ConflictError, RefusalError, RestorationRequest, join_notes, origin_hash, split_notes

_SUFFIX: Final = ".restored"


def origin_of(head: Checkpoint) -> Origin:
    """Take the origin of a head apart.

    Raises:
        RefusalError: 400, it is none.
    """
    try:
        return Origin.parse(head.origin)
    except RestorationError as error:
        raise RefusalError(HTTPStatus.BAD_REQUEST, str(error)) from error


class Generations:
    """The restores shown to one party."""

    def __init__(self, directory: Path, heads: Heads) -> None:
        """Read them.

        Raises:
            DamagedHeadError: one cannot be read.
        """
        private_directory(directory)
        self._directory = directory
        self._heads = heads
        self._shown: dict[str, list[Restoration]] = {}
        for path in sorted(directory.glob(f"*{_SUFFIX}")):
            try:
                signed, *canons = split_notes(path.read_bytes())
                self._learn(map(Restoration.parse, canons))
            except (OSError, ValueError, RefusalError) as error:
                raise DamagedHeadError(f"{path} is not what was shown of a restore: {error}") from error
            heads.adopt(signed)

    def base(self, origin: Origin, keys: Sequence[VerifierKey]) -> Size:
        """What the next head of an origin continues while none of it is held.

        Raises:
            RefusalError: 428 the restore it begins with has to be shown first; 422 its generation has ended.
        """
        newest = self._newest(origin.ledger)
        if origin.generation > newest:
            told = f"the restore that generation {origin.generation} began with has to be shown first"
            raise RefusalError(HTTPStatus.PRECONDITION_REQUIRED, told)
        if origin.generation < newest:
            told = f"{origin} has ended: a head of generation {newest} was signed here"
            raise RefusalError(HTTPStatus.UNPROCESSABLE_ENTITY, told)
        return self._continued(origin, self._shown.get(origin.ledger, ()), keys)

    def begun_by(
        self, request: RestorationRequest, head: Checkpoint, keys: Sequence[VerifierKey]
    ) -> tuple[tuple[Restoration, ...], Size]:
        """The restores of a request, and what the head of `meta` that comes with them continues.

        Raises:
            RefusalError: 400 they do not lead to its generation; 409 it is no new one; 422 a head that is held here is
                neither accounted for nor continued.
        """
        origin = origin_of(head)
        last = self._heads.latest(head.origin)
        if last is not None:
            raise ConflictError(last.checkpoint.size)
        try:
            restorations = restorations_under(head, request.entries)
        except RestorationError as error:
            raise RefusalError(HTTPStatus.BAD_REQUEST, f"not a restore: {error}") from error
        if origin.generation <= self._newest(origin.ledger):
            raise RefusalError(HTTPStatus.UNPROCESSABLE_ENTITY, f"generation {origin.generation} is no new one")
        self._refuse_older(origin, restorations, keys)
        return restorations, self._continued(origin, restorations, keys)

    def keep(self, request: RestorationRequest, restorations: Iterable[Restoration], head: Head) -> None:
        """Keep what was shown, with the head it was shown with; durable on return."""
        canons = [one.canon for one in request.entries]
        path = self._directory / f"{origin_hash(head.checkpoint.origin)}{_SUFFIX}"
        write_whole(path, join_notes([head.signed, *canons]))
        self._learn(restorations)

    def _learn(self, restorations: Iterable[Restoration]) -> None:
        for one in restorations:
            self._shown.setdefault(one.ledger, []).append(one)

    def _newest(self, ledger: str) -> int:
        held = (origin.generation for origin, _ in self._heads.of_ledger(ledger))
        return max(held, default=FIRST_GENERATION)

    def _held_before(self, origin: Origin) -> Head | None:
        """The last head of the same log in the newest generation before."""
        held = [
            (one.generation, head)
            for one, head in self._heads.of_ledger(origin.ledger)
            if one.log == origin.log and one.generation < origin.generation
        ]
        return max(held, key=lambda pair: pair[0])[1] if held else None

    def _continued(self, origin: Origin, shown: Iterable[Restoration], keys: Sequence[VerifierKey]) -> Size:
        """The head held of the generation before; where that was accounted for as lost, what was left of the log."""
        held = self._held_before(origin)
        if held is None:
            return EMPTY
        loss = released_by(shown, held.checkpoint, keys)
        return loss.present if loss is not None else (held.checkpoint.size, held.checkpoint.root)

    def _refuse_older(self, origin: Origin, shown: Sequence[Restoration], keys: Sequence[VerifierKey]) -> None:
        """A restore that names another head than the one held here hides what came after it."""
        named = {str(loss.origin) for one in shown for loss in one.lost}
        for one, head in self._heads.of_ledger(origin.ledger):
            if str(one) in named and released_by(shown, head.checkpoint, keys) is None:
                told = (
                    f"the restore does not name the head of {head.checkpoint.size} entries of {one} that is held here"
                )
                raise RefusalError(HTTPStatus.UNPROCESSABLE_ENTITY, told)
