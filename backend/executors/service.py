"""What other areas may use of executors: the list of them with their states, and the permits they trade under."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from backend.context import Runtime
from backend.executors import core
from backend.executors.desk import Desk
from backend.freeze import service as freeze
from contract.base import Page
from contract.executors import Executor, ExecutorState

__all__ = ["Desk", "Permits", "list_executors", "page_of_executors", "permits_since"]

_MAY_TRADE = frozenset({ExecutorState.TRADING, ExecutorState.REDUCING})


@dataclass(frozen=True, slots=True)
class Permits:
    """Who of those that had a permit at some time has one now."""

    now: datetime
    """By the database's clock."""
    had: int
    holding: int
    frozen: int
    """Of the others, how many a hold keeps from having one."""
    without: tuple[str, ...]
    """The rest, by name."""


async def permits_since(session: AsyncSession, runtime: Runtime, since: datetime, *, heard: datetime | None) -> Permits:
    """Who had a permit at an instant or got one later, and renews it: was heard since another one and may trade.

    Both are the database's; `heard` None is now, so that nobody was.
    """
    floor = await freeze.floor(session, runtime)
    had = [
        (facts, state) for facts, state in floor.executors
        if facts.permit_until is not None and facts.permit_until >= since
    ]  # fmt: skip
    since_heard = heard or floor.now
    rest = [(one.name, state) for one, state in had if state not in _MAY_TRADE or one.last_seen_at < since_heard]
    frozen = [name for name, state in rest if _is_held(state)]
    return Permits(
        now=floor.now,
        had=len(had),
        holding=len(had) - len(rest),
        frozen=len(frozen),
        without=tuple(name for name, state in rest if not _is_held(state)),
    )


def _is_held(state: ExecutorState) -> bool:
    return state in {ExecutorState.FROZEN, ExecutorState.FREEZING, ExecutorState.WEDGED}


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
