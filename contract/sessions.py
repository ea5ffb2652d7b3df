"""Wire types of sessions: who is signed in from where, since when, and how a locked one is unlocked."""

from enum import StrEnum

from pydantic import Field

from contract.auth import MAX_ADDRESS_CHARS, MAX_CODE_CHARS, MAX_PASSWORD_CHARS, NO_NUL, Factor
from contract.base import UtcDatetime, Wire, WireRequest


class SessionState(StrEnum):
    """Whether a session can be used."""

    OPEN = "open"
    LOCKED = "locked"
    """Nobody was there for the policy's time: it waits for its factors, and freezes all the same."""


class SessionEnd(StrEnum):
    """Why a session ended before its time."""

    REPLACED = "replaced"
    """Its person signed in more often at once than the policy allows."""
    ENDED = "ended"
    """Its person ended it from another one."""
    REVOKED = "revoked"
    """Somebody else ended it who may."""
    KEY_REPLACED = "key_replaced"
    """The key that signed its token may have leaked."""


class SessionInfo(Wire):
    """One sign-in that has not ended."""

    id: str
    account: str
    role: str
    state: SessionState
    own: bool
    """Whether it is the one that asks."""
    created_at: UtcDatetime
    last_used_at: UtcDatetime
    expires_at: UtcDatetime
    factors: list[Factor]
    ip_address: str | None = None
    user_agent: str | None = None
    sealed: bool = False
    """Whether both are left out: it is somebody else's, and who asks may not reveal personal data."""


class SessionsEnded(Wire):
    """How many sessions were ended."""

    sessions_ended: int


class UnlockRequest(WireRequest):
    """Password and code of the person whose session is locked."""

    password: str = Field(max_length=MAX_PASSWORD_CHARS, repr=False)
    totp: str = Field(default="", max_length=MAX_CODE_CHARS, repr=False)
    origin: str = Field(default="", max_length=MAX_ADDRESS_CHARS, pattern=NO_NUL)
    """Address of the backend as the client knows it, into which a hardware key's answer is bound."""


class Unlocked(Wire):
    """A session that can be used again."""

    locks_in_seconds: int
    expires_at: UtcDatetime
