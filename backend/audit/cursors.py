"""Where a search goes on: the position behind an entry, and how large every log was when the search began.

The sizes keep pages stable: an entry that arrived later is on no later page, even if its time is older.
"""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import orjson

from backend.errors import WatchfloorError
from contract.errors import ErrorCode

_MAX_SEQ: Final = 2**63 - 1
"""What the database's bigint holds."""


@dataclass(frozen=True, slots=True)
class Position:
    """The entries behind it, in the order newest first, then by log, then by falling number, are still to come.

    An empty log stands before every other: all entries of that instant are still to come.
    """

    at: datetime
    log: str
    seq: int


@dataclass(frozen=True, slots=True)
class Cursor:
    """A position in a search over logs of known sizes."""

    position: Position
    sizes: Mapping[str, int]
    unfinished: bool = False
    """The page before ended because its time was up."""


def encode(cursor: Cursor) -> str:
    """The cursor as text for the caller to send back."""
    position = cursor.position
    parts = [position.at, position.log, position.seq, cursor.sizes, cursor.unfinished]
    return base64.urlsafe_b64encode(orjson.dumps(parts)).decode()


def decode(text: str) -> Cursor:
    """Read what `encode` wrote.

    Raises:
        WatchfloorError: INVALID_REQUEST when the text is not one of our cursors.
    """
    try:
        at, log, seq, sizes, unfinished = orjson.loads(base64.urlsafe_b64decode(text.encode()))
        position = Position(datetime.fromisoformat(at).astimezone(UTC), log, seq)
    except (ValueError, TypeError, OverflowError, binascii.Error) as error:
        raise _not_ours() from error
    if not (_is_name(log) and _is_number(seq) and type(unfinished) is bool and _are_sizes(sizes)):
        raise _not_ours()
    return Cursor(position, sizes, unfinished)


def _not_ours() -> WatchfloorError:
    return WatchfloorError(
        ErrorCode.INVALID_REQUEST, "The cursor is not one this server gave out.", hint="Start from the first page."
    )


def _are_sizes(sizes: object) -> bool:
    return type(sizes) is dict and all(_is_name(log) and _is_number(size) for log, size in sizes.items())


def _is_name(value: object) -> bool:
    return isinstance(value, str) and "\0" not in value


def _is_number(value: object) -> bool:
    return type(value) is int and 0 <= value <= _MAX_SEQ
