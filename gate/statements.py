"""Signed statements: permits, acknowledgements and fences as compact JWS under Ed25519. Pure; keeps and trusts no key.

The algorithm is this module's, never the header's: a header that says anything else is refused, not obeyed.
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

KEY_BYTES = 32
SIGNATURE_BYTES = 64
KEY_ID_CHARS = 16
"""64 bits of a hash: enough to tell a handful of keys apart."""
_ALGORITHM = "EdDSA"
_PARTS = 3


class Kind(StrEnum):
    """What a statement says; one kind is never taken for another."""

    PERMIT = "watchfloor-permit"
    HALT = "watchfloor-halt"
    FENCE = "watchfloor-fence"


MAX_BYTES = {Kind.PERMIT: 16_384, Kind.HALT: 49_152, Kind.FENCE: 49_152}
"""A permit under a hundred holds fits, and two hundred orders in flight; anything longer is not read at all."""


class StatementError(ValueError):
    """It is not a statement of this kind by anybody trusted."""


def encode(raw: bytes) -> str:
    """Write bytes as base64url without padding, the only form that is read back."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    """Read base64url; of the many ways to write the same bytes only the canonical one is taken.

    Raises:
        StatementError: it is not canonical base64url.
    """
    try:
        raw = base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise StatementError("not base64url") from error
    if encode(raw) != text:
        raise StatementError("not canonical base64url")
    return raw


def key_id(public_key: bytes) -> str:
    """Return the name under which the backend's statements call a raw public key."""
    return hashlib.sha256(public_key).hexdigest()[:KEY_ID_CHARS]


def read_key(text: Any) -> bytes:
    """Read a raw public key as it travels.

    Raises:
        StatementError: it is not one.
    """
    if not isinstance(text, str) or len(text) > 2 * KEY_BYTES:
        raise StatementError("not a public key")
    raw = decode(text)
    if len(raw) != KEY_BYTES:
        raise StatementError(f"a public key has {KEY_BYTES} bytes")
    return raw


def sign(kind: Kind, key_name: str, key: Ed25519PrivateKey, payload: Mapping[str, Any]) -> str:
    """Make a statement. The order of the payload's members is kept."""
    header = {"alg": _ALGORITHM, "kid": key_name, "typ": kind.value}
    signed = f"{encode(_json(header))}.{encode(_json(payload))}"
    return f"{signed}.{encode(key.sign(signed.encode()))}"


def read(text: Any, kind: Kind, keys: Mapping[str, bytes]) -> dict[str, Any]:
    """Return the payload of a statement of this kind signed by one of the keys (name → raw public key).

    Raises:
        StatementError: anything at all is wrong with it.
    """
    if not isinstance(text, str) or len(text) > MAX_BYTES[kind]:
        raise StatementError("not text of a statement's length")
    parts = text.split(".")
    if len(parts) != _PARTS:
        raise StatementError("not three parts")
    key_name = _key_name(read_json(decode(parts[0])), kind)
    key = keys.get(key_name)
    if key is None:
        raise StatementError("signed with a key that is not trusted")
    signature = decode(parts[2])
    if len(signature) != SIGNATURE_BYTES:
        raise StatementError("not a signature")
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, f"{parts[0]}.{parts[1]}".encode())
    except (InvalidSignature, ValueError) as error:
        raise StatementError("the signature is wrong") from error
    payload = read_json(decode(parts[1]))
    if not isinstance(payload, dict):
        raise StatementError("not an object")
    return payload


def read_json(raw: bytes | str) -> Any:
    """Read JSON in which every member has one meaning: no name twice, no fraction, nothing that is not JSON.

    Raises:
        StatementError: it is not.
    """
    try:
        return json.loads(raw, object_pairs_hook=_members, parse_float=_refuse_number, parse_constant=_refuse_number)
    except StatementError:
        raise
    except (ValueError, RecursionError) as error:
        raise StatementError("not JSON") from error


def _key_name(header: Any, kind: Kind) -> str:
    if not isinstance(header, dict) or header.keys() != {"alg", "kid", "typ"}:
        raise StatementError("not the header of a statement")
    if header["alg"] != _ALGORITHM or header["typ"] != kind.value or not isinstance(header["kid"], str):
        raise StatementError(f"not a {kind.value} under {_ALGORITHM}")
    return header["kid"]


def _members(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for name, value in pairs:
        if name in members:
            raise StatementError(f"{name[:40]!r} is said twice")
        members[name] = value
    return members


def _refuse_number(text: str) -> Any:
    raise StatementError(f"{text[:40]!r} is not a whole number")


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode()
