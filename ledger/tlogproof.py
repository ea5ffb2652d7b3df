"""The C2SP tlog-proof: evidence in one text file that an entry is in a log. Must never trust its `extra` line."""

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass

from ledger import checkpoint, merkle, note
from ledger.checkpoint import CheckpointError, SignedCheckpoint
from ledger.merkle import HASH_BYTES, ProofError
from ledger.note import KeyType, NoteError, VerifierKey

HEADER = "c2sp.org/tlog-proof@v1"
MAX_PROOF_BYTES = 512 * 1024  # a note of the largest size and as much extra data
MAX_PATH_HASHES = 63  # the height of the largest tree
_EXTRA = "extra "
_INDEX = "index "


class TlogProofError(ValueError):
    """A proof that is malformed or does not hold."""


@dataclass(frozen=True, slots=True)
class TlogProof:
    """The number of the entry's leaf, the way from it to the root, and the signed checkpoint, byte for byte."""

    index: int
    path: tuple[bytes, ...]
    checkpoint: bytes
    extra: bytes | None = None

    def format(self) -> bytes:
        """Write the file."""
        lines = [HEADER]
        if self.extra is not None:
            lines.append(_EXTRA + b64encode(self.extra).decode())
        lines.append(f"{_INDEX}{self.index}")
        lines += [b64encode(one).decode() for one in self.path]
        return "\n".join([*lines, "", ""]).encode() + self.checkpoint

    @classmethod
    def parse(cls, data: bytes) -> "TlogProof":
        """Read a file; the checkpoint is taken as it is and checked by `verify`.

        Raises:
            TlogProofError: it is no such file.
        """
        upper, found, signed = data.partition(b"\n\n")
        if not found or len(data) > MAX_PROOF_BYTES:
            raise TlogProofError("no checkpoint after an empty line, or too long")
        try:
            lines = upper.decode("ascii").split("\n")
        except UnicodeDecodeError:
            raise TlogProofError("not ASCII above the checkpoint") from None
        if lines.pop(0) != HEADER:
            raise TlogProofError(f"the first line is not {HEADER}")
        try:
            return cls._parse_lines(lines, signed)
        except (NoteError, CheckpointError) as error:
            raise TlogProofError(str(error)) from error

    @classmethod
    def _parse_lines(cls, lines: list[str], signed: bytes) -> "TlogProof":
        extra = note.decode_base64(lines.pop(0).removeprefix(_EXTRA)) if lines and lines[0].startswith(_EXTRA) else None
        if not lines or not lines[0].startswith(_INDEX):
            raise TlogProofError("no index line")
        index = checkpoint.parse_decimal(lines.pop(0).removeprefix(_INDEX))
        path = tuple(note.decode_base64(line) for line in lines)
        if len(path) > MAX_PATH_HASHES or any(len(one) != HASH_BYTES for one in path):
            raise TlogProofError("too many hashes, or one is not 32 bytes")
        return cls(index, path, signed, extra)


def verify(
    proof: TlogProof,
    canon: bytes,
    *,
    origin: str,
    log_keys: Sequence[VerifierKey],
    witness_keys: Sequence[VerifierKey] = (),
    witnesses_needed: int = 0,
) -> SignedCheckpoint:
    """Check that the entry with these canonical bytes is in the log `origin`, and who vouches for it.

    Raises:
        TlogProofError: it is not shown: the log, its signature, too few witnesses, the checkpoint or the path.
    """
    try:
        opened = checkpoint.open_checkpoint(proof.checkpoint, [*log_keys, *witness_keys])
        head = opened.checkpoint
        merkle.verify_inclusion(merkle.leaf_hash(canon), proof.index, head.size, proof.path, head.root)
    except (NoteError, CheckpointError, ProofError) as error:
        raise TlogProofError(str(error)) from error
    if head.origin != origin:
        raise TlogProofError("the checkpoint is of another log")
    signers = {one.key for one in opened.note.verified}
    if not signers.intersection(log_keys):
        raise TlogProofError("the log itself has not signed the checkpoint")
    # counted by public key: one witness under two names is still one
    witnesses = {key.public for key in signers.intersection(witness_keys) if key.kind is KeyType.COSIGNATURE}
    if len(witnesses) < witnesses_needed:
        raise TlogProofError(f"{len(witnesses)} of {witnesses_needed} witnesses needed have cosigned")
    return opened
