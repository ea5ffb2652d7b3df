"""Wire types of trading transactions and their import."""

from enum import StrEnum

from pydantic import Field

from contract.base import Money, UtcDatetime, Wire, WireRequest

MAX_BATCH_ROWS = 5_000
"""Bounds one request's memory and its transaction's lock time."""


class Outcome(StrEnum):
    """Whether a transaction did what it was sent for; UNKNOWN stays out of the success rate."""

    SUCCESS = "success"
    FAILED = "failed"
    UNKNOWN = "unknown"


class TransactionIn(WireRequest):
    """One trade as a platform reports it. A blank amount stays blank: it is never read as 0."""

    chain: str = Field(min_length=1, max_length=100)
    tx_hash: str = Field(min_length=1, max_length=100)
    block_time: UtcDatetime
    block_number: int | None = Field(default=None, ge=0)
    chain_id: int | None = Field(default=None, ge=0)
    source: str = Field(default="", max_length=100)
    wallet: str = Field(default="", max_length=100)
    to_address: str = Field(default="", max_length=100)
    strategy: str = Field(default="", max_length=100)
    label: str = Field(default="", max_length=500)
    executor: str = Field(default="", max_length=100)
    profit_usd: Money | None = None
    gas_cost_usd: Money | None = None
    profit_eth: Money | None = None
    gas_cost_eth: Money | None = None
    paid_to_builder_eth: Money | None = None
    volume_usd: Money | None = None
    eth_usd: Money | None = None
    status: str = Field(default="", max_length=50)
    """As the source wrote it; `outcome` is derived by the policy's mapping."""


class Transaction(Wire):
    """One stored trade."""

    id: str
    chain: str
    tx_hash: str
    block_time: UtcDatetime
    block_number: int | None = None
    chain_id: int | None = None
    source: str = ""
    wallet: str = ""
    to_address: str = ""
    strategy: str = ""
    label: str = ""
    executor: str = ""
    profit_usd: Money | None = None
    gas_cost_usd: Money | None = None
    profit_eth: Money | None = None
    gas_cost_eth: Money | None = None
    paid_to_builder_eth: Money | None = None
    volume_usd: Money | None = None
    eth_usd: Money | None = None
    status: str = ""
    outcome: Outcome
    recorded_at: UtcDatetime


class BatchRequest(WireRequest):
    """A batch of trades: all are stored or none."""

    transactions: list[TransactionIn] = Field(min_length=1, max_length=MAX_BATCH_ROWS)


class RefusedRow(Wire):
    """One line that was not taken, and why."""

    line: int
    reason: str


class ImportResult(Wire):
    """What became of a batch or a file."""

    imported: int
    unchanged: int
    """Rows already stored with the same (chain, tx_hash)."""
    refused: list[RefusedRow] = []


class ImportOpened(Wire):
    """A file import under way: rows are staged and stored together at commit."""

    id: str


class ImportStart(WireRequest):
    """Open a file import."""

    filename: str = Field(max_length=500)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class StagedRow(WireRequest):
    """One parsed line of a file."""

    line: int = Field(ge=1)
    transaction: TransactionIn


class StageRequest(WireRequest):
    """A chunk of parsed lines."""

    rows: list[StagedRow] = Field(min_length=1, max_length=MAX_BATCH_ROWS)
