"""Ends connections that stay open once their callers may no longer have them: asked for all of them at once, often.

One question for a process however many listen, so that it can be asked twice a second: a session that is ended, a
window that closes and an elevation that is over end what they allowed within a second, on every backend.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Final

import psycopg
import structlog
from sqlalchemy.exc import SQLAlchemyError

from backend.auth.standing import no_longer_signed_in
from backend.context import Caller, Runtime

log = structlog.get_logger(__name__)

LOOK_EVERY_S: Final = 0.5
"""How long somebody hears on who may no longer."""
LOOK_LIMIT_S: Final = 3.0
"""A database that takes longer is away."""
UNVERIFIED_LIMIT_S: Final = 30.0
"""While the database is away nobody can be asked about; connections end when that lasts longer."""


class Watch:
    """Who has a connection open, and how to end it. One event loop uses it."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._open: dict[object, tuple[Caller, Callable[[], None]]] = {}
        self._verified_at = runtime.clock.monotonic()
        self._somebody = asyncio.Event()

    @contextmanager
    def over(self, caller: Caller, end: Callable[[], None]) -> Iterator[None]:
        """Call `end`, which must not wait, if the caller may no longer have what is open while the context is."""
        key = object()
        if not self._open:
            self._verified_at = self._runtime.clock.monotonic()  # whoever comes was let in a moment ago
        self._open[key] = caller, end
        self._somebody.set()
        try:
            yield
        finally:
            self._open.pop(key, None)

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Watch"]:
        """Look while the context is open."""
        task = asyncio.create_task(self._look_for_ever(), name="open connections")
        try:
            yield self
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _look_for_ever(self) -> None:
        while True:
            if not self._open:
                self._somebody.clear()
                await self._somebody.wait()
            await asyncio.sleep(LOOK_EVERY_S)
            await self._look()

    async def _look(self) -> None:
        looked_at = self._runtime.clock.monotonic()
        watched = dict(self._open)
        callers = {caller.identity: caller for caller, _ in watched.values()}
        try:
            async with asyncio.timeout(LOOK_LIMIT_S), self._runtime.database.read() as session:
                ended = await no_longer_signed_in(session, self._runtime, callers.values())
        except (SQLAlchemyError, psycopg.Error, OSError, TimeoutError) as error:
            log.warning("open_connections_not_verified", error=type(error).__name__)
            if looked_at - self._verified_at <= UNVERIFIED_LIMIT_S:
                return
            ended = frozenset(callers)
        # the boundary of the task that looks: the next look is tried
        except Exception:
            log.exception("open_connections_look_failed")
            return
        else:
            self._verified_at = looked_at
        for caller, end in watched.values():
            if caller.identity in ended:
                end()
