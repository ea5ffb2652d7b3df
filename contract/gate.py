"""Wire types between an executor's gate and the backend."""

from pydantic import Field

from contract.base import Money, Wire, WireRequest
from contract.freeze import FreezeMode

MAX_NAME_CHARS = 100
"""Same bound as a scope's name: a name must fit where a scope is typed."""


class RenewRequest(WireRequest):
    """An executor asks for its next permit and says what it is doing."""

    executor: str = Field(min_length=1, max_length=MAX_NAME_CHARS)
    chain: str = Field(min_length=1, max_length=MAX_NAME_CHARS)
    strategy: str = Field(min_length=1, max_length=MAX_NAME_CHARS)
    wallet: str = Field(min_length=1, max_length=MAX_NAME_CHARS)
    boot_id: str = Field(min_length=1, max_length=64)
    """Random per process start: a restart is seen as one."""
    position_eth: Money | None = None
    open_orders: int | None = Field(default=None, ge=0)
    in_flight: int | None = Field(default=None, ge=0)
    last_order_seq: int = Field(default=0, ge=0)
    halted_epoch: int = Field(default=0, ge=0)
    """The highest epoch whose holds this executor has obeyed: its acknowledgement, repeated until seen."""
    request_no: int = Field(default=0, ge=0)
    """Counts the requests of one process; the answer repeats it, so that an answer to another request is noticed."""


class Hold(Wire):
    """One freeze that covers the executor."""

    freeze_ref: str
    epoch: int
    mode: FreezeMode


class Permit(Wire):
    """What the executor may do, for `ttl_ms` on its own monotonic clock from the moment it *sent* the request."""

    executor: str
    may_trade: bool
    mode: FreezeMode | None = None
    """None: trade freely. REDUCE_ONLY: only reduce. HALT: only cancel."""
    epoch: int
    ttl_ms: int
    renew_ms: int
    holds: list[Hold] = []
    request_no: int = 0
    """That of the request this answers."""
