"""The one error envelope, every error code, and the exit code each maps to. The only place that pairs the three."""

from enum import IntEnum, StrEnum

from contract.base import Wire


class ExitCode(IntEnum):
    """Exit codes of every `watchfloor` command; scripts rely on them."""

    OK = 0
    CHECK_FAILED = 1
    USAGE = 2
    CONFIGURATION = 3
    NOT_ALLOWED = 4
    NOT_FOUND = 5
    REFUSED_BY_POLICY = 6
    UNREACHABLE = 7
    REFUSED_BY_FREEZE = 8
    TIMED_OUT = 124


class ErrorCode(StrEnum):
    """Machine-readable reason of a refusal; stable."""

    NOT_AUTHENTICATED = "not_authenticated"
    LOGIN_FAILED = "login_failed"
    NOT_ALLOWED = "not_allowed"
    SESSION_LOCKED = "session_locked"
    """Nobody was there for a while: the session freezes, sees freezes and waits for its factors."""
    NOT_FOUND = "not_found"
    INVALID_REQUEST = "invalid_request"
    CONFLICT = "conflict"
    TOO_LARGE = "too_large"
    SECOND_PERSON_REQUIRED = "second_person_required"
    CONFIRMATION_REQUIRED = "confirmation_required"
    """A fresh touch of the hardware key is needed for this act; `confirm` says what it has to be about."""
    REFUSED_BY_POLICY = "refused_by_policy"
    REFUSED_BY_FREEZE = "refused_by_freeze"
    QUERY_TOO_SLOW = "query_too_slow"
    BUSY = "busy"
    """Somebody else holds what the act would change, or it was given up for taking too long: nothing was changed, and
    the same request may be sent again."""
    RATE_LIMITED = "rate_limited"
    UNAVAILABLE = "unavailable"
    INTERNAL = "internal"


HTTP_STATUS: dict[ErrorCode, int] = {
    ErrorCode.NOT_AUTHENTICATED: 401,
    ErrorCode.LOGIN_FAILED: 401,
    ErrorCode.NOT_ALLOWED: 403,
    ErrorCode.SESSION_LOCKED: 403,
    ErrorCode.NOT_FOUND: 404,
    ErrorCode.INVALID_REQUEST: 422,
    ErrorCode.CONFLICT: 409,
    ErrorCode.TOO_LARGE: 413,
    ErrorCode.SECOND_PERSON_REQUIRED: 403,
    ErrorCode.CONFIRMATION_REQUIRED: 403,
    ErrorCode.REFUSED_BY_POLICY: 409,
    ErrorCode.REFUSED_BY_FREEZE: 423,
    ErrorCode.QUERY_TOO_SLOW: 400,
    ErrorCode.BUSY: 503,
    ErrorCode.RATE_LIMITED: 429,
    ErrorCode.UNAVAILABLE: 503,
    ErrorCode.INTERNAL: 500,
}

EXIT_CODE: dict[ErrorCode, ExitCode] = {
    ErrorCode.NOT_AUTHENTICATED: ExitCode.NOT_ALLOWED,
    ErrorCode.LOGIN_FAILED: ExitCode.NOT_ALLOWED,
    ErrorCode.NOT_ALLOWED: ExitCode.NOT_ALLOWED,
    ErrorCode.SESSION_LOCKED: ExitCode.NOT_ALLOWED,
    ErrorCode.NOT_FOUND: ExitCode.NOT_FOUND,
    ErrorCode.INVALID_REQUEST: ExitCode.USAGE,
    ErrorCode.CONFLICT: ExitCode.CHECK_FAILED,
    ErrorCode.TOO_LARGE: ExitCode.USAGE,
    ErrorCode.SECOND_PERSON_REQUIRED: ExitCode.REFUSED_BY_POLICY,
    ErrorCode.CONFIRMATION_REQUIRED: ExitCode.NOT_ALLOWED,
    ErrorCode.REFUSED_BY_POLICY: ExitCode.REFUSED_BY_POLICY,
    ErrorCode.REFUSED_BY_FREEZE: ExitCode.REFUSED_BY_FREEZE,
    ErrorCode.QUERY_TOO_SLOW: ExitCode.USAGE,
    ErrorCode.BUSY: ExitCode.UNREACHABLE,
    ErrorCode.RATE_LIMITED: ExitCode.NOT_ALLOWED,
    ErrorCode.UNAVAILABLE: ExitCode.UNREACHABLE,
    ErrorCode.INTERNAL: ExitCode.CHECK_FAILED,
}


class ConfirmationWanted(Wire):
    """What a touch of the hardware key has to be about before the act is done."""

    act: str
    about: str


class ErrorEnvelope(Wire):
    """The body of every answer that is not a success."""

    code: ErrorCode
    message: str
    """One plain sentence: what was refused and why."""
    hint: str | None = None
    """What to do next, if there is something to do."""
    request_id: str
    confirm: ConfirmationWanted | None = None
    """Only with `confirmation_required`."""
