"""Wire types of executors: the trading bots that run under permits."""

from contract.base import Money, UtcDatetime, Wire
from contract.states import ExecutorState as ExecutorState  # noqa: PLC0414  part of what this module offers


class Executor(Wire):
    """One trading bot as the backend knows it."""

    name: str
    chain: str
    strategy: str
    wallet: str
    state: ExecutorState
    position_eth: Money | None = None
    open_orders: int | None = None
    in_flight: int | None = None
    last_order_seq: int = 0
    last_seen_at: UtcDatetime | None = None
    registered_at: UtcDatetime
