"""Writes many rows of one table by one statement with one parameter: in a storm of alerts that is most of the work.

Owns the statement only. The rows are values by the columns' names; a column that only some of them name is NULL in the
others. What they hold travels as JSON.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import orjson
from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncSession


@cache
def _statement(table: str, columns: tuple[str, ...]) -> TextClause:
    names = ", ".join(columns)  # of tables in this code, never from outside
    return text(
        f"INSERT INTO {table} ({names}) SELECT {names} "  # noqa: S608  names from code alone
        f"FROM jsonb_populate_recordset(NULL::{table}, CAST(:rows AS jsonb))"
    )


async def insert_many(session: AsyncSession, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows in their order; columns that none of them names get their defaults."""
    if rows:
        statement = _statement(table, tuple(dict.fromkeys(name for row in rows for name in row)))
        await session.execute(statement, {"rows": orjson.dumps([dict(row) for row in rows]).decode()})
