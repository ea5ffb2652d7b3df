"""Wire types of second sources: what somebody other than an executor saw of it while it should be halted."""

from enum import StrEnum

from pydantic import Field

from contract.base import UtcDatetime, Wire, WireRequest
from contract.gate import MAX_COUNT, MAX_SEQUENCE, GateName, InFlightId
from contract.gate import MAX_ID_CHARS as MAX_ID_CHARS  # noqa: PLC0414  part of what this module offers
from contract.states import Fate as Fate  # noqa: PLC0414  part of what this module offers

MAX_OBSERVATIONS = 500
"""Wallets or executors of one look; a watcher with more sends several."""


class Looked(StrEnum):
    """What a second source can look at."""

    NONCE = "nonce"
    """How many transactions a wallet has on its chain, and in the pending pool."""
    OPEN_ORDERS = "open_orders"
    """How many orders of an executor rest at its venue."""
    PAUSED = "paused"
    """Whether a contract is paused."""


class Observation(Wire):
    """What was seen of one wallet, one executor or one contract."""

    looked_at: Looked
    chain: GateName
    subject: GateName
    """The wallet's or the contract's address, or the executor's name."""
    value: int = Field(ge=0, le=MAX_SEQUENCE)
    """Transactions on the chain, orders at the venue, or 1 for a contract that is paused and 0 for one that is not."""
    pending: int | None = Field(default=None, ge=0, le=MAX_SEQUENCE)
    """Transactions on the chain and in the pool together; None where no pool can be seen."""
    unchanged_blocks: int | None = Field(default=None, ge=0, le=MAX_COUNT)
    """For how many blocks the source has seen this value; None where nothing counts blocks."""
    block: int | None = Field(default=None, ge=0, le=MAX_SEQUENCE)
    """The block at which it was seen; None where nothing counts blocks."""


class ObservedFate(Wire):
    """How something in flight has ended, as a second source sees it."""

    id: InFlightId
    fate: Fate


class ObservationRequest(WireRequest):
    """What a second source saw in one look."""

    observations: list[Observation] = Field(default=[], max_length=MAX_OBSERVATIONS)
    fates: list[ObservedFate] = Field(default=[], max_length=MAX_OBSERVATIONS)


class ToWatch(Wire):
    """What second sources should look at now, because a hold covers it."""

    wallets: list["WatchedWallet"]
    contracts: list["WatchedContract"] = []
    """Contracts that are said to be paused."""
    executors: list[str]
    in_flight: list[InFlightId]
    as_of: UtcDatetime


class WatchedWallet(Wire):
    """One wallet on one chain."""

    chain: str
    wallet: str


class WatchedContract(Wire):
    """One contract on one chain."""

    chain: str
    contract: str


class Observed(Wire):
    """How much of a look concerned a hold in force; the rest was not kept."""

    observations: int
    fates: int
