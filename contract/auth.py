"""Wire types of sign-in and sessions."""

from pydantic import Field

from contract.base import UtcDatetime, Wire, WireRequest
from contract.permissions import Permission

MAX_NAME_CHARS = 100
MAX_PASSWORD_CHARS = 1_024
"""A longer one would only keep the server hashing."""
_NO_NUL = r"^[^\x00]*$"
"""PostgreSQL text cannot hold NUL."""


class LoginRequest(WireRequest):
    """Password and one-time code of one account."""

    username: str = Field(max_length=MAX_NAME_CHARS, pattern=_NO_NUL)
    password: str = Field(max_length=MAX_PASSWORD_CHARS, repr=False)
    totp: str = Field(default="", max_length=20, repr=False)


class LoginAnswer(Wire):
    """A bearer token and when it ends."""

    token: str
    expires_at: UtcDatetime


class WhoAmI(Wire):
    """Who the bearer of a token is and what they may do."""

    username: str
    role: str
    permissions: frozenset[Permission]
    session_id: str | None = None
    expires_at: UtcDatetime | None = None
