"""What a provider's ID token says, once it is known to be the provider's, for us, and of now. Pure.

Takes signatures by keys that only the provider has: never an algorithm whose key both sides hold, and never none.
"""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from backend.auth.oidc_identity import Identity
from backend.auth.oidc_tables import MAX_SUBJECT_CHARS

MAX_TOKEN_CHARS: Final = 16_384
"""Of an ID token; some hundred groups fit."""
MAX_KEYS: Final = 64
MAX_VALUES: Final = 1_000
"""Groups of one person."""
_MAX_VALUE_CHARS: Final = 300
_PUBLIC: Final = frozenset({"kty", "n", "e", "crv", "x", "y"})
"""Members of a key that are read: never one that is secret."""
_MIN_RSA_BITS, _MAX_RSA_BITS = 2_048, 8_192
_MAX_KID_CHARS: Final = 300
_LATEST_S: Final = 2**40
"""Seconds since 1970 that are no instant of anybody's calendar; NaN is none either."""
Key = RSAKey | ECKey
_KINDS: Final[dict[str, type[Key]]] = {"RSA": RSAKey, "EC": ECKey}
_FAMILY: Final[dict[str, type[Key]]] = {"RS256": RSAKey, "PS256": RSAKey, "ES256": ECKey}
"""Algorithms that are taken, each with its kind of key."""
ALGORITHMS: Final = tuple(_FAMILY)


class TokenRefusedError(Exception):
    """The token proves nothing; the message goes on after "the ID token "."""


class UnknownKeyError(TokenRefusedError):
    """It names a key that is not among the provider's; they may have been replaced."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A public key of the provider."""

    kid: str
    algorithm: str
    """The one it is for, by the provider's word; empty if it does not say."""
    key: Key


@dataclass(frozen=True, slots=True)
class Expected:
    """What a token has to say."""

    issuer: str
    client_id: str
    nonce: str
    started_at: datetime
    """When the sign-in began: no token is older."""
    now: datetime
    leeway: timedelta
    access_token: str = ""


def read_keys(document: Mapping[str, Any]) -> tuple[SigningKey, ...]:
    """The keys of a provider's key set that can sign what we take; others are passed over.

    Raises:
        ValueError: it is no key set.
    """
    listed = document.get("keys")
    if not isinstance(listed, list) or len(listed) > MAX_KEYS:
        raise ValueError("is no key set")
    found = (_read_key(each) for each in listed)
    return tuple(each for each in found if each is not None)


def _read_key(raw: Any) -> SigningKey | None:
    if not isinstance(raw, dict) or raw.get("kty") not in tuple(_KINDS) or raw.get("use", "sig") != "sig":
        return None
    public = {name: value for name, value in raw.items() if name in _PUBLIC}
    kid, algorithm = raw.get("kid", ""), raw.get("alg", "")
    if not isinstance(kid, str) or len(kid) > _MAX_KID_CHARS or not isinstance(algorithm, str) or not _fits(public):
        return None
    try:
        key = _KINDS[public["kty"]].import_key(public)
        _ = key.public_key  # a point off the curve shows only now
    except (JoseError, ValueError, TypeError, KeyError):
        return None
    return SigningKey(kid, algorithm, key)


