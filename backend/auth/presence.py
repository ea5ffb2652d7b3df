"""Writes down that people use their sessions: collected for a moment, then one statement for all of a process.

What counts is an act, or a request that says that a person has just made it. What a console asks for by itself, and a
stream, keep no session open.
"""

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from typing import Final

import psycopg
import structlog
from fastapi import Request
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from backend.auth.tables import Session
from backend.context import Caller, Runtime
from backend.demand import Demand, Effect
from contract.presence import PRESENCE_GAP_S, PRESENT, PRESENT_HEADER

log = structlog.get_logger(__name__)

WRITE_EVERY_S: Final = 0.5
"""A burst of requests is written together; long before the next one that counts."""
WRITE_LIMIT_S: Final = 3.0
"""A database that takes longer is away."""
_ACTS: Final = frozenset({Effect.CHANGES, Effect.OWN, Effect.FREEZES})
_WRITE: Final = text(
    "WITH used AS (SELECT sessions.id, told.at FROM sessions"
    " JOIN unnest(CAST(:idents AS uuid[]), CAST(:times AS timestamptz[])) AS told(id, at) ON told.id = sessions.id"
    " WHERE sessions.ended_at IS NULL ORDER BY sessions.id FOR UPDATE OF sessions)"
    " UPDATE sessions SET last_used_at = GREATEST(sessions.last_used_at, used.at) FROM used WHERE used.id = sessions.id"
)
"""Locks in one order, so that two backends that write about the same sessions never wait for one another."""


def note(runtime: Runtime, request: Request, demand: Demand, caller: Caller, last_used_at: datetime) -> None:
    """Take in that a person was there, if this request says so and it was not written a moment ago.

    Only for a session that is not locked: presence keeps one open, it opens none.
    """
    if caller.session_id is None:
        return
    if demand.effect not in _ACTS and request.headers.get(PRESENT_HEADER) != PRESENT:
        return
    now = runtime.clock.now()
    if (now - last_used_at).total_seconds() >= PRESENCE_GAP_S:
        runtime.present[caller.session_id] = now


def seconds_open(runtime: Runtime, row: Session) -> int:
    """How long a session stays open unless a person uses it; 0 for one that is locked."""
    used_at = max(row.last_used_at, runtime.present.get(str(row.id), row.last_used_at))
    left = (used_at + runtime.policy.sessions.idle - runtime.clock.now()).total_seconds()
    return max(math.ceil(left), 0)


async def write(runtime: Runtime) -> None:
    """Write down whoever was there since the last time; what cannot be written is kept for the next."""
    taken = dict(runtime.present)
    runtime.present.clear()
    if not taken:
        return
    try:
        async with asyncio.timeout(WRITE_LIMIT_S), runtime.database.transaction() as session:
            await session.execute(_WRITE, {"idents": list(taken), "times": list(taken.values())})
    except BaseException:
        for ident, at in taken.items():
            runtime.present.setdefault(ident, at)
        raise


@asynccontextmanager
async def keeping_presence(runtime: Runtime) -> AsyncIterator[None]:
    """Write again and again while the context is open."""
    task = asyncio.create_task(_write_for_ever(runtime), name="presence")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        with suppress(SQLAlchemyError, psycopg.Error, OSError, TimeoutError):
            await write(runtime)


async def _write_for_ever(runtime: Runtime) -> None:
    while True:
        await asyncio.sleep(WRITE_EVERY_S)
        try:
            await write(runtime)
        except (SQLAlchemyError, psycopg.Error, OSError, TimeoutError) as error:
            log.warning("presence_not_written", error=type(error).__name__)
        # the boundary of the task that writes: the next time is tried
        except Exception:
            log.exception("presence_failed")
