"""Witnesses that only keep: a place where nothing is ever written twice, and the newest head is found first."""

from collections.abc import Collection
from typing import Final, Protocol

from backend.audit.heads.parties import AheadError, ContradictionError, Offer, PartyError, opened
from ledger import note
from ledger.checkpoint import EpochCertificate
from ledger.merkle import LARGEST_SIZE_LEAVES
from witness.wire import origin_hash

_HEADS: Final = "heads/"
_FOLDER_BITS: Final = 16
"""Heads of this many sizes share a folder, so that none grows beyond 65,536 files."""


class Shelf(Protocol):
    """Named things, each written once."""

    async def put_new(self, key: str, data: bytes) -> bool:
        """Write something that is not there yet, durably; False when it is there."""

    async def get(self, key: str) -> bytes | None:
        """Read something; None when it is not there."""

    async def first(self, prefix: str) -> str | None:
        """The name below a prefix that sorts first; None when there is none."""

    async def folders(self, prefix: str) -> list[str]:
        """The names of the folders right below a prefix."""

    async def close(self) -> None:
        """Give up what is held open."""


def head_key(origin: str, size: int) -> str:
    """Where a head lies; larger ones sort first."""
    inverted = LARGEST_SIZE_LEAVES - size
    return f"{_HEADS}{origin_hash(origin)}/{inverted >> _FOLDER_BITS:012x}/{inverted:016x}"


def certificate_key(ledger: str, epoch: int) -> str:
    """Where the certificate of an epoch's key lies."""
    return f"epochs/{ledger}/{epoch:08d}"


class ShelfWitness:
    """A witness that keeps heads on a shelf. It checks only that none is replaced: whoever reads them checks more."""

    def __init__(self, name: str, shelf: Shelf) -> None:
        self._name = name
        self._shelf = shelf
        self._kept: set[bytes] = set()
        self._origins: dict[str, str] = {}

    @property
    def name(self) -> str:
        """See `Party`."""
        return self._name

    def vouches(self, signed: bytes) -> bool:
        """See `Witness`; a shelf has no key."""
        del signed
        return False

    async def origins(self, ledger: str) -> Collection[str] | None:
        """See `Party`; a folder's name is a hash, any head in it tells whose."""
        for folder in await self._shelf.folders(_HEADS):
            if folder not in self._origins:
                key = await self._shelf.first(f"{_HEADS}{folder}/")
                signed = await self._shelf.get(key) if key is not None else None
                if signed is not None:
                    self._origins[folder] = opened(signed).origin
        return [one for one in self._origins.values() if one.startswith(f"{ledger}/")]

    async def latest(self, origin: str) -> bytes | None:
        """See `Party`."""
        key = await self._shelf.first(f"{_HEADS}{origin_hash(origin)}/")
        return None if key is None else await self._shelf.get(key)

    async def certificate(self, ledger: str, epoch: int) -> bytes | None:
        """See `Party`."""
        return await self._shelf.get(certificate_key(ledger, epoch))

    async def add(self, offer: Offer) -> bytes:
        """See `Witness`."""
        last = await self.latest(offer.origin)
        if last is not None and opened(last).size > offer.size:
            raise AheadError(f"It holds a head of {opened(last).size:,} entries.")
        await self._keep_certificates(offer)
        key = head_key(offer.origin, offer.size)
        fresh = await self._shelf.put_new(key, offer.note)
        kept = await self._shelf.get(key)
        if kept is None:
            raise PartyError("What was written there cannot be read back.")
        if not fresh and opened(kept).root != opened(offer.note).root:
            raise ContradictionError(f"It holds another head of {offer.size:,} entries.")
        if fresh and kept != offer.note:
            raise PartyError("What was written there reads back as something else.")
        return b""

    async def _keep_certificates(self, offer: Offer) -> None:
        first = _first_epoch(offer)
        for epoch, one in enumerate(offer.certificates, first):
            if one in self._kept:
                continue
            key = certificate_key(offer.ledger, epoch)
            if not await self._shelf.put_new(key, one) and await self._shelf.get(key) != one:
                raise ContradictionError(f"It holds another certificate of epoch {epoch}.")
            self._kept.add(one)

    async def close(self) -> None:
        """See `Party`."""
        await self._shelf.close()


def _first_epoch(offer: Offer) -> int:
    """The epoch of the first certificate; the others follow without a gap."""
    if not offer.certificates:
        return 0
    return EpochCertificate.parse(note.split(offer.certificates[0])[0]).epoch
