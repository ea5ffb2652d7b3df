"""The executors monitor."""

from sqlalchemy.ext.asyncio import AsyncSession

from backend.context import Runtime
from backend.monitors import Monitor


async def tick(session: AsyncSession, runtime: Runtime) -> None:
    """One round."""


MONITOR = Monitor(name="executors", interval_s=1.0, tick=tick)
