"""The error envelope as an HTTP answer. Knows no exception: see `backend.http`."""

from starlette.requests import Request
from starlette.responses import JSONResponse

from contract.errors import HTTP_STATUS, ConfirmationWanted, ErrorCode, ErrorEnvelope

MAX_TEXT_CHARS = 500
"""A refusal is one sentence; more would be what the caller sent us, echoed."""
_HEADERS = {
    ErrorCode.UNAVAILABLE: {"retry-after": "1"},
    ErrorCode.BUSY: {"retry-after": "1"},
    ErrorCode.RATE_LIMITED: {"retry-after": "1"},
    ErrorCode.NOT_AUTHENTICATED: {"www-authenticate": "Bearer"},
    ErrorCode.TOO_LARGE: {"connection": "close"},
}


def request_id_of(request: Request) -> str:
    """The id that `backend.middleware.RequestIds` gave this request."""
    ident: str = request.state.request_id
    return ident


def printable(text: str) -> str:
    """Text that may hold what the caller sent, as one bounded line of valid Unicode."""
    return "".join(char if char.isprintable() else "\ufffd" for char in text[:MAX_TEXT_CHARS])


def envelope(
    request: Request,
    code: ErrorCode,
    message: str,
    *,
    hint: str | None = None,
    status: int | None = None,
    confirm: ConfirmationWanted | None = None,
) -> JSONResponse:
    """The answer of every route that does not succeed; the code decides the status unless one is given."""
    body = ErrorEnvelope(
        code=code, message=printable(message), hint=hint, request_id=request_id_of(request), confirm=confirm
    )
    left_out = {"confirm"} if confirm is None else None
    return JSONResponse(
        body.model_dump(mode="json", exclude=left_out),
        status_code=status or HTTP_STATUS[code],
        headers=_HEADERS.get(code),
    )
