"""Positions in pages of incidents: of rows in the order of (time, key). Owns no query."""

import base64
import binascii
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from typing import Any, TypeVar

import orjson
from sqlalchemy import Select, literal, tuple_

from backend.errors import WatchfloorError
from contract.errors import ErrorCode

Key = TypeVar("Key", str, int)
Row = TypeVar("Row")
_MAX_CURSOR_CHARS = 300
_FAR_AWAY = 2**31


def encode(at: datetime, key: str | int) -> str:
    """The position after a row."""
    return base64.urlsafe_b64encode(orjson.dumps([at, key])).decode()


def decode(cursor: str, kind: type[Key]) -> tuple[datetime, Key]:
    """Read what `encode` wrote.

    Raises:
        WatchfloorError: INVALID_REQUEST when the text is not one of our cursors.
    """
    try:
        return _read(cursor, kind)
    except (ValueError, TypeError, AttributeError, OverflowError, binascii.Error) as error:
        raise WatchfloorError(
            ErrorCode.INVALID_REQUEST, "The cursor is not one this server gave out.", hint="Start from the first page."
        ) from error


def _read(cursor: str, kind: type[Key]) -> tuple[datetime, Key]:
    at, key = orjson.loads(base64.urlsafe_b64decode(cursor[:_MAX_CURSOR_CHARS].encode()))
    if type(key) is not kind or "\x00" in str(key) or (isinstance(key, int) and abs(key) >= _FAR_AWAY):
        raise ValueError("another list's")
    return datetime.fromisoformat(at).astimezone(UTC), key


def page_of(
    query: Select[Any], at: Any, key: Any, *, after: tuple[datetime | date, str | int] | None, limit: int, newest: bool
) -> Select[Any]:
    """The query of one page, from behind a position on; its one row too many says that there is more."""
    if after is not None:
        here, there = tuple_(at, key), tuple_(*map(literal, after))
        query = query.where(here < there if newest else here > there)
    order = (at.desc(), key.desc()) if newest else (at, key)
    return query.order_by(*order).limit(limit + 1)


def cut(
    rows: Sequence[Row], limit: int, position: Callable[[Row], tuple[datetime, str | int]]
) -> tuple[Sequence[Row], str | None]:
    """The rows that were asked for, and the cursor of the page behind them if there is one."""
    page = rows[:limit]
    return page, encode(*position(page[-1])) if len(rows) > limit else None
