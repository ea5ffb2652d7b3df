"""The accounts of what callers may still ask, in the database: one statement for many of them, on a line of its own.

Must never hold up a request for long: a database that does not answer in time counts as away, and is left alone for a
while.
"""

import asyncio
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import psycopg
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from backend.context import Runtime
from backend.db import Database
from backend.monitors import Monitor
from backend.policy.transport import Allowance

ANSWER_LIMIT_S: Final = 1.5
"""Longest time a request waits to be counted; half of what it would wait for a connection of the pool."""
PRUNE_EVERY_S: Final = 60.0
_NOW_US: Final = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
# As `limits_core.grant`. A row that is taken anew begins with a full account. Locked in the order of keys, so that two
# backends never wait for each other.
_OWED: Final = """
LEAST(GREATEST(held.full_at_us - GREATEST(EXCLUDED.asked_at_us, held.asked_at_us), 0),
      EXCLUDED.burst * EXCLUDED.interval_us)"""
_LEFT: Final = f"((EXCLUDED.burst * EXCLUDED.interval_us - {_OWED}) / EXCLUDED.interval_us)"
_TAKE: Final = f"""
WITH now AS (SELECT COALESCE(%(now_us)s::bigint, {_NOW_US}) AS us),
     asked AS (SELECT * FROM unnest(%(keys)s::text[], %(intervals)s::bigint[], %(bursts)s::bigint[],
                                    %(wanted)s::bigint[]) AS asked (key, interval_us, burst, wanted))
INSERT INTO request_allowances AS held (key, interval_us, burst, granted, asked_at_us, full_at_us)
SELECT key, interval_us, burst, wanted, now.us, now.us + wanted * interval_us FROM asked, now ORDER BY key
ON CONFLICT (key) DO UPDATE SET
    interval_us = EXCLUDED.interval_us,
    burst = EXCLUDED.burst,
    asked_at_us = EXCLUDED.asked_at_us,
    granted = LEAST(EXCLUDED.granted, {_LEFT}),
    full_at_us = EXCLUDED.asked_at_us + {_OWED} + EXCLUDED.interval_us * LEAST(EXCLUDED.granted, {_LEFT})
RETURNING key, granted, asked_at_us, full_at_us
"""  # noqa: S608  constants of this module


@dataclass(frozen=True, slots=True)
class Ask:
    """One account, and how many requests are wanted from it; never more than its burst."""

    key: str
    allowance: Allowance
    wanted: int


@dataclass(frozen=True, slots=True)
class Answer:
    """What an account gave."""

    granted: int
    asked_at_us: int
    full_at_us: int


class Accounts:
    """The line of one process to the accounts."""

    def __init__(self, database: Database, now_us: Callable[[], int] | None = None) -> None:
        """`now_us` replaces the database's clock, on which all backends agree."""
        self._database = database
        self._now_us = now_us
        self._line: psycopg.AsyncConnection[Any] | None = None
        self._given_up: set[asyncio.Task[Any]] = set()

    async def take(self, asks: Sequence[Ask]) -> Mapping[str, Answer]:
        """Take from many accounts at once.

        Raises:
            TimeoutError: the database did not answer within the limit.
            psycopg.Error: it refused or is away.
        """
        task = asyncio.create_task(self._taken(asks), name="request limits asked")
        try:
            done, _ = await asyncio.wait({task}, timeout=ANSWER_LIMIT_S)
        except asyncio.CancelledError:
            self._give_up(task)
            raise
        if not done:
            self._give_up(task)
            raise TimeoutError("no answer in time")
        try:
            return task.result()
        except psycopg.Error:
            await self.close()
            raise

    def _give_up(self, task: "asyncio.Task[Any]") -> None:
        """End a statement by cutting its line: neither it nor its cancellation ends while the server stands still."""
        line, self._line = self._line, None
        if line is None:
            task.cancel()
        else:
            with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(line.fileno())) as wire:
                wire.shutdown(socket.SHUT_RDWR)
        self._given_up.add(task)
        task.add_done_callback(lambda ended: self._ended(ended, line))

    def _ended(self, task: "asyncio.Task[Any]", line: "psycopg.AsyncConnection[Any] | None") -> None:
        self._given_up.discard(task)
        if line is not None:
            line.pgconn.finish()
        if not task.cancelled():
            task.exception()  # nobody waits for it any more

    async def _taken(self, asks: Sequence[Ask]) -> Mapping[str, Answer]:
        if self._line is None:
            self._line = await self._database.dedicated("request limits")
        given = {
            "now_us": self._now_us() if self._now_us else None,
            "keys": [ask.key for ask in asks],
            "intervals": [ask.allowance.interval_us for ask in asks],
            "bursts": [ask.allowance.burst for ask in asks],
            "wanted": [ask.wanted for ask in asks],
        }
        rows = await (await self._line.execute(_TAKE, given)).fetchall()
        return {key: Answer(granted, asked_at_us, full_at_us) for key, granted, asked_at_us, full_at_us in rows}

    async def close(self) -> None:
        """Hang up."""
        for task in self._given_up:
            task.cancel()
        await asyncio.gather(*self._given_up, return_exceptions=True)
        line, self._line = self._line, None
        if line is not None:
            with suppress(psycopg.Error, OSError):
                await line.close()


async def _prune(session: AsyncSession, _runtime: Runtime) -> None:
    """Drop the accounts that are full again: they say as much as none."""
    await session.execute(text(f"DELETE FROM request_allowances WHERE full_at_us < {_NOW_US}"))  # noqa: S608  a constant


PRUNE: Final = Monitor(name="request_limits", interval_s=PRUNE_EVERY_S, tick=_prune, min_gap_s=PRUNE_EVERY_S)
