"""What is said to a signer or a witness, and how it refuses (C2SP tlog-witness). Pure: bytes in, values out."""

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from http import HTTPStatus
from typing import Final

from ledger import note
from ledger.checkpoint import CheckpointError, parse_decimal
from ledger.merkle import HASH_BYTES
from ledger.note import MAX_NOTE_BYTES, NoteError
from ledger.restored import ProvedEntry

MAX_PROOF_LINES: Final = 63
"""The height of the largest tree."""
MAX_BODY_BYTES: Final = MAX_NOTE_BYTES + 64 * 1024
"""A note of the largest size with the longest proof."""
MAX_RESTORATION_BYTES: Final = 4 * 1024 * 1024
"""A hundred restores with as much to account for as an entry holds."""
SIZE_TYPE: Final = "text/x.tlog.size"
TEXT_TYPE: Final = "text/plain; charset=utf-8"
_OLD: Final = "old "
_INDEX: Final = "index "


class RefusalError(Exception):
    """A request that is not done; `status` is the HTTP status, the message the answer's body."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status = status


class ConflictError(RefusalError):
    """The asker is wrong about the last head; `known` is its size."""

    def __init__(self, known: int) -> None:
        super().__init__(HTTPStatus.CONFLICT, f"{known}")
        self.known = known


@dataclass(frozen=True, slots=True)
class AddRequest:
    """A head, the size of the one before it, and the proof that the one is a prefix of the other."""

    old: int
    proof: tuple[bytes, ...]
    checkpoint: bytes
    """A signed note for a witness; the text alone for a signer."""

    def format(self) -> bytes:
        """Write the body of the request."""
        return _joined(_OLD, self.old, self.proof, self.checkpoint)

    @classmethod
    def parse(cls, body: bytes) -> "AddRequest":
        """Read the body of a request.

        Raises:
            RefusalError: 400, it is none.
        """
        old, proof, checkpoint = _parts(_OLD, body)
        return cls(old, proof, checkpoint)


@dataclass(frozen=True, slots=True)
class RestorationRequest:
    """The first head of `meta` in a new generation, with the entries that say why there is one."""

    add: AddRequest
    entries: tuple[ProvedEntry, ...]

    def format(self) -> bytes:
        """Write the body of the request: the parts one after the other, as `join_notes` does."""
        entries = [_joined(_INDEX, one.index, one.path, one.canon) for one in self.entries]
        return join_notes([self.add.format(), *entries])

    @classmethod
    def parse(cls, body: bytes) -> "RestorationRequest":
        """Read the body of a request.

        Raises:
            RefusalError: 400, it is none.
        """
        first, *entries = split_notes(body) or (b"",)
        return cls(AddRequest.parse(first), tuple(ProvedEntry(*_parts(_INDEX, one)) for one in entries))


def _joined(word: str, number: int, hashes: Sequence[bytes], rest: bytes) -> bytes:
    lines = [f"{word}{number}", *(b64encode(one).decode() for one in hashes), "", ""]
    return "\n".join(lines).encode() + rest


def _parts(word: str, body: bytes) -> tuple[int, tuple[bytes, ...], bytes]:
    """A number after a word, hashes, and what comes after the empty line."""
    upper, found, rest = body.partition(b"\n\n")
    if not found:
        raise RefusalError(HTTPStatus.BAD_REQUEST, "no empty line after the proof")
    try:
        first, *lines = upper.decode("ascii").split("\n")
        hashes = tuple(note.decode_base64(line) for line in lines)
        number = parse_decimal(first.removeprefix(word))
    except (UnicodeDecodeError, NoteError, CheckpointError) as error:
        raise RefusalError(HTTPStatus.BAD_REQUEST, f"not a request: {error}") from error
    if not first.startswith(word) or len(hashes) > MAX_PROOF_LINES or any(len(one) != HASH_BYTES for one in hashes):
        raise RefusalError(HTTPStatus.BAD_REQUEST, f"no number after {word.strip()!r}, or no proof")
    return number, hashes, rest


def origin_hash(origin: str) -> str:
    """Name an origin in an address or a file name, as tlog-witness does."""
    return sha256(origin.encode()).hexdigest()


def join_notes(notes: Sequence[bytes]) -> bytes:
    """Write several signed notes as one text; a length line before each."""
    return b"".join(f"{len(one)}\n".encode() + one for one in notes)


def split_notes(data: bytes) -> tuple[bytes, ...]:
    """Read what `join_notes` wrote.

    Raises:
        RefusalError: 400, it is something else.
    """
    found = []
    while data:
        length, newline, rest = data.partition(b"\n")
        try:
            size = parse_decimal(length.decode("ascii"))
        except (UnicodeDecodeError, CheckpointError) as error:
            raise RefusalError(HTTPStatus.BAD_REQUEST, "no length before a note") from error
        if not newline or size > len(rest):
            raise RefusalError(HTTPStatus.BAD_REQUEST, "a note is cut off")
        found.append(rest[:size])
        data = rest[size:]
    return tuple(found)
