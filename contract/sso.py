"""Wire types of signing in through the organisation's own sign-in (SSO): a code to enter there, and what came of it."""

from pydantic import Field

from contract.auth import MAX_ADDRESS_CHARS, MAX_NAME_CHARS, LoginAnswer
from contract.base import UtcDatetime, Wire, WireRequest
from contract.hardware import HardwareChallenge

MAX_TICKET_CHARS = 64
MAX_USER_CODE_CHARS = 64
MAX_PAGE_CHARS = 500


class SsoStart(WireRequest):
    """The wish to sign in there; nothing has to be said here."""


class SsoStarted(Wire):
    """What a person does at the provider to sign in here."""

    ticket: str = Field(repr=False)
    """Asks for what came of it; whoever has it gets the session."""
    user_code: str
    page: str
    """Where the code is entered."""
    page_with_code: str | None = None
    """The same with the code in it, for a QR code; not every provider has one."""
    expires_at: UtcDatetime
    ask_every_s: int


class SsoAsk(WireRequest):
    """Whether the person has signed in at the provider by now."""

    ticket: str = Field(max_length=MAX_TICKET_CHARS, pattern=r"^[A-Za-z0-9_-]+$", repr=False)
    origin: str = Field(default="", max_length=MAX_ADDRESS_CHARS, pattern=r"^[^\x00]*$")
    """Address of the backend as the client knows it, into which a hardware key's answer is bound."""


class SsoStep(Wire):
    """How far a sign-in is: not yet, signed in, or a hardware key has to answer."""

    ask_again_s: int | None = None
    """Only while the person has not finished at the provider."""
    username: str | None = Field(default=None, max_length=MAX_NAME_CHARS)
    answer: LoginAnswer | None = Field(default=None, repr=False)
    challenge: HardwareChallenge | None = None
