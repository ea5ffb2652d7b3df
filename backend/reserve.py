"""A few database connections apart, for what must have an answer in time: no crowd takes them, no server hangs them.

An attempt that takes too long is given up by cutting its connection, because neither a query nor its cancellation ends
while the server stands still. Must never say that what was given up did not happen: its COMMIT may have arrived.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any, Final, TypeVar

import psycopg
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncSession

from backend.db import Database
from backend.nodes import Nodes, cut
from backend.settings import Settings

T = TypeVar("T")

CONNECTIONS: Final = 2
"""One that is being given up and one that works."""
LOCK_LIMIT_MS: Final = 1_000
"""Shorter than any attempt: one that waits for a lock then ends in order, and is known not to have happened."""
Line = psycopg.AsyncConnection[Any]
_Lines = list[Line]
_LINES: ContextVar[_Lines | None] = ContextVar("connections of the attempt", default=None)


class Reserve:
    """The reserved connections of one process, opened at first need."""

    def __init__(self, settings: Settings, nodes: Nodes) -> None:
        few = {
            "pool_size": CONNECTIONS,
            "pool_overflow": 0,
            "lock_timeout_ms": min(LOCK_LIMIT_MS, settings.lock_timeout_ms),
        }
        self.database = Database(settings.model_copy(update=few), nodes)
        engine = self.database.engine.sync_engine
        event.listen(engine, "do_connect", self._connect_here)
        event.listen(engine, "checkout", lambda connection, _record, _proxy: _note(connection.driver_connection))
        self._open: list[Line] = []
        """Every connection until it is closed: one whose attempt is cut off may be nobody else's any more."""
        self._given_up: set[asyncio.Task[Any]] = set()

    def _connect_here(self, _dialect: Any, _record: Any, _arguments: Any, parameters: dict[str, Any]) -> None:
        parameters["async_creator_fn"] = self._connected

    async def _connected(self, *arguments: Any, **parameters: Any) -> Line:
        """Connect; the connection is known from its first moment on, so that it can be cut and is always closed."""
        line = await psycopg.AsyncConnection.connect(*arguments, **parameters)
        self._open = [one for one in self._open if not one.closed]
        self._open.append(line)
        _note(line)
        return line

    async def attempt(self, work: Callable[[AsyncSession], Awaitable[T]], within_s: float) -> T:
        """Do something in a transaction of its own, and hear of its end within a bound.

        Raises:
            TimeoutError: nobody knows whether it is committed.
            Exception: whatever the work, the database or its driver raises.
        """
        lines: _Lines = []
        before = _LINES.set(lines)  # the task takes a copy of the context along
        try:
            task = asyncio.create_task(self._run(work), name="reserved attempt")
        finally:
            _LINES.reset(before)
        try:
            done, _ = await asyncio.wait({task}, timeout=within_s)
        except asyncio.CancelledError:
            self._give_up(task, lines)
            raise
        if done:
            return task.result()
        self._give_up(task, lines)
        raise TimeoutError(f"the database has not answered within {within_s:.1f} s")

    async def _run(self, work: Callable[[AsyncSession], Awaitable[T]]) -> T:
        async with self.database.transaction() as session:
            return await work(session)

    def _give_up(self, task: "asyncio.Task[Any]", lines: _Lines) -> None:
        """End an attempt by itself: its connection breaks. One that has no connection yet is cancelled."""
        self._given_up.add(task)
        task.add_done_callback(self._ended)
        for line in lines:
            cut(line)
        if not lines:
            task.cancel()

    def _ended(self, task: "asyncio.Task[Any]") -> None:
        self._given_up.discard(task)
        if not task.cancelled():
            task.exception()  # nobody waits for it any more

    async def close(self) -> None:
        """Give every connection back; what was given up and still runs is cut short."""
        for task in self._given_up:
            task.cancel()
        await asyncio.gather(*self._given_up, return_exceptions=True)
        await self.database.close()
        for line in self._open:
            await line.close()
        self._open = []


def _note(line: Line) -> None:
    lines = _LINES.get()
    if lines is not None:
        lines.append(line)
