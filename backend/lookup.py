"""Reading the row that an id in a request names. Owns no table and knows no rule."""

from typing import TypeVar

from sqlalchemy.ext.asyncio import AsyncSession

from backend.db import Base
from backend.errors import known_ident, not_found

_Row = TypeVar("_Row", bound=Base)


async def row_named(session: AsyncSession, table: type[_Row], what: str, ident: str, *, lock: bool = False) -> _Row:
    """Give the row of an id somebody typed; if asked, locked against other changes and read anew.

    Raises:
        WatchfloorError: NOT_FOUND, naming `what` was looked for.
    """
    row = await session.get(table, known_ident(what, ident), with_for_update=lock or None, populate_existing=lock)
    if row is None:
        raise not_found(what, ident)
    return row
