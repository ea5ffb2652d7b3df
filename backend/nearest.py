"""Rows nearest to an instant. Knows no table: areas hand theirs in."""

from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Select
from sqlalchemy.ext.asyncio import AsyncSession


class Span(NamedTuple):
    """What is looked at: an instant, and how far before and after it."""

    at: datetime
    since: datetime
    until: datetime


async def nearest_rows(  # noqa: PLR0917  what is read, and from where
    session: AsyncSession, query: Select[Any], column: Any, ident: Any, at: datetime, limit: int
) -> list[Any]:
    """The rows of a query whose time is nearest to an instant, nearest first: an index is read from there both ways."""
    before = query.where(column <= at).order_by(column.desc(), ident.desc()).limit(limit)
    after = query.where(column > at).order_by(column, ident).limit(limit)
    found = [*(await session.scalars(before)).all(), *(await session.scalars(after)).all()]
    return sorted(found, key=lambda row: (abs(getattr(row, column.key) - at), row.id))[:limit]
