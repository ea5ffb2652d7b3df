"""Wire types between an executor's gate and the backend."""

from decimal import Decimal
from typing import Annotated

from pydantic import AfterValidator, Field

from contract.base import Money, Wire, WireRequest, storable
from contract.freeze import FreezeMode
from contract.scope import nameable

MAX_NAME_CHARS = 100
"""Same bound as a scope's name: a name must fit where a scope is typed."""

MAX_POSITION_ETH = Decimal(10) ** 20
"""What is stored exactly; a thousand times all ether there is."""
MAX_COUNT = 2**31 - 1
MAX_SEQUENCE = 2**63 - 1
"""Widths of the columns these are stored in."""
GateName = Annotated[
    str, Field(min_length=1, max_length=MAX_NAME_CHARS), AfterValidator(storable), AfterValidator(nameable)
]


class RenewRequest(WireRequest):
    """An executor asks for its next permit and says what it is doing."""

    executor: GateName
    chain: GateName
    strategy: GateName
    wallet: GateName
    boot_id: Annotated[str, Field(min_length=1, max_length=64), AfterValidator(storable)]
    """Random per process start: a restart is seen as one."""
    position_eth: Money | None = Field(default=None, gt=-MAX_POSITION_ETH, lt=MAX_POSITION_ETH)
    open_orders: int | None = Field(default=None, ge=0, le=MAX_COUNT)
    in_flight: int | None = Field(default=None, ge=0, le=MAX_COUNT)
    last_order_seq: int = Field(default=0, ge=0, le=MAX_SEQUENCE)
    halted_epoch: int = Field(default=0, ge=0, le=MAX_SEQUENCE)
    """The highest epoch whose holds this executor has obeyed: its acknowledgement, repeated until seen."""
    request_no: int = Field(default=0, ge=0, le=MAX_SEQUENCE)
    """Counts the requests of one process; the answer repeats it, so that an answer to another request is noticed."""

    @property
    def name(self) -> str:
        """The executor's name, as a place under scopes."""
        return self.executor


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
