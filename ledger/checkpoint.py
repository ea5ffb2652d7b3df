"""Signed tree heads (C2SP checkpoints) and the chain of epoch keys that may sign them. Must never accept a head signed
by the key of another epoch: that is how a key stolen late would rewrite what was sealed early.
"""

import re
from base64 import b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ledger import note
from ledger.merkle import EMPTY_ROOT, HASH_BYTES, LARGEST_SIZE_LEAVES
from ledger.note import KeyType, Note, NoteError, SignerKey, VerifierKey

CERTIFICATE_HEADER = "watchfloor/epoch-certificate/v1"
MAX_EXTENSIONS = 16  # more than any log uses; bounds what a hostile head can carry
_EPOCH_LINE = "epoch "
_DECIMAL = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)
_EPOCH_NAME = re.compile(r"(?P<ledger>.+)/epoch/(?P<epoch>0|[1-9][0-9]{0,18})", re.ASCII | re.DOTALL)
_HEAD_LINES = 3
_CERTIFICATE_LINES = 4


class CheckpointError(ValueError):
    """A checkpoint or certificate that is malformed or whose epoch does not fit; signatures fail as NoteError."""


def parse_decimal(text: str) -> int:
    """Read an ASCII decimal with only one spelling, up to 2^63 - 1.

    Raises:
        CheckpointError: it is not one.
    """
    if not _DECIMAL.fullmatch(text) or int(text) > LARGEST_SIZE_LEAVES:
        raise CheckpointError("not a decimal number without leading zeroes")
    return int(text)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The head of one log: its name, how many leaves it has and their root."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if any(not line or "\n" in line for line in (self.origin, *self.extensions)):
            raise CheckpointError("the origin or an extension line is empty or more than a line")
        if not 0 <= self.size <= LARGEST_SIZE_LEAVES or len(self.root) != HASH_BYTES:
            raise CheckpointError("no such size, or the root is not 32 bytes")
        if not self.size and self.root != EMPTY_ROOT:
            raise CheckpointError("an empty tree has only one root")
        if len(self.extensions) > MAX_EXTENSIONS:
            raise CheckpointError("too many extension lines")

    @property
    def epoch(self) -> int | None:
        """The key epoch the head belongs to, from its extension line; None when it names none.

        Raises:
            CheckpointError: two lines name one, or one names no number.
        """
        named = [line.removeprefix(_EPOCH_LINE) for line in self.extensions if line.startswith(_EPOCH_LINE)]
        if len(named) > 1:
            raise CheckpointError("a checkpoint names two epochs")
        return parse_decimal(named[0]) if named else None

    def format(self) -> str:
        """Write the text to be signed."""
        head = (self.origin, str(self.size), b64encode(self.root).decode())
        return "".join(f"{line}\n" for line in (*head, *self.extensions))

    @classmethod
    def parse(cls, text: str) -> "Checkpoint":
        """Read a note's text as a checkpoint.

        Raises:
            CheckpointError: it is none.
        """
        lines = text.split("\n")
        if len(lines) <= _HEAD_LINES or lines.pop():
            raise CheckpointError("a checkpoint has at least three lines")
        try:
            root = note.decode_base64(lines[2])
        except NoteError as error:
            raise CheckpointError("the root is not base64") from error
        return cls(lines[0], parse_decimal(lines[1]), root, tuple(lines[_HEAD_LINES:]))


@dataclass(frozen=True, slots=True)
class SignedCheckpoint:
    """A checkpoint with the signatures on it that were verified."""

    checkpoint: Checkpoint
    note: Note


def head(origin: str, size: int, root: bytes, epoch: int) -> Checkpoint:
    """Make the checkpoint of our own logs: one extension line, the epoch.

    Raises:
        CheckpointError: a value cannot be carried.
    """
    return Checkpoint(origin, size, root, (f"{_EPOCH_LINE}{parse_decimal(str(epoch))}",))


def epoch_key_name(ledger: str, epoch: int) -> str:
    """Name the key of one epoch: `<ledger name>/epoch/<N>`."""
    return f"{ledger}/epoch/{epoch}"


def epoch_of(key_name: str) -> tuple[str, int] | None:
    """Split a key name into ledger name and epoch; None when it is no epoch key's."""
    found = _EPOCH_NAME.fullmatch(key_name)
    return (found["ledger"], int(found["epoch"])) if found else None


