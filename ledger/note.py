"""C2SP signed notes and cosignatures: text, keys, signatures. Must never trust a line no known key has signed.

Ed25519 signatures (type 0x01) and timestamped Ed25519 cosignatures (0x04) are made and verified; ML-DSA-44 cosignatures
(0x06) are recognised and reported as unverified.
"""

from base64 import b64decode, b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

MAX_NOTE_BYTES = 256 * 1024  # a checkpoint with 32 post-quantum signatures of 5 kB fits
MAX_SIGNATURES = 32  # the specification asks for at least 16
MAX_NAME_BYTES = 255  # what a cosigned message can carry
LARGEST_POSIX_SECONDS = 2**63 - 1
KEY_ID_BYTES = 4
SEED_BYTES = 32
_DASH = "\u2014 "
_PRIVATE = "PRIVATE+KEY+"
_TIME_BYTES = 8
_ED25519_BYTES = 64
_VKEY_PARTS = 3


class KeyType(IntEnum):
    """Signature types by their identifier byte."""

    ED25519 = 0x01
    COSIGNATURE = 0x04
    ML_DSA_44 = 0x06


_PUBLIC_BYTES = {KeyType.ED25519: 32, KeyType.COSIGNATURE: 32, KeyType.ML_DSA_44: 1312}


class NoteError(ValueError):
    """A note, a key or a signature that does not hold; `code` is `syntax`, `key`, `signature` or `unsigned`."""

    def __init__(self, code: str, reason: str) -> None:
        """Name the kind of failure and say what was wrong."""
        super().__init__(reason)
        self.code = code


def decode_base64(text: str) -> bytes:
    """Read standard base64 that has only one spelling.

    Raises:
        NoteError: `syntax`.
    """
    try:
        value = b64decode(text, validate=True)
    except ValueError:
        raise NoteError("syntax", "not base64") from None
    if b64encode(value).decode() != text:
        raise NoteError("syntax", "not the one base64 of its bytes")
    return value


def check_name(name: str) -> None:
    """Refuse a key name that could be taken for something else.

    Raises:
        NoteError: `key`.
    """
    odd = any(char.isspace() or char == "+" or char < " " or "\ud800" <= char <= "\udfff" for char in name)
    if odd or not name or len(name.encode("utf-8", "replace")) > MAX_NAME_BYTES:
        raise NoteError("key", "a key name is empty, too long, or has a space, a plus or a control character")