def _fits(public: Mapping[str, Any]) -> bool:
    """Whether a key is of a kind and size that we take; looked at before anything is computed with it."""
    if not all(isinstance(value, str) and len(value) <= _MAX_RSA_BITS // 4 for value in public.values()):
        return False
    if public["kty"] == "RSA":
        return _MIN_RSA_BITS <= _bits(public.get("n", "")) <= _MAX_RSA_BITS and public.get("e") == "AQAB"
    return public.get("crv") == "P-256"


def _bits(number: str) -> int:
    try:
        return int.from_bytes(base64.urlsafe_b64decode(number + "=" * (-len(number) % 4))).bit_length()
    except ValueError:
        return 0


def verify(token: str, keys: Sequence[SigningKey], expected: Expected) -> Mapping[str, Any]:
    """The claims of a token that holds.

    Raises:
        UnknownKeyError: it names a key that is not among `keys`.
        TokenRefusedError: anything else about it is wrong.
    """
    claims = _signed(token, keys)
    _check_parties(claims, expected)
    _check_times(claims, expected)
    if "nonce" in claims and claims["nonce"] != expected.nonce:
        raise TokenRefusedError("answers another sign-in")
    if "at_hash" in claims and claims["at_hash"] != at_hash(expected.access_token):
        raise TokenRefusedError("belongs to another access token")
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 1 <= len(subject) <= MAX_SUBJECT_CHARS or not _printable(subject):
        raise TokenRefusedError("names nobody")
    return claims


def identity_of(claims: Mapping[str, Any], *, name_claim: str, group_claim: str) -> Identity:
    """Who verified claims are about."""
    name = claims.get(name_claim)
    return Identity(
        issuer=claims["iss"],
        subject=claims["sub"],
        name=name if isinstance(name, str) and len(name) <= _MAX_VALUE_CHARS and _printable(name) else "",
        groups=_words(claims.get(group_claim)),
        contexts=_words(claims.get("amr")) | _words(claims.get("acr")),
    )


def at_hash(access_token: str) -> str:
    """What a token signed in one of the ways taken says of the access token beside it: the left half of its hash."""
    digest = hashlib.sha256(access_token.encode()).digest()
    return base64.urlsafe_b64encode(digest[: len(digest) // 2]).decode().rstrip("=")


def _signed(token: str, keys: Sequence[SigningKey]) -> Mapping[str, Any]:
    if len(token) > MAX_TOKEN_CHARS or not token.isascii():
        raise TokenRefusedError("is too long, or no token")
    header = _header(token)
    algorithm = header.get("alg")
    if not isinstance(algorithm, str) or algorithm not in _FAMILY:
        raise TokenRefusedError("is signed in a way that is not taken")
    if "crit" in header:
        raise TokenRefusedError("asks for what is not known here")
    key = _key_for(header.get("kid"), algorithm, keys)
    try:
        payload = jws.deserialize_compact(token, key.key, algorithms=[algorithm]).payload
        claims = json.loads(payload)
    except (JoseError, ValueError, TypeError, RecursionError) as error:
        raise TokenRefusedError("has a signature that does not fit") from error
    if not isinstance(claims, dict):
        raise TokenRefusedError("says nothing")
    return claims


def _header(token: str) -> Mapping[str, Any]:
    first = token.partition(".")[0]
    try:
        header = json.loads(base64.urlsafe_b64decode(first + "=" * (-len(first) % 4)))
    except (ValueError, RecursionError) as error:
        raise TokenRefusedError("cannot be read") from error
    if not isinstance(header, dict):
        raise TokenRefusedError("cannot be read")
    return header


def _key_for(kid: Any, algorithm: str, keys: Sequence[SigningKey]) -> SigningKey:
    """The one key that a header names; a header may leave it out only where there is no choice."""
    fitting = [each for each in keys if isinstance(each.key, _FAMILY[algorithm]) and each.algorithm in {"", algorithm}]
    if kid is not None:
        fitting = [each for each in fitting if each.kid == kid]
    if len(fitting) != 1:
        raise UnknownKeyError("is signed with a key that the provider does not name")
    return fitting[0]


def _check_parties(claims: Mapping[str, Any], expected: Expected) -> None:
    if claims.get("iss") != expected.issuer:
        raise TokenRefusedError("comes from another issuer")
    if claims.get("aud") not in (expected.client_id, [expected.client_id]):
        raise TokenRefusedError("is for somebody else")
    if claims.get("azp", expected.client_id) != expected.client_id:
        raise TokenRefusedError("was given to somebody else")


def _check_times(claims: Mapping[str, Any], expected: Expected) -> None:
    now, leeway = expected.now.timestamp(), expected.leeway.total_seconds()
    if now - leeway >= _instant(claims, "exp"):
        raise TokenRefusedError("has expired")
    made = _instant(claims, "iat")
    if made > now + leeway:
        raise TokenRefusedError("was made in the future")
    if made < expected.started_at.timestamp() - leeway:
        raise TokenRefusedError("is older than the sign-in")
    if "nbf" in claims and _instant(claims, "nbf") > now + leeway:
        raise TokenRefusedError("does not hold yet")


def _instant(claims: Mapping[str, Any], name: str) -> float:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < _LATEST_S:
        raise TokenRefusedError(f"has no {name}")
    return value


def _words(value: Any) -> frozenset[str]:
    """A claim's texts, whether it is one or a list of them; anything else is none."""
    listed = [value] if isinstance(value, str) else value
    if not isinstance(listed, list) or len(listed) > MAX_VALUES:
        return frozenset()
    return frozenset(each for each in listed if isinstance(each, str) and len(each) <= _MAX_VALUE_CHARS)


def _printable(text: str) -> bool:
    return text.isprintable()
