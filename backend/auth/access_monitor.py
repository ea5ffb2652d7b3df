"""Writes down what the clock has done to access: closed windows, elevations that are over; opens due access reviews.

Enforces nothing: requests and open connections ask the clock themselves. One backend at a time runs it.
"""

from sqlalchemy.ext.asyncio import AsyncSession

from backend.auth import elevations, reviews, windows
from backend.context import Runtime
from backend.monitors import Monitor

INTERVAL_S = 1.0
"""How late a closed window's sessions are ended in the table, and an elevation is told to be over."""


async def tick(session: AsyncSession, runtime: Runtime) -> None:
    """Take every step that is due."""
    await windows.end_sessions_outside(session, runtime)
    await elevations.mark_over(session, runtime)
    await reviews.open_if_due(session, runtime)


MONITOR = Monitor(name="access", interval_s=INTERVAL_S, tick=tick)
