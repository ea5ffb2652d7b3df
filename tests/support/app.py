"""An application under test: the real one, on a real database, called through ASGI."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx
from fastapi import FastAPI

from backend.clock import SYSTEM_CLOCK, Clock
from backend.context import Runtime, system_caller
from backend.main import create_app
from backend.settings import Settings
from tests.support.people import Person, sign_in

POOL_SIZE = 4
"""Database connections of an application under test."""


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
        token = await sign_in(self.runtime, person)
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(self.app),
            base_url="http://test",
            headers={"authorization": f"Bearer {token}"},
        )


@asynccontextmanager
async def started_app(database_url: str, *, clock: Clock = SYSTEM_CLOCK, monitors: bool = False) -> AsyncIterator[App]:
    """Run the application's lifespan around a test. Monitors are off unless asked for: a test ticks them itself."""
    settings = Settings(database_url=database_url, pool_size=POOL_SIZE)
    app = create_app(settings, clock=clock, monitors=monitors)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            yield App(app=app, http=client)


SYSTEM = system_caller("test")
