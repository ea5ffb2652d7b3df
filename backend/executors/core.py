"""What executors look like on the wire, pure."""

from collections.abc import Sequence

from backend.roster.service import Facts
from contract.executors import Executor, ExecutorState
from contract.freeze import FreezeMode


def mode_allows_trading(mode: FreezeMode | None) -> bool:
    """Whether anything but a cancel may be sent."""
    return mode is None or not mode.stops


def shown_digest(facts: Facts, state: ExecutorState) -> str:
    """What a console shows of an executor, in short: equal digests mean that nothing has to be sent."""
    return f"{state}|{facts.position_eth}|{facts.open_orders}|{facts.in_flight}|{facts.boot_id}"


def wire(facts: Facts, state: ExecutorState) -> Executor:
    """An executor as the wire shows it."""
    return Executor(
        name=facts.name,
        chain=facts.chain,
        strategy=facts.strategy,
        wallet=facts.wallet,
        state=state,
        position_eth=None if facts.position_eth is None else facts.position_eth.normalize(),
        open_orders=facts.open_orders,
        in_flight=facts.in_flight,
        last_order_seq=facts.last_order_seq,
        last_seen_at=facts.last_seen_at,
        registered_at=facts.registered_at,
    )


def page_after(executors: Sequence[Executor], name: str, limit: int) -> tuple[list[Executor], str | None]:
    """The executors that follow a name, and the name to go on from; None on the last page."""
    following = [executor for executor in executors if executor.name > name]
    page = following[:limit]
    return page, page[-1].name if len(following) > limit else None
