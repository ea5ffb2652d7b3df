"""What other areas may use of executors: the list of them with their states, and the permits they trade under."""

from sqlalchemy.ext.asyncio import AsyncSession

from backend.context import Runtime
from backend.executors import core
from backend.executors.desk import Desk
from backend.freeze import service as freeze
from contract.base import Page
from contract.executors import Executor, ExecutorState

__all__ = ["Desk", "list_executors", "page_of_executors"]


async def list_executors(session: AsyncSession, runtime: Runtime) -> list[Executor]:
    """Every executor by name, with the state derived from its own reports and the holds over it."""
    floor = await freeze.floor(session, runtime)
    return [core.wire(facts, state) for facts, state in floor.executors]


async def page_of_executors(
    session: AsyncSession,
    runtime: Runtime,
    *,
    chain: str | None,
    strategy: str | None,
    state: ExecutorState | None,
    cursor: str | None,
    limit: int,
) -> Page[Executor]:
    """One page of executors by name."""
    floor = await freeze.floor(session, runtime)
    wanted = [
        core.wire(facts, shown)
        for facts, shown in floor.executors
        if (chain is None or facts.chain == chain)
        and (strategy is None or facts.strategy == strategy)
        and (state is None or shown is state)
    ]
    items, more = core.page_after(wanted, cursor or "", limit)
    return Page[Executor](items=items, next_cursor=more, total=len(wanted), as_of=floor.now)
