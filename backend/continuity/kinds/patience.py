"""Tries a piece of work on the database until the database takes it; the engine ends it when its time is over."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import psycopg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from backend.continuity.kinds.base import At

AGAIN_EVERY_S: Final = 0.5
T = TypeVar("T")


async def once_taken(at: At, work: Callable[[], Awaitable[T]]) -> T:
    """What came of the work, which must bear to be begun again."""
    said = ""
    while True:
        try:
            return await work()
        except (DBAPIError, PoolTimeoutError, psycopg.Error, OSError, TimeoutError) as error:
            if isinstance(error, DBAPIError) and not _passes(error):
                raise
            now = f"{error}".strip().splitlines()[0] if f"{error}".strip() else type(error).__name__
            if now != said:
                at.log(f"The database does not take it yet: {now}")
                said = now
        await asyncio.sleep(AGAIN_EVERY_S)


def _passes(error: DBAPIError) -> bool:
    """Whether waiting may help: the connection was lost, or the server is not ready, is a standby, or was too slow."""
    state = getattr(error.orig, "sqlstate", None)
    return state is None or state[:2] in {"08", "25", "40", "53", "55", "57"}
