"""Which token a request carries, read in one way by whoever lets requests in and by whoever counts them."""

from typing import Final

from starlette.requests import Request

MAX_TOKEN_CHARS: Final = 4_096
"""Longer than any token of ours; keeps a hostile header out of the parsers."""


def bearer_of(request: Request) -> str:
    """The token a request carries; empty for none that could be one."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    token = token.strip()
    return token if scheme.lower() == "bearer" and len(token) <= MAX_TOKEN_CHARS else ""