def check_epoch(checkpoint: Checkpoint, key_name: str) -> None:
    """Refuse a head whose epoch is not the one of the key that signed it.

    Raises:
        CheckpointError: it is not, or either names none.
    """
    named = epoch_of(key_name)
    if named is None or checkpoint.epoch is None or named[1] != checkpoint.epoch:
        raise CheckpointError(f"a checkpoint of epoch {checkpoint.epoch} is signed by {key_name}")


def open_checkpoint(data: bytes, known_keys: Sequence[VerifierKey]) -> SignedCheckpoint:
    """Verify a signed checkpoint; every epoch key that signed it must be the key of its epoch, and a head that names
    an epoch must have such a signature (not only cosignatures).

    Raises:
        NoteError: no known key signed it, or a signature does not verify.
        CheckpointError: malformed, or the epochs differ.
    """
    opened = note.open_note(data, known_keys)
    checkpoint = Checkpoint.parse(opened.text)
    signers = [one.key.name for one in opened.verified if one.key.kind is KeyType.ED25519]
    epoch_signers = [name for name in signers if epoch_of(name)]
    for name in epoch_signers:
        check_epoch(checkpoint, name)
    if checkpoint.epoch is not None and not epoch_signers:
        raise CheckpointError(f"a checkpoint of epoch {checkpoint.epoch} is not signed by its key")
    return SignedCheckpoint(checkpoint, opened)


@dataclass(frozen=True, slots=True)
class EpochCertificate:
    """The statement of one epoch's key that the next epoch of the ledger is signed by `key`."""

    ledger: str
    epoch: int
    key: VerifierKey

    def __post_init__(self) -> None:
        if self.key.name != epoch_key_name(self.ledger, self.epoch) or self.key.kind is not KeyType.ED25519:
            raise CheckpointError("a certificate names a key that is not its epoch's")
        if not 1 <= self.epoch <= LARGEST_SIZE_LEAVES:
            raise CheckpointError("a certificate is for epoch 1 or later")

    def format(self) -> str:
        """Write the text to be signed; its third line can never be the root of a checkpoint."""
        return f"{CERTIFICATE_HEADER}\n{self.ledger}\n{self.epoch}\n{self.key.encode()}\n"

    def sign(self, previous: SignerKey) -> bytes:
        """Sign with the key of the epoch before.

        Raises:
            CheckpointError: it is another epoch's key.
        """
        if previous.name != epoch_key_name(self.ledger, self.epoch - 1):
            raise CheckpointError("a certificate is signed by the key of the epoch before")
        return note.sign(self.format(), [previous])

    @classmethod
    def parse(cls, text: str) -> "EpochCertificate":
        """Read a note's text as a certificate.

        Raises:
            CheckpointError: it is none.
        """
        lines = text.split("\n")
        if len(lines) != _CERTIFICATE_LINES + 1 or lines[0] != CERTIFICATE_HEADER or lines[-1]:
            raise CheckpointError("not an epoch certificate")
        try:
            key = VerifierKey.parse(lines[3])
        except NoteError as error:
            raise CheckpointError("a certificate names no key") from error
        return cls(lines[1], parse_decimal(lines[2]), key)


def verify_chain(genesis_vkey: str, certificates: Iterable[bytes]) -> dict[int, VerifierKey]:
    """Follow the epoch keys from a trusted first one; each signed certificate, in order, names the next epoch's key.

    Raises:
        NoteError: a certificate is not signed by the key before it.
        CheckpointError: the first key is no epoch key, or an epoch, a ledger or a key does not follow.
    """
    current = VerifierKey.parse(genesis_vkey)
    named = epoch_of(current.name)
    if named is None or current.kind is not KeyType.ED25519:
        raise CheckpointError("the first key is not an epoch's")
    ledger, epoch = named
    keys = {epoch: current}
    for data in certificates:
        certificate = EpochCertificate.parse(note.open_note(data, [current]).text)
        if certificate.ledger != ledger or certificate.epoch != epoch + 1:
            raise CheckpointError(f"after epoch {epoch} of {ledger} comes another")
        if any(certificate.key.public == key.public for key in keys.values()):
            raise CheckpointError(f"epoch {certificate.epoch} uses a key again")
        current, epoch = certificate.key, certificate.epoch
        keys[epoch] = current
    return keys
