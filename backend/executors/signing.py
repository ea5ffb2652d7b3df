"""Signs permits, and reads what executors sign. Owns the form of both: compact JWS under Ed25519, and nothing else.

The algorithm is this module's, never the header's: a header that says anything else is refused, not obeyed.
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from pydantic import ValidationError

from contract.gate import MAX_ACKNOWLEDGEMENT_CHARS, HaltClaims

PERMIT_TYPE: Final = "watchfloor-permit"
HALT_TYPE: Final = "watchfloor-halt"
FENCE_TYPE: Final = "watchfloor-fence"
KEY_BYTES: Final = 32
_KEY_ID_CHARS: Final = 16
"""64 bits of a hash: enough to tell a handful of keys apart."""
_SIGNATURE_BYTES: Final = 64
_ALGORITHM: Final = "EdDSA"
_PARTS: Final = 3


class StatementError(ValueError):
    """It is not what it should be, or not signed by whom it should be; the text says why."""


def encode(raw: bytes) -> str:
    """Write bytes as base64url without padding."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    """Read base64url; of the many ways to write the same bytes only the one of `encode` is taken.

    Raises:
        StatementError: it is written in another way.
    """
    try:
        raw = base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise StatementError("it is not base64url") from error
    if encode(raw) != text:
        raise StatementError("it is not canonical base64url")
    return raw


class PermitSigner:
    """The key of permits. Its `repr` does not show it."""

    def __init__(self, seed: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        raw = self._key.public_key().public_bytes_raw()
        self.public_key = encode(raw)
        """As executors pin it."""
        self.kid = hashlib.sha256(raw).hexdigest()[:_KEY_ID_CHARS]
        self._starts = {
            kind: encode(orjson.dumps({"alg": _ALGORITHM, "kid": self.kid, "typ": kind})) + "."
            for kind in (PERMIT_TYPE, FENCE_TYPE)
        }

    def __repr__(self) -> str:
        return f"PermitSigner({self.kid})"

    def sign(self, claims: Mapping[str, Any], *, kind: str = PERMIT_TYPE) -> str:
        """Make a permit of what it says, or another statement of the backend's own."""
        signed = self._starts[kind] + encode(orjson.dumps(claims))
        return f"{signed}.{encode(self._key.sign(signed.encode()))}"


def read_key(text: str) -> Ed25519PublicKey:
    """Read a public key as it travels.

    Raises:
        StatementError: it is none.
    """
    raw = decode(text)
    if len(raw) != KEY_BYTES:
        raise StatementError(f"a public key has {KEY_BYTES} bytes")
    try:
        return Ed25519PublicKey.from_public_bytes(raw)
    except ValueError as error:
        raise StatementError("it is not a public key") from error


def read_acknowledgement(text: str, *, kid: str, key: Ed25519PublicKey) -> HaltClaims:
    """Read what the process `kid` signed when it halted.

    Raises:
        StatementError: anything at all is wrong with it.
    """
    if len(text) > MAX_ACKNOWLEDGEMENT_CHARS:
        raise StatementError("it is too long")
    parts = text.split(".")
    if len(parts) != _PARTS:
        raise StatementError("it is not three parts")
    if _read_json(decode(parts[0])) != {"alg": _ALGORITHM, "kid": kid, "typ": HALT_TYPE}:
        raise StatementError(f"its header is not that of a {HALT_TYPE} by this process")
    signature = decode(parts[2])
    if len(signature) != _SIGNATURE_BYTES:
        raise StatementError("it is not signed")
    try:
        key.verify(signature, f"{parts[0]}.{parts[1]}".encode())
    except InvalidSignature as error:
        raise StatementError("the process has not signed it") from error
    raw = decode(parts[1])
    _read_json(raw)
    try:
        return HaltClaims.model_validate_json(raw, strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        raise StatementError(f"{'.'.join(map(str, first['loc']))[:100]}: {first['msg'][:200]}") from error


def _read_json(raw: bytes) -> Any:
    """Read JSON in which every member has one meaning: no name twice, no fraction, nothing that is not JSON."""
    try:
        return json.loads(raw, object_pairs_hook=_members, parse_float=_refuse_number, parse_constant=_refuse_number)
    except StatementError:
        raise
    except (ValueError, RecursionError) as error:
        raise StatementError("it is not JSON") from error


def _members(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for name, value in pairs:
        if name in members:
            raise StatementError("a member of it is said twice")
        members[name] = value
    return members


def _refuse_number(_text: str) -> Any:
    raise StatementError("a number of it is not whole")
