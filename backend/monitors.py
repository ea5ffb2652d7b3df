"""What a monitor and a duty are. Areas declare theirs; `backend.leader` runs each on exactly one backend at a time."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

import psycopg
from sqlalchemy.ext.asyncio import AsyncSession

from backend.context import Runtime
from contract.stream import Topic


@dataclass(frozen=True, slots=True)
class Monitor:
    """A periodic job with one leader. `tick` gets a fenced transaction and must be safe to repeat."""

    name: str
    interval_s: float
    """Longest gap between two ticks."""
    tick: Callable[[AsyncSession, Runtime], Awaitable[float | None]]
    """May answer in how many seconds it wants the next tick; None leaves that to the gaps below."""
    wake_on: frozenset[Topic] = frozenset()
    """Stream topics after which the next tick comes early."""
    min_gap_s: float = 0.5
    """Shortest gap between two ticks however often it is woken: bounds the load of a busy feed."""


class Lead(Protocol):
    """The leadership of one duty, as the duty may ask about it."""

    async def require(self, connection: psycopg.AsyncConnection[Any]) -> None:
        """Hold the leadership until the connection's transaction ends: a successor waits for it.

        Raises:
            LeadershipLostError: another backend leads.
        """


@dataclass(frozen=True, slots=True)
class Duty:
    """A job with one leader that runs its own loop, on connections of its own, until it is cancelled."""

    name: str
    run: Callable[[Runtime, Lead], Awaitable[None]]
    """Must call `Lead.require` in every transaction that it commits."""
