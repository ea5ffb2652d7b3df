"""What the signer and every witness can be asked, and how they say no. No I/O here."""

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from ledger import checkpoint, note
from ledger.checkpoint import Checkpoint, CheckpointError
from ledger.note import NoteError
from ledger.restored import ProvedEntry

ASK_LIMIT_S: Final = 2.0
"""A party that takes longer is away: the others are not kept waiting."""


class PartyError(Exception):
    """A party does not do its work; the message is one plain sentence."""


class AheadError(PartyError):
    """A party holds a larger head than the one it was offered."""


class ContradictionError(PartyError):
    """A party says that a head does not continue the one it holds."""


class UnknownGenerationError(PartyError):
    """A party has not been shown the restore that a head's generation began with."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A signed head for a witness."""

    ledger: str
    origin: str
    size: int
    note: bytes
    certificates: tuple[bytes, ...]
    """Of every epoch key after the first, in order."""
    prove: Callable[[int], Awaitable[Sequence[bytes]]]
    """Consistency proof from a smaller size, for a witness that asks for one."""
    restores: Callable[[], Awaitable[Sequence[ProvedEntry]]]
    """The entries that led to the head's generation, for a witness that has not been shown them."""


class Party(Protocol):
    """Whoever remembers heads."""

    @property
    def name(self) -> str:
        """What alerts call it."""

    async def origins(self, ledger: str) -> Collection[str] | None:
        """The origins of a ledger of which it holds heads, also of generations that nobody here knows of; None when
        it cannot list them.

        Raises:
            PartyError: it cannot be asked.
        """

    async def latest(self, origin: str) -> bytes | None:
        """The largest head of a log it holds, as a signed note; None when it has none.

        Raises:
            PartyError: it cannot be asked.
        """

    async def certificate(self, ledger: str, epoch: int) -> bytes | None:
        """The certificate of an epoch's key, where the party keeps any.

        Raises:
            PartyError: it cannot be asked.
        """

    async def close(self) -> None:
        """Give up what it holds open."""


class Witness(Party, Protocol):
    """A party that takes heads."""

    def vouches(self, signed: bytes) -> bool:
        """Whether a note carries a signature of its own that holds."""

    async def add(self, offer: Offer) -> bytes:
        """Have it keep a head; returns its receipt: a cosignature line, or nothing.

        Raises:
            AheadError: it holds a larger one.
            ContradictionError: the head does not continue the one it holds.
            PartyError: it cannot, for any other reason.
        """


def opened(signed: bytes) -> Checkpoint:
    """Read a signed head without verifying who signed it.

    Raises:
        PartyError: it is none.
    """
    try:
        return checkpoint.Checkpoint.parse(note.split(signed)[0])
    except (NoteError, CheckpointError) as error:
        raise PartyError(f"It holds something that is no signed head: {error}.") from error
