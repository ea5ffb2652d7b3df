"""The risk monitor: assesses after every batch of trades and at least as often as the policy asks."""

from sqlalchemy.ext.asyncio import AsyncSession

from backend.context import Runtime
from backend.monitors import Monitor
from backend.risk import confirming, service
from contract.stream import Topic

LONGEST_GAP_S = 15.0
"""A quarter of the minute the compliance document asks for: an assessment missed in a change of leader stays unseen."""
SHORTEST_GAP_S = 1.0
"""However busy the feed is: with 100,000 trades of a day in 1,200 places an assessment took 50 to 90 ms of a core of a
small virtual machine, and nearly as much in the database. It grows with the places that trade, not with the trades."""


CONFIRMING_GAP_S = 0.8
"""While a crossing awaits confirmation: with the time an assessment takes, the next one is done within a second."""


async def tick(session: AsyncSession, runtime: Runtime) -> float | None:
    """One assessment."""
    await service.assess(session, runtime)
    await session.flush()
    return CONFIRMING_GAP_S if await confirming.is_outstanding(session, runtime) else None


MONITOR = Monitor(
    name="risk",
    interval_s=LONGEST_GAP_S,
    tick=tick,
    wake_on=frozenset({Topic.TRANSACTIONS, Topic.EXECUTORS, Topic.FREEZE}),
    min_gap_s=SHORTEST_GAP_S,
)
