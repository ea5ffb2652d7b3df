"""An application under test: the real one, on a real database, called through ASGI."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psycopg
from fastapi import FastAPI

from backend.audit.sequencer import Sequencer
from backend.clock import SYSTEM_CLOCK, Clock
from backend.context import Runtime, system_caller
from backend.executors.desk import Desk
from backend.main import create_app
from backend.settings import Settings
from tests.support.people import Person, sign_in
from tests.support.touches import Touching

_RECONNECT_S = 0.1
DESKS: dict[int, Desk] = {}
"""The permit desks of the applications that run, by the identity of their runtimes."""
POOL_SIZE = 4
"""Database connections of an application under test."""
ORIGIN = "http://test"
"""Its address, as its clients know it."""
SWIFT = str(Path(__file__).with_name("swift.toml"))
"""The policy of applications under test: that of the product, without the waits of a thaw."""


@dataclass
class App:
    """A started backend and an HTTP client for it."""

    app: FastAPI
    http: httpx.AsyncClient

    @property
    def runtime(self) -> Runtime:
        """The backend's own parts, for arranging and inspecting."""
        runtime: Runtime = self.app.state.runtime
        return runtime

    async def as_(self, person: Person) -> httpx.AsyncClient:
        """A client signed in as a person of the given role (created on first use)."""
        return self.with_token(await sign_in(self.runtime, person))

    def with_token(self, token: str) -> httpx.AsyncClient:
        """A client that bears a token, and whose holder confirms with a hardware key what has to be confirmed."""
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(self.app),
            base_url=ORIGIN,
            headers={"authorization": f"Bearer {token}"},
            auth=Touching(self.runtime),
        )


class AloneLead:
    """The leadership of a backend that is the only one."""

    async def require(self, connection: psycopg.AsyncConnection[Any]) -> None:
        """Never lost."""


async def _sequence(runtime: Runtime) -> None:
    while True:
        with suppress(psycopg.Error, OSError):  # a test may take the database away
            await Sequencer(runtime, AloneLead()).run()
        await asyncio.sleep(_RECONNECT_S)


@asynccontextmanager
async def sequencing(runtime: Runtime, *, wanted: bool = True) -> AsyncIterator[None]:
    """Have what is recorded reach the ledger, without the leases that a test of one backend does not need."""
    if not wanted:
        yield
        return
    task = asyncio.create_task(_sequence(runtime))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@asynccontextmanager
async def started_app(
    database_url: str,
    *,
    clock: Clock = SYSTEM_CLOCK,
    monitors: bool = False,
    sequence: bool = True,
    policy: str = SWIFT,
    settings: Mapping[str, Any] | None = None,
) -> AsyncIterator[App]:
    """Run the application's lifespan around a test. Monitors are off unless asked for: a test ticks them itself.

    Without `sequence` nothing reaches the ledger by itself either.
    """
    usual = Settings(database_url=database_url, pool_size=POOL_SIZE, policy=policy, origins=ORIGIN, **settings or {})
    app = create_app(usual, clock=clock, monitors=monitors)
    async with app.router.lifespan_context(app), sequencing(app.state.runtime, wanted=sequence and not monitors):
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as client:
            known_as = id(app.state.runtime)  # a test may put another in its place
            DESKS[known_as] = app.state.desk
            try:
                yield App(app=app, http=client)
            finally:
                del DESKS[known_as]


SYSTEM = system_caller("test")
