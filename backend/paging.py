"""Keyset paging: opaque, validated cursors, never an OFFSET. Owns how a list goes on, not what is in it."""

import base64
import binascii
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar
from uuid import UUID

import orjson
from sqlalchemy import func, literal, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.expression import ColumnElement, Select

from backend.errors import WatchfloorError
from contract.errors import ErrorCode

Row = TypeVar("Row")

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


def newest_first(query: Select[Any], at: Any, ident: Any, cursor: str | None, limit: int) -> Select[Any]:
    """The query of one page, from behind the cursor on; its one row too many says that there is more.

    Raises:
        WatchfloorError: INVALID_REQUEST for a cursor that is not ours.
    """
    if cursor is not None:
        query = query.where(tuple_(at, ident) < tuple_(*map(literal, decode_cursor(cursor))))
    return query.order_by(at.desc(), ident.desc()).limit(limit + 1)


def cut_page(
    rows: Sequence[Row], limit: int, position: Callable[[Row], tuple[datetime, UUID]]
) -> tuple[Sequence[Row], str | None]:
    """The rows that `newest_first` was asked for, and the cursor of the page behind them if there is one."""
    page = rows[:limit]
    return page, encode_cursor(*position(page[-1])) if len(rows) > limit else None


async def count_capped(session: AsyncSession, table: Any, conditions: Sequence[ColumnElement[bool]]) -> int:
    """How many rows match, up to the cap: an exact count of millions would cost more than the page."""
    capped = select(literal(1)).select_from(table).where(*conditions).limit(COUNT_CAP).subquery()
    return (await session.execute(select(func.count()).select_from(capped))).scalar_one()
