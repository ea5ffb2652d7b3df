"""Keyset cursors: opaque, validated, never an OFFSET. Owns no query."""

import base64
import binascii
from datetime import UTC, datetime
from uuid import UUID

import orjson

from backend.errors import WatchfloorError
from contract.errors import ErrorCode

MAX_PAGE_ROWS = 500
"""Upper bound of every `limit`: a page must fit a screen and a statement timeout."""
DEFAULT_PAGE_ROWS = 100
COUNT_CAP = 10_000
"""Counts above this are shown as "10,000+"."""


def encode_cursor(at: datetime, ident: UUID) -> str:
    """The position after a row ordered by (time, id)."""
    return base64.urlsafe_b64encode(orjson.dumps([at, ident])).decode()


def decode_cursor(cursor: str) -> tuple[datetime, UUID]:
    """Read what `encode_cursor` wrote.

    Raises:
        WatchfloorError: INVALID_REQUEST when the text is not one of our cursors.
    """
    try:
        at, ident = orjson.loads(base64.urlsafe_b64decode(cursor.encode()))
        return datetime.fromisoformat(at).astimezone(UTC), UUID(ident)
    except (ValueError, TypeError, AttributeError, binascii.Error) as error:
        raise WatchfloorError(
            ErrorCode.INVALID_REQUEST, "The cursor is not one this server gave out.", hint="Start from the first page."
        ) from error
