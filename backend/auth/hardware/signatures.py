"""Signatures of hardware keys as OpenSSH carries them (PROTOCOL.u2f): read strictly, verified, never judged.

Whether a touch was needed and what the counter means is `rules`. An ECDSA signature has a twin that is also valid: a
replay is stopped by a challenge being answered once, not by signatures being unique.
"""

import hashlib
import struct
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from backend.auth.hardware.errors import SignatureRefusedError
from backend.auth.hardware.keys import HardwareKey
from contract.hardware import MAX_BLOB_BYTES, SK_ED25519
from contract.sshwire import MalformedError, Reader

PRESENT, VERIFIED = 0x01, 0x04
COPYABLE, COPIED = 0x08, 0x10
"""WebAuthn's "backup eligible" and "backup state"."""
_KNOWN_FLAGS = PRESENT | VERIFIED | COPYABLE | COPIED
_ED25519_BYTES = 64
_P256_NUMBER_BYTES = 32
_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


@dataclass(frozen=True, slots=True)
class Assertion:
    """What a key asserted with a signature that fits."""

    flags: int
    counter: int
    """How many signatures the device has made, if it counts; 0 if it does not."""

    @property
    def present(self) -> bool:
        """Somebody touched the key."""
        return bool(self.flags & PRESENT)

    @property
    def verified(self) -> bool:
        """The key checked its owner, by PIN or fingerprint."""
        return bool(self.flags & VERIFIED)

    @property
    def copyable(self) -> bool:
        """The key may exist on several devices."""
        return bool(self.flags & (COPYABLE | COPIED))


@dataclass(frozen=True, slots=True)
class _Parsed:
    proof: bytes  # as `cryptography` takes it
    flags: int
    counter: int


def verify(key: HardwareKey, signature: bytes, message: bytes) -> Assertion:
    """Flags and counter of a signature that this key made over exactly this message.

    Raises:
        SignatureRefusedError: it is malformed, of another type, or does not fit key and message.
    """
    try:
        parsed = _parse(key.kind, signature)
    except MalformedError as error:
        raise SignatureRefusedError(f"The hardware key's answer cannot be read: {error}.") from error
    signed = b"".join(
        (
            hashlib.sha256(key.application.encode()).digest(),
            struct.pack(">BI", parsed.flags, parsed.counter),
            hashlib.sha256(message).digest(),
        )
    )
    try:
        _verify(key.public, parsed.proof, signed)
    except InvalidSignature as error:
        raise SignatureRefusedError("The signature does not fit the key and what was to be signed.") from error
    return Assertion(parsed.flags, parsed.counter)


def _verify(public: Ed25519PublicKey | EllipticCurvePublicKey, proof: bytes, signed: bytes) -> None:
    if isinstance(public, Ed25519PublicKey):
        public.verify(proof, signed)
    else:
        public.verify(proof, signed, ECDSA(SHA256()))


def _parse(kind: str, signature: bytes) -> _Parsed:
    if len(signature) > MAX_BLOB_BYTES:
        raise MalformedError(f"the signature has {len(signature)} bytes where {MAX_BLOB_BYTES} are allowed")
    reader = Reader(signature, "the signature")
    if reader.name(max_bytes=len(signature)) != kind:
        raise reader.malformed(f"is not of type {kind}")
    inner = reader.string(max_bytes=len(signature))
    flags, counter = reader.byte(), reader.uint32()
    reader.end()
    if flags & ~_KNOWN_FLAGS:
        raise reader.malformed(f"has flags of no meaning here ({flags:#04x})")
    return _Parsed(_ed25519(inner, reader) if kind == SK_ED25519 else _p256(inner), flags, counter)


def _ed25519(inner: bytes, outer: Reader) -> bytes:
    if len(inner) != _ED25519_BYTES:
        raise outer.malformed(f"has {len(inner)} bytes inside where {_ED25519_BYTES} belong")
    return inner


def _p256(inner: bytes) -> bytes:
    reader = Reader(inner, "the signature")
    r, s = (reader.positive(max_bytes=_P256_NUMBER_BYTES) for _ in range(2))
    reader.end()
    if max(r, s) >= _P256_ORDER:
        raise reader.malformed("has a number beyond the curve's order")
    return encode_dss_signature(r, s)
