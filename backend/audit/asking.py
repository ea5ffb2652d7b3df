"""Puts a statement to the database past the layers that compile one: a search asks a dozen, each in a millisecond.

Works on the connection of the caller's session, within its transaction. Must never commit, and never change anything.
"""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, cast

import psycopg
from psycopg.abc import QueryNoTemplate
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

_NAMED: Final = re.compile(r"(?<![:\w]):([a-z_]\w*)")
_KNOWN_STATEMENTS: Final = 512
"""Statements of a search differ by the partitions they name."""


async def ask(session: AsyncSession, statement: str, values: Mapping[str, Any] | None = None) -> list[Any]:
    """The rows that answer a statement, whose values are named `:so`; without values it may be several statements.

    Raises:
        DBAPIError: as the session itself would raise it.
    """
    connection = await driver_of(session)
    try:
        if values is None:
            cursor = await connection.execute(cast("QueryNoTemplate", statement))
        else:
            cursor = await connection.execute(_translated(statement), values)
        return await cursor.fetchall() if cursor.description is not None else []
    except psycopg.Error as error:
        if connection.closed:
            await (await session.connection()).invalidate()
        raise DBAPIError.instance(
            statement, None, error, psycopg.Error, hide_parameters=True, connection_invalidated=connection.closed
        ) from error


async def driver_of(session: AsyncSession) -> psycopg.AsyncConnection[Sequence[Any]]:
    """The driver's connection under a session, whose transaction has begun."""
    raw = await (await session.connection()).get_raw_connection()
    connection: psycopg.AsyncConnection[Sequence[Any]] | None = raw.driver_connection
    assert connection is not None  # noqa: S101  the session holds it until it ends
    return connection


@lru_cache(maxsize=_KNOWN_STATEMENTS)
def _translated(statement: str) -> QueryNoTemplate:
    """With values named as the driver has them."""
    return cast("QueryNoTemplate", _NAMED.sub(r"%(\1)s", statement.replace("%", "%%")))
