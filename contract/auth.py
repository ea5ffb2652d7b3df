"""Wire types of sign-in and sessions."""

from contract.base import UtcDatetime, Wire, WireRequest
from contract.permissions import Permission


class LoginRequest(WireRequest):
    """Password and one-time code of one account."""

    username: str
    password: str
    totp: str = ""


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