def _key_id(name: str, kind: int, public: bytes) -> bytes:
    return sha256(name.encode() + b"\n" + bytes([kind]) + public).digest()[:KEY_ID_BYTES]


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A public key with the name it signs under."""

    name: str
    public: bytes
    kind: KeyType = KeyType.ED25519

    def __post_init__(self) -> None:
        check_name(self.name)
        if len(self.public) != _PUBLIC_BYTES[self.kind]:
            raise NoteError("key", "a public key has the wrong length")

    @property
    def key_id(self) -> bytes:
        """The 4 bytes that stand for the key in a signature line."""
        return _key_id(self.name, self.kind, self.public)

    def encode(self) -> str:
        """Write the key as a C2SP vkey: `name+hex(key id)+base64(type || public key)`."""
        return f"{self.name}+{self.key_id.hex()}+{b64encode(bytes([self.kind]) + self.public).decode()}"

    @classmethod
    def parse(cls, text: str) -> "VerifierKey":
        """Read a vkey.

        Raises:
            NoteError: `key` or `syntax`: malformed, of a type not known here, or with an id that is not its own.
        """
        parts = text.split("+", 2)
        if len(parts) != _VKEY_PARTS:
            raise NoteError("key", "a vkey has three parts")
        material = decode_base64(parts[2])
        if not material or material[0] not in set(KeyType):
            raise NoteError("key", "a vkey of a type not known here")
        key = cls(parts[0], material[1:], KeyType(material[0]))
        if key.key_id.hex() != parts[1]:
            raise NoteError("key", "the key id of a vkey is not its own")
        return key


@dataclass(frozen=True, slots=True)
class SignerKey:
    """A private Ed25519 key with the name it signs under; `seed` is never shown."""

    name: str
    seed: bytes = field(repr=False)
    kind: KeyType = KeyType.ED25519

    def __post_init__(self) -> None:
        check_name(self.name)
        if len(self.seed) != SEED_BYTES or self.kind is KeyType.ML_DSA_44:
            raise NoteError("key", "not an Ed25519 seed of 32 bytes")

    @property
    def verifier(self) -> VerifierKey:
        """The public half."""
        public = Ed25519PrivateKey.from_private_bytes(self.seed).public_key().public_bytes_raw()
        return VerifierKey(self.name, public, self.kind)

    def encode(self) -> str:
        """Write the key, secret included, as `PRIVATE+KEY+name+hex(key id)+base64(type || seed)`."""
        secret = b64encode(bytes([self.kind]) + self.seed).decode()
        return f"{_PRIVATE}{self.name}+{self.verifier.key_id.hex()}+{secret}"

    @classmethod
    def parse(cls, text: str) -> "SignerKey":
        """Read what `encode` wrote.

        Raises:
            NoteError: `key` or `syntax`.
        """
        parts = text.removeprefix(_PRIVATE).split("+", 2)
        if not text.startswith(_PRIVATE) or len(parts) != _VKEY_PARTS:
            raise NoteError("key", "not a private key")
        material = decode_base64(parts[2])
        if not material or material[0] not in {KeyType.ED25519, KeyType.COSIGNATURE}:
            raise NoteError("key", "a private key of a type not known here")
        key = cls(parts[0], material[1:], KeyType(material[0]))
        if key.verifier.key_id.hex() != parts[1]:
            raise NoteError("key", "the key id of a private key is not its own")
        return key


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature line: who claims to have signed, and the bytes after the key id."""

    name: str
    key_id: bytes
    value: bytes

    def line(self) -> str:
        """Write the line, newline included."""
        return f"{_DASH}{self.name} {b64encode(self.key_id + self.value).decode()}\n"


@dataclass(frozen=True, slots=True)
class Verified:
    """A signature that holds, the key it holds under, and for a cosignature when it was made."""

    key: VerifierKey
    signature: Signature
    posix_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class Note:
    """An opened note: at most one verified signature per known key, and the lines nothing can be said about."""

    text: str
    verified: tuple[Verified, ...]
    unverified: tuple[Signature, ...]


def check_text(text: str) -> None:
    """Refuse a text no note can carry.

    Raises:
        NoteError: `syntax`.
    """
    if not text.endswith("\n") or any(char < " " and char != "\n" for char in text):
        raise NoteError("syntax", "a note's text ends in a newline and has no other control characters")
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise NoteError("syntax", "a note's text is UTF-8") from None
    if size > MAX_NOTE_BYTES:
        raise NoteError("syntax", "a note's text is too long")


def sign(text: str, keys: Iterable[SignerKey]) -> bytes:
    """Sign a text with plain Ed25519 keys.

    Raises:
        NoteError: the text is no note's text, there is no key, or one is for cosignatures.
    """
    check_text(text)
    signatures = []
    for key in keys:
        if key.kind is not KeyType.ED25519:
            raise NoteError("key", "a cosigner's key signs by `cosign`")
        value = Ed25519PrivateKey.from_private_bytes(key.seed).sign(text.encode())
        signatures.append(Signature(key.name, key.verifier.key_id, value))
    if not 1 <= len(signatures) <= MAX_SIGNATURES:
        raise NoteError("key", "a note needs a signature, and not too many")
    return (text + "\n" + "".join(one.line() for one in signatures)).encode()


def cosign(text: str, key: SignerKey, posix_seconds: int) -> Signature:
    """Cosign a checkpoint's text: that at this time it is the largest consistent tree the cosigner has seen.

    Raises:
        NoteError: the text is no note's text, the key is not for cosignatures, or the time cannot be carried.
    """
    check_text(text)
    if key.kind is not KeyType.COSIGNATURE or not 0 <= posix_seconds <= LARGEST_POSIX_SECONDS:
        raise NoteError("key", "a cosignature needs a cosigner's key and a time")
    signed = Ed25519PrivateKey.from_private_bytes(key.seed).sign(_cosigned_message(text, posix_seconds))
    return Signature(key.name, key.verifier.key_id, posix_seconds.to_bytes(_TIME_BYTES, "big") + signed)


