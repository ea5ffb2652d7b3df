"""The description of the routes for other programs: every refusal that the edge gives by itself is in it."""

from typing import Any, Final

from fastapi import FastAPI

from contract.errors import HTTP_STATUS, ErrorCode, ErrorEnvelope

_ENVELOPE: Final = "ErrorEnvelope"
_REFERENCE: Final = "#/components/schemas/{model}"
_EVERYWHERE: Final = (
    ErrorCode.QUERY_TOO_SLOW, ErrorCode.NOT_ALLOWED, ErrorCode.INVALID_REQUEST, ErrorCode.RATE_LIMITED,
    ErrorCode.UNAVAILABLE,
)  # fmt: skip
"""Any route may be answered so before it is asked: by a limit, by the socket's accounts, by a database that is away."""
_WORDS: Final = {
    ErrorCode.NOT_AUTHENTICATED: "Not signed in",
    ErrorCode.LOGIN_FAILED: "A factor of the sign-in is wrong, or somebody has to wait",
    ErrorCode.NOT_ALLOWED: "Not allowed, or the session is locked",
    ErrorCode.NOT_FOUND: "There is no such thing",
    ErrorCode.INVALID_REQUEST: "Not a request that this route takes",
    ErrorCode.CONFLICT: "It contradicts what is stored, or the policy refuses",
    ErrorCode.TOO_LARGE: "The body is too large",
    ErrorCode.REFUSED_BY_FREEZE: "A freeze covers it",
    ErrorCode.QUERY_TOO_SLOW: "The question takes too long, or the body cannot be read",
    ErrorCode.RATE_LIMITED: "Too many requests",
    ErrorCode.UNAVAILABLE: "Not now: the header retry-after says when to ask again",
}
_PUBLIC: Final = "public"
_MARK: Final = "x-permission"
_CHANGING: Final = frozenset({"post", "put", "patch", "delete"})
_FRAMEWORKS_OWN: Final = ("HTTPValidationError", "ValidationError")


def refusals(*codes: ErrorCode) -> dict[int | str, dict[str, Any]]:
    """What a route states of refusals of its own: `@router.get(..., responses=refusals(ErrorCode.NOT_FOUND))`."""
    return {HTTP_STATUS[code]: {"model": ErrorEnvelope, "description": _WORDS[code]} for code in codes}


class DescribedApi(FastAPI):
    """An application whose description names what every route can be answered with."""

    def openapi(self) -> dict[str, Any]:
        """The description as OpenAPI, made once."""
        if self.openapi_schema is None:
            described = super().openapi()
            components = described.setdefault("components", {}).setdefault("schemas", {})
            own = ErrorEnvelope.model_json_schema(ref_template=_REFERENCE)
            components |= own.pop("$defs", {})
            components[_ENVELOPE] = own
            for path, operations in described["paths"].items():
                for method, operation in operations.items():
                    _describe(path, method, operation)
            for name in _FRAMEWORKS_OWN:
                components.pop(name, None)
        assert self.openapi_schema is not None  # noqa: S101  the framework keeps what it made
        return self.openapi_schema


def _describe(path: str, method: str, operation: dict[str, Any]) -> None:
    responses = operation["responses"]
    responses.pop("422", None)  # the framework's own form of it, which is never sent
    content = {"application/json": {"schema": {"$ref": _REFERENCE.format(model=_ENVELOPE)}}}
    for code in _codes(path, method, operation):
        responses.setdefault(str(HTTP_STATUS[code]), {"description": _WORDS[code], "content": content})


def _codes(path: str, method: str, operation: dict[str, Any]) -> list[ErrorCode]:
    codes = list(_EVERYWHERE)
    if operation.get(_MARK) != _PUBLIC:
        codes.append(ErrorCode.NOT_AUTHENTICATED)
    if "{" in path:
        codes.append(ErrorCode.NOT_FOUND)
    if method in _CHANGING:
        codes += [ErrorCode.CONFLICT, ErrorCode.TOO_LARGE]
    return codes
