"""What a monitor is. Areas declare theirs; `backend.leader` runs each on exactly one backend at a time."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from backend.context import Runtime
from contract.stream import Topic


@dataclass(frozen=True, slots=True)
class Monitor:
    """A periodic job with one leader. `tick` gets a fenced transaction and must be safe to repeat."""

    name: str
    interval_s: float
    """Longest gap between two ticks."""
    tick: Callable[[AsyncSession, Runtime], Awaitable[None]]
    wake_on: frozenset[Topic] = frozenset()
    """Stream topics after which the next tick comes early."""
    min_gap_s: float = 0.5
    """Shortest gap between two ticks however often it is woken: bounds the load of a busy feed."""