def attach(data: bytes, signatures: Iterable[Signature]) -> bytes:
    """Add signature lines to a signed note; lines it already has stay once.

    Raises:
        NoteError: `data` is no signed note, or there would be too many lines.
    """
    text, present = split(data)
    lines = dict.fromkeys((*present, *signatures))
    together = (text + "\n" + "".join(one.line() for one in lines)).encode()
    split(together)
    return together


def _cosigned_message(text: str, posix_seconds: int) -> bytes:
    return f"cosignature/v1\ntime {posix_seconds}\n{text}".encode()


def split(data: bytes) -> tuple[str, tuple[Signature, ...]]:
    """Take a signed note apart without verifying anything.

    Raises:
        NoteError: `syntax`, or `key` for a name no key may have.
    """
    if len(data) > MAX_NOTE_BYTES:
        raise NoteError("syntax", "a note is too long")
    try:
        decoded = data.decode()
    except UnicodeDecodeError:
        raise NoteError("syntax", "a note is UTF-8") from None
    text, found, lines = decoded.rpartition("\n\n")
    text += "\n"
    if not found or not lines.endswith("\n"):
        raise NoteError("syntax", "a note has a text, an empty line and signature lines")
    check_text(text)
    check_text(lines)
    signatures = lines[:-1].split("\n")
    if len(signatures) > MAX_SIGNATURES:
        raise NoteError("syntax", "a note has too many signatures")
    return text, tuple(_parse_line(line) for line in signatures)


def _parse_line(line: str) -> Signature:
    name, space, encoded = line.removeprefix(_DASH).partition(" ")
    if not line.startswith(_DASH) or not space:
        raise NoteError("syntax", "a signature line is a dash, a name and base64")
    check_name(name)
    value = decode_base64(encoded)
    if len(value) <= KEY_ID_BYTES:
        raise NoteError("syntax", "a signature is empty")
    return Signature(name, value[:KEY_ID_BYTES], value[KEY_ID_BYTES:])


def open_note(data: bytes, known_keys: Sequence[VerifierKey]) -> Note:
    """Verify a signed note; at least one known key must have signed it, and none may have signed it wrongly.

    Raises:
        NoteError: `syntax`; `key`: two known keys cannot be told apart; `signature`: one of a known key does not
            verify; `unsigned`: no known key of a type verified here has signed.
    """
    text, signatures = split(data)
    known = {(key.name, key.key_id): key for key in dict.fromkeys(known_keys)}
    if len(known) != len(set(known_keys)):
        raise NoteError("key", "two known keys share a name and a key id")
    verified: dict[VerifierKey, Verified] = {}
    unverified = []
    for signature in signatures:
        key = known.get((signature.name, signature.key_id))
        if key is None or key.kind is KeyType.ML_DSA_44:
            unverified.append(signature)
        else:
            verified.setdefault(key, _verify(text, key, signature))
    if not verified:
        raise NoteError("unsigned", "no known key has signed the note")
    return Note(text, tuple(verified.values()), tuple(unverified))


def _verify(text: str, key: VerifierKey, signature: Signature) -> Verified:
    value, message, posix_seconds = signature.value, text.encode(), None
    if key.kind is KeyType.COSIGNATURE:
        posix_seconds = int.from_bytes(value[:_TIME_BYTES], "big")
        value, message = value[_TIME_BYTES:], _cosigned_message(text, posix_seconds)
    if len(value) != _ED25519_BYTES or (posix_seconds or 0) > LARGEST_POSIX_SECONDS:
        raise NoteError("signature", f"the signature of {key.name} has another form")
    try:
        Ed25519PublicKey.from_public_bytes(key.public).verify(value, message)
    except (InvalidSignature, ValueError):
        raise NoteError("signature", f"the signature of {key.name} does not verify") from None
    return Verified(key, signature, posix_seconds)
