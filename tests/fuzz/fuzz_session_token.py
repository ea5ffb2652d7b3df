"""Whatever is sent as a session token, it is refused with a reason or it is one of the few that were signed."""

import base64
import json
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from backend.auth import tokens
from backend.auth.tables import SigningKey

NOW = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
KEY = SigningKey(kid="0123456789abcdef" * 2, private_key=bytes(range(32)), created_at=NOW)
_SESSION = "01957f5e-0000-7000-8000-000000000000"


def _claims(**changes: Any) -> dict[str, Any]:
    usual = {"session_id": _SESSION, "username": "olga", "role": "mev_operator", "iat": int(NOW.timestamp())}
    return usual | {"exp": int((NOW + timedelta(hours=8)).timestamp())} | changes


@cache
def _good() -> frozenset[str]:
    return frozenset(tokens.sign(claims, KEY) for claims in (_claims(), _claims(session_id=_SESSION.upper())))


def _encoded(part: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()


@cache
def seeds() -> list[bytes]:
    """Tokens that are good, and some whose parts are odd."""
    header = {"alg": "EdDSA", "typ": "JWT", "kid": KEY.kid}
    odd: list[tuple[Any, Any]] = [
        (header | {"alg": "none"}, _claims()),
        (header | {"alg": "HS256", "crit": ["b64"], "b64": False}, _claims()),
        (header | {"kid": ["x"], "jwk": {"kty": "OKP"}}, _claims()),
        (header, [1, 2]),
        ([header], _claims(exp="1e400", session_id={"a": 1})),
        (header, _claims(exp=10**400, iat=-1)),
        (7, None),
    ]
    parts = [f"{_encoded(head)}.{_encoded(claims)}.{_encoded('x' * 64)}" for head, claims in odd]
    return [*(one.encode() for one in sorted(_good())), *(one.encode() for one in parts)]


def check(data: bytes) -> None:
    """Read one token as the header of a request brings it; raises what must never be raised."""
    token = data.decode("latin-1")
    try:
        claimed = tokens.read_unverified(token)
    except tokens.BadTokenError:
        pass
    else:
        assert len(claimed.kid) == len(KEY.kid)
        assert claimed.kid.isalnum()
    try:
        claims = tokens.verify(token, KEY.private_key, NOW)
    except tokens.BadTokenError as error:
        refused = error
    else:
        _check_taken(token, claims["username"])
        return
    assert str(refused).isprintable(), "a stranger's bytes are in the audit log"


def _check_taken(token: str, username: str) -> None:
    assert _signed_part(token) in {_signed_part(one) for one in _good()}, "a token that was never signed was taken"
    assert username == "olga"


def _signed_part(token: str) -> str:
    """Header and claims: base64 spells the last bits of a signature in several ways, which sign the same."""
    return token.rpartition(".")[0]
