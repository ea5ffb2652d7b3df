"""Session tokens (JWT, Ed25519) and the keys that sign them; machine tokens. Decides nothing about who may do what."""

import base64
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from types import MappingProxyType
from typing import Any
from uuid import UUID

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from backend.auth.tables import SigningKey
from backend.context import Runtime

ALGORITHM = "EdDSA"
"""The only algorithm ever accepted; what a token's header says about it is not asked."""
ISSUER = "watchfloor"
SERVICE_PREFIX = "wfs_"
"""Marks a machine token, so that it is recognised in a leak and never parsed as a JWT."""
_KEY_BYTES = 32
_KNOWN_TOKENS = 512
"""Tokens read and verified once instead of at every request; several times the sessions of a large floor."""
_KID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Claimed:
    """What a token says before it is verified; good for looking up the key, for nothing else."""

    kid: str
    session_id: UUID


class BadTokenError(Exception):
    """The text is not a token this system signed, or no longer counts."""


@lru_cache(maxsize=_KNOWN_TOKENS)
def read_unverified(token: str) -> Claimed:
    """Find out which key and which session a token refers to. Kept, because a text always says the same.

    Raises:
        BadTokenError: it is not shaped like one of ours.
    """
    try:
        parts = jwt.decode_complete(token, options={"verify_signature": False})
        kid, session_id = parts["header"].get("kid"), parts["payload"].get("session_id")
        if not isinstance(kid, str) or not _KID.fullmatch(kid):
            raise BadTokenError("names no key")
        return Claimed(kid, UUID(session_id))
    except (jwt.PyJWTError, ValueError, TypeError, AttributeError) as error:
        raise BadTokenError("is not a session token") from error


def verify(token: str, private_key: bytes, now: datetime) -> Mapping[str, Any]:
    """The claims of a token signed by one key.

    Raises:
        BadTokenError: signed by another key or with another algorithm, incomplete, or expired.
    """
    return verify_public(token, public_key_of(private_key), now)


def verify_public(token: str, public_key: bytes, now: datetime) -> Mapping[str, Any]:
    """The same for whoever knows only the public key.

    Raises:
        BadTokenError: as `verify`.
    """
    try:
        signed = _signed(token, public_key)
    except (jwt.PyJWTError, ValueError, TypeError, OverflowError) as error:
        raise BadTokenError(f"does not verify: {type(error).__name__}") from error
    if now >= signed.expires:
        raise BadTokenError("has expired")
    return signed.claims


@dataclass(frozen=True, slots=True)
class _Signed:
    claims: Mapping[str, Any]
    expires: datetime


@lru_cache(maxsize=_KNOWN_TOKENS)
def _signed(token: str, public_key: bytes) -> _Signed:
    """What never changes about a token and a key, worked out once: that one signed the other. Failures are not kept."""
    claims: dict[str, Any] = jwt.decode(
        token,
        Ed25519PublicKey.from_public_bytes(public_key),
        algorithms=[ALGORITHM],
        issuer=ISSUER,
        # the clock is a parameter of `verify`, which compares the times
        options={"require": ["exp", "iat", "iss", "username"], "verify_exp": False, "verify_iat": False},
    )
    return _Signed(MappingProxyType(claims), datetime.fromtimestamp(int(claims["exp"]), UTC))


def sign(claims: Mapping[str, Any], key: SigningKey) -> str:
    """A token with these claims."""
    private = Ed25519PrivateKey.from_private_bytes(key.private_key)
    return jwt.encode({**claims, "iss": ISSUER}, private, algorithm=ALGORITHM, headers={"kid": key.kid})


async def current_key(session: AsyncSession, runtime: Runtime) -> SigningKey:
    """The key to sign with: the newest, or a new one once that is as old as the policy allows.

    Two backends that make a key at the same instant make two; both verify, so that needs no lock.
    """
    now = runtime.clock.now()
    newest = await session.scalar(
        select(SigningKey).where(SigningKey.retired_at.is_(None)).order_by(SigningKey.created_at.desc()).limit(1)
    )
    if newest is not None and now - newest.created_at < timedelta(
        days=runtime.policy.sign_in.watchfloor.signing_key_days
    ):
        return newest
    if newest is not None:
        newest.retired_at = now
    fresh = new_key(runtime)
    session.add(fresh)
    return fresh


def new_key(runtime: Runtime) -> SigningKey:
    """A key to sign with; it counts once it is stored."""
    return SigningKey(
        kid=runtime.clock.random_bytes(16).hex(),
        private_key=runtime.clock.random_bytes(_KEY_BYTES),
        created_at=runtime.clock.now(),
    )


def new_service_token(runtime: Runtime) -> str:
    """A machine's credential: 256 random bits behind a recognisable prefix."""
    return SERVICE_PREFIX + base64.urlsafe_b64encode(runtime.clock.random_bytes(_KEY_BYTES)).decode().rstrip("=")


def service_token_hash(token: str) -> str:
    """What is stored of a machine token; 256 random bits need neither salt nor stretching."""
    return hashlib.sha256(token.encode()).hexdigest()


@lru_cache(maxsize=64)
def public_key_of(private_key: bytes) -> bytes:
    """The public half of a signing key."""
    return Ed25519PrivateKey.from_private_bytes(private_key).public_key().public_bytes_raw()
