"""Fan-out of committed events."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from backend.context import Runtime


class Broker:
    """Listens for committed events and hands them to subscribers."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Broker"]:
        """Listen while the context is open."""
        yield self
