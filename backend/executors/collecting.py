"""Gathers what arrives one by one, so that it is stored by the hundred. Knows nothing of what it gathers."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Generic, TypeVar

import psycopg
import structlog
from sqlalchemy.exc import SQLAlchemyError

log = structlog.get_logger(__name__)

T = TypeVar("T")
_AWAY: Final = (SQLAlchemyError, psycopg.Error, OSError, TimeoutError)
"""What a database that is away looks like."""
MOST: Final = 100
"""Handled at once: bounds a transaction and its audit entries."""


class Collector(Generic[T]):
    """Hands items on in batches, in order, one batch at a time."""

    def __init__(
        self,
        name: str,
        handle: Callable[[Sequence[T]], Awaitable[None]],
        failed: Callable[[Sequence[T]], None],
    ) -> None:
        self._name = name
        self._handle = handle
        self._failed = failed
        self._items: list[T] = []
        self._wake = asyncio.Event()

    def add(self, item: T) -> None:
        """Have an item handled soon."""
        self._items.append(item)
        self._wake.set()

    async def run(self) -> None:
        """Handle what arrives, until cancelled."""
        while True:
            await self._wake.wait()
            some, self._items = self._items[:MOST], self._items[MOST:]
            if not self._items:
                self._wake.clear()
            try:
                await self._handle(some)
            except _AWAY as error:
                log.warning("permit_batch_failed", batch=self._name, error=f"{type(error).__name__}: {error}"[:300])
                self._failed(some)
            # the collector's boundary: whatever goes wrong with one batch, the next one is tried
            except Exception:
                log.exception("permit_batch_failed", batch=self._name)
                self._failed(some)
