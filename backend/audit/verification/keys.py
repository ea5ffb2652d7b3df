"""The keys that a verification needs, and how it asks for those of subjects: whoever holds the master key opens them,
be it a file or a key service. Must never see a master key, and never write a key anywhere. Pure.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WrappedKey:
    """A subject's key as the database has it."""

    id: str
    subject: str
    under: str
    """Name of the master key."""
    wrapped: bytes

    def to_tree(self) -> list[str]:
        """Give it as JSON values."""
        return [self.id, self.subject, self.under, self.wrapped.hex()]

    @classmethod
    def from_tree(cls, tree: Sequence[str]) -> "WrappedKey":
        """Read what `to_tree` gave."""
        ident, subject, under, wrapped = tree
        return cls(ident, subject, under, bytes.fromhex(wrapped))


@dataclass(frozen=True, slots=True)
class Unopened:
    """Why a key does not open."""

    why: str


Opened = bytes | Unopened
Opener = Callable[[Sequence[WrappedKey]], Sequence[Opened]]
"""Opens keys of subjects, in their order."""


def opened_to_tree(opened: Opened) -> list[str]:
    """Give it as JSON values."""
    return ["", opened.why] if isinstance(opened, Unopened) else [opened.hex()]


def opened_from_tree(tree: Sequence[str]) -> Opened:
    """Read what `opened_to_tree` gave."""
    key, *why = tree
    return Unopened(why[0]) if why else bytes.fromhex(key)


@dataclass(frozen=True, slots=True)
class Keys:
    """What a verification may use."""

    open: Opener
    blinding: bytes
    """Makes the search hashes of sealed values."""
    outbox: bytes
    """Authenticates rows that are not in the ledger yet, or were put into quarantine."""
    approvals: bytes
    """Authenticates what approved restores say is lost."""

    def __repr__(self) -> str:
        return "Keys()"


def nothing_opens(wrapped: Sequence[WrappedKey]) -> list[Opened]:
    """Stand where there are no keys of subjects to open."""
    return [Unopened("there is no master key here") for _ in wrapped]
