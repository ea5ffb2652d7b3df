"""Wire types of sign-in, sessions and the caller's own factors."""

from enum import StrEnum

from pydantic import Field

from contract.base import UtcDatetime, Wire, WireRequest
from contract.permissions import Permission

MAX_NAME_CHARS = 100
MAX_PASSWORD_CHARS = 1_024
"""A longer one would only keep the server hashing."""
NO_NUL = r"^[^\x00]*$"
"""PostgreSQL text cannot hold NUL."""


MAX_CODE_CHARS = 24
"""A recovery code with its hyphens, and room for spaces."""
MAX_ADDRESS_CHARS = 300


class Factor(StrEnum):
    """What somebody showed to sign in."""

    PASSWORD = "password"  # noqa: S105  the name of a factor
    TOTP = "totp"
    RECOVERY_CODE = "recovery_code"
    HARDWARE_KEY = "hardware_key"
    SEALED_CODE = "sealed_code"
    """The second envelope of a break-glass account."""
    SSO = "sso"
    """The organisation's own sign-in."""
    SSO_SECOND = "sso_second"
    """A second factor that was asked for there, and that the policy counts."""


class LoginRequest(WireRequest):
    """Password and one-time code, or recovery code, of one account."""

    username: str = Field(max_length=MAX_NAME_CHARS, pattern=NO_NUL)
    password: str = Field(max_length=MAX_PASSWORD_CHARS, repr=False)
    totp: str = Field(default="", max_length=MAX_CODE_CHARS, repr=False)
    origin: str = Field(default="", max_length=MAX_ADDRESS_CHARS, pattern=NO_NUL)
    """Address of the backend as the client knows it, into which a hardware key's answer is bound."""


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
    must_enrol: bool = False
    """The authenticator is lost: until there is a new one the account may freeze and see freezes only."""
    locked: bool = False
    """Nobody was there for the policy's time: the session freezes, sees freezes and waits for its factors."""
    locks_in_seconds: int | None = None
    """How long the session stays open unless a person uses it; None for a machine."""
    locks_after_seconds: int | None = None
    """How long the policy lets a session be that nobody uses."""


class PasswordChange(WireRequest):
    """A new password for the caller, who shows the old one and a code."""

    old: str = Field(max_length=MAX_PASSWORD_CHARS, repr=False)
    new: str = Field(max_length=MAX_PASSWORD_CHARS, pattern=NO_NUL, repr=False)
    totp: str = Field(default="", max_length=MAX_CODE_CHARS, repr=False)


class Ended(Wire):
    """How many sessions of the caller a change ended."""

    sessions_ended: int


class NewAuthenticator(WireRequest):
    """The wish for a new authenticator, by somebody who shows the password and a code of the old one, if there is."""

    password: str = Field(max_length=MAX_PASSWORD_CHARS, repr=False)
    totp: str = Field(default="", max_length=MAX_CODE_CHARS, repr=False)


class AuthenticatorSecret(Wire):
    """What to put into the authenticator; it counts once a code of it was shown."""

    totp_secret: str = Field(repr=False)
    provisioning_uri: str = Field(repr=False)


class AuthenticatorCode(WireRequest):
    """The first code of a new authenticator."""

    totp: str = Field(max_length=MAX_CODE_CHARS, repr=False)


class RecoveryCodes(Wire):
    """Codes that let the caller in once each without an authenticator; shown once."""

    recovery_codes: list[str] = Field(repr=False)
    sessions_ended: int
