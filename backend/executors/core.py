"""The rules of permits, pure: what an executor is answered and when its report is worth writing down."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from backend.roster.service import Facts
from contract.executors import Executor, ExecutorState
from contract.freeze import FreezeMode
from contract.gate import RenewRequest

_REPORTED = ("position_eth", "open_orders", "in_flight", "last_order_seq", "halted_epoch")


def is_other_process(known: Facts, request: RenewRequest) -> bool:
    """Whether the request comes from another process than the one that holds the executor's name."""
    return known.boot_id != request.boot_id


def moved(known: Facts, request: RenewRequest) -> bool:
    """Whether the request names another chain, strategy or wallet than the executor has."""
    return (known.chain, known.strategy, known.wallet) != (request.chain, request.strategy, request.wallet)


def changed(known: Facts | None, request: RenewRequest) -> bool:
    """Whether the report says anything new."""
    if known is None or is_other_process(known, request):
        return True
    return any(getattr(known, name) != getattr(request, name) for name in _REPORTED)


def must_write(
    known: Facts | None, request: RenewRequest, *, now: datetime, permit_life: timedelta | None, report_every: timedelta
) -> bool:
    """Whether this renewal has to reach the table.

    `permit_life` is that of the permit about to be given, None for none. What is stored about an executor's last
    permit must outlive every permit given without a write, so it is written ahead and only when it falls short.
    """
    if known is None or changed(known, request):
        return True
    if permit_life is not None and (known.permit_until is None or known.permit_until < now + permit_life):
        return True
    return known.last_seen_at + report_every < now


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
