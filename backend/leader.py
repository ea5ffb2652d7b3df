"""Runs each monitor on exactly one backend at a time."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from backend.context import Runtime
from backend.monitors import Monitor
from backend.stream import Broker


@asynccontextmanager
async def run_monitors(runtime: Runtime, broker: Broker, monitors: tuple[Monitor, ...]) -> AsyncIterator[None]:
    """Run the monitors while the context is open."""
    yield
