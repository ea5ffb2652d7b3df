"""Sealed fields: the salted commitment in the leaf, the encryption beside it, the keys around that. Must never be given
a key or a random number by itself: every one is a parameter.
"""

import hmac
from dataclasses import dataclass
from hashlib import sha256

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEY_BYTES = 32
SALT_BYTES = 32
NONCE_BYTES = 12  # the one AES-GCM is defined for
COMMITMENT_BYTES = 32
_COMMITMENT = b"audit/field/1\0"
_SEALED = b"audit/sealed/1\0"
_WRAPPED = b"audit/key/1\0"
_BLIND = b"audit/blind/1\0"
_LENGTH_BYTES = 4


class SealError(ValueError):
    """A sealed value or wrapped key that does not open, or does not open to what was committed to."""


@dataclass(frozen=True, slots=True)
class Opened:
    """What was sealed: the value, and the salt that lets anybody check the commitment to it."""

    salt: bytes
    value: bytes


def _lp(text: str) -> bytes:
    """Prefix with the length, so that no two lists of texts give the same bytes."""
    try:
        raw = text.encode()
    except UnicodeEncodeError:
        raise SealError("a name is not UTF-8") from None
    return len(raw).to_bytes(_LENGTH_BYTES, "big") + raw


def _need(what: str, value: bytes, size_bytes: int) -> None:
    if len(value) != size_bytes:
        raise SealError(f"a {what} is {size_bytes} bytes")


def commitment(log: str, entry_id: str, field: str, salt: bytes, value: bytes) -> bytes:
    """Commit to a value without revealing it; without the 32 random bytes of `salt` nothing can be guessed from it.

    Raises:
        SealError: the salt has another length.
    """
    _need("salt", salt, SALT_BYTES)
    return sha256(_COMMITMENT + _lp(log) + _lp(entry_id) + _lp(field) + salt + value).digest()


def _sealed_aad(entry_id: str, field: str, committed: bytes) -> bytes:
    _need("commitment", committed, COMMITMENT_BYTES)
    return _SEALED + _lp(entry_id) + _lp(field) + committed


def encrypt(
    key: bytes, nonce: bytes, *, entry_id: str, field: str, committed: bytes, salt: bytes, value: bytes
) -> bytes:
    """Encrypt salt and value under the subject's key (AES-256-GCM), bound to their place; `nonce` never used before.

    Raises:
        SealError: a length is wrong.
    """
    _need("salt", salt, SALT_BYTES)
    return _seal(key, nonce, salt + value, _sealed_aad(entry_id, field, committed))


def decrypt(
    key: bytes, nonce: bytes, ciphertext: bytes, *, log: str, entry_id: str, field: str, committed: bytes
) -> Opened:
    """Decrypt a sealed value and hold it against its commitment: AES-GCM alone would let a chosen key open the same
    ciphertext to another value.

    Raises:
        SealError: it does not open, or opens to something else than was committed to.
    """
    plain = _open(key, nonce, ciphertext, _sealed_aad(entry_id, field, committed))
    if len(plain) < SALT_BYTES:
        raise SealError("a sealed value is too short")
    opened = Opened(plain[:SALT_BYTES], plain[SALT_BYTES:])
    check(opened, log=log, entry_id=entry_id, field=field, committed=committed)
    return opened


def check(opened: Opened, *, log: str, entry_id: str, field: str, committed: bytes) -> None:
    """Hold a disclosed salt and value against the commitment in the leaf.

    Raises:
        SealError: it is another value.
    """
    if not hmac.compare_digest(commitment(log, entry_id, field, opened.salt, opened.value), committed):
        raise SealError("the value is not the one committed to")


def wrap_key(kek: bytes, nonce: bytes, dek: bytes, *, subject: str, key_id: str) -> bytes:
    """Encrypt a subject's key under the master key; 60 bytes, the nonce in front.

    Raises:
        SealError: a length is wrong.
    """
    _need("key", dek, KEY_BYTES)
    return nonce + _seal(kek, nonce, dek, _WRAPPED + _lp(subject) + _lp(key_id))


def unwrap_key(kek: bytes, wrapped: bytes, *, subject: str, key_id: str) -> bytes:
    """Decrypt a subject's key.

    Raises:
        SealError: another master key, subject or key id, or changed bytes.
    """
    dek = _open(kek, wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], _WRAPPED + _lp(subject) + _lp(key_id))
    _need("key", dek, KEY_BYTES)
    return dek


def _seal(key: bytes, nonce: bytes, plain: bytes, aad: bytes) -> bytes:
    _need("key", key, KEY_BYTES)
    _need("nonce", nonce, NONCE_BYTES)
    return AESGCM(key).encrypt(nonce, plain, aad)


def _open(key: bytes, nonce: bytes, ciphertext: bytes, aad: bytes) -> bytes:
    _need("key", key, KEY_BYTES)
    _need("nonce", nonce, NONCE_BYTES)
    try:
        return AESGCM(key).decrypt(nonce, ciphertext, aad)
    except InvalidTag:
        raise SealError("it does not open: another key, another place, or changed bytes") from None


def blind(key: bytes, field: str, normalised: str) -> bytes:
    """Give the search token of a sealed value: equal values of a field are found, none can be read back.

    Raises:
        SealError: the key has another length.
    """
    _need("key", key, KEY_BYTES)
    return hmac.digest(key, _BLIND + _lp(field) + _lp(normalised), "sha256")


def derive(master: bytes, purpose: str) -> bytes:
    """Derive the key for one purpose (HKDF-SHA256): keys of two purposes tell nothing about each other.

    Raises:
        SealError: the master key has another length, or no purpose is named.
    """
    _need("master key", master, KEY_BYTES)
    if not purpose:
        raise SealError("a derived key needs a purpose")
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=b"audit/derive/1\0" + _lp(purpose)).derive(master)
