"""Wire types of executors: the trading bots that run under permits."""

from enum import StrEnum

from contract.base import Money, UtcDatetime, Wire


class ExecutorState(StrEnum):
    """Halted, wedged and dead are told apart: silence is never shown as halted."""

    TRADING = "trading"
    REDUCING = "reducing"
    FROZEN = "frozen"
    """It has acknowledged a hold."""
    FREEZING = "freezing"
    """A hold covers it and it has not answered yet."""
    SILENT = "silent"
    """Not heard of for longer than a permit lives; it holds no valid permit."""


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
