"""Owns how a failed request reads to an operator. Pure."""

from console.client.errors import ApiError, ClientError
from contract.errors import ErrorCode


def ends_session(error: ClientError) -> bool:
    """Whether the backend takes the token for nothing more: log in again, or unlock."""
    return isinstance(error, ApiError) and error.code in {ErrorCode.NOT_AUTHENTICATED, ErrorCode.SESSION_LOCKED}


def locks_session(error: ClientError) -> bool:
    """Whether the session waits for its factors."""
    return isinstance(error, ApiError) and error.code is ErrorCode.SESSION_LOCKED


def describe(error: ClientError) -> str:
    """The backend's own sentence, what to do next, and the request id for the log."""
    parts = [error.message.rstrip()]
    if error.hint:
        parts.append(error.hint)
    text = " ".join(part if part.endswith((".", "!", "?")) else f"{part}." for part in parts if part)
    if isinstance(error, ApiError) and error.code not in _PLAIN:
        text += f" (request {error.request_id})"
    return text


_PLAIN = frozenset({ErrorCode.LOGIN_FAILED, ErrorCode.NOT_AUTHENTICATED, ErrorCode.SECOND_PERSON_REQUIRED})
"""Expected answers: their request id helps nobody."""
