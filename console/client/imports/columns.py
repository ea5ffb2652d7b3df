"""Owns which column of a file is which field of a trade: spellings in common use, explicit choices, constants. Pure."""

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from console.client.imports.values import Converter, scaled, to_amount, to_integer, to_text, to_time, to_time_utc
from contract.transactions import TransactionIn

TIME_UTC: Final = "block_time_utc"
"""Name under which a column of times without zone can be declared to be UTC."""
REQUIRED: Final = tuple(name for name, field in TransactionIn.model_fields.items() if field.is_required())

_WEI: Final = -18
_GWEI: Final = -9

_SPELLINGS: Final[dict[str, tuple[str, ...]]] = {
    "chain": ("network", "blockchain", "chain_name"),
    "chain_id": ("chainid", "network_id"),
    "block_number": ("block", "block_num", "blocknumber", "evt_block_number", "block_height"),
    "block_time": ("block_timestamp", "blocktime", "timestamp", "time", "datetime", "evt_block_time", "executed_at"),
    "tx_hash": ("hash", "txhash", "txn_hash", "transaction_hash", "transaction", "tx", "evt_tx_hash", "signature"),
    "wallet": ("wallet_address", "from", "from_address", "tx_from", "sender", "eoa", "searcher", "searcher_eoa"),
    "to_address": ("to", "tx_to", "contract", "contract_address", "recipient", "searcher_contract"),
    "strategy": ("strategy_name", "mev_type"),
    "label": ("note", "comment", "memo"),
    "source": ("data_source", "origin"),
    "executor": ("bot", "bot_name", "executor_name"),
    "status": ("tx_status", "outcome"),
    "profit_usd": ("profit_in_usd", "pnl_usd"),
    "gas_cost_usd": ("gas_usd", "gas_fee_usd", "tx_fee_usd", "cost_usd"),
    "profit_eth": ("profit_in_eth", "pnl_eth"),
    "gas_cost_eth": ("gas_eth", "gas_fee_eth", "tx_fee_eth"),
    "paid_to_builder_eth": ("builder_payment_eth", "coinbase_transfer_eth", "bribe_eth", "coinbase_tip_eth"),
    "volume_usd": ("amount_usd", "notional_usd", "trade_volume_usd"),
    "eth_usd": ("eth_price_usd", "eth_price", "ethusd"),
}
_KINDS: Final[dict[str, Converter]] = {
    **dict.fromkeys(("block_number", "chain_id"), to_integer),
    **{name: to_amount for name in TransactionIn.model_fields if name.endswith(("_usd", "_eth"))},
    "block_time": to_time,
}


class Field(NamedTuple):
    """What a column is read as."""

    name: str
    convert: Converter


class ColumnError(Exception):
    """The columns of a file do not make trades: one sentence, and what to do."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def _known() -> dict[str, Field]:
    known = {TIME_UTC: Field("block_time", to_time_utc)}
    for name in TransactionIn.model_fields:
        for spelling in (name, *_SPELLINGS.get(name, ())):
            known[spelling] = Field(name, _KINDS.get(name, to_text))
            if name == "block_time":
                known[f"{spelling}_utc"] = Field(name, to_time_utc)
            if name.endswith("_eth"):
                stem = spelling.removesuffix("_eth")
                known[f"{stem}_wei"] = Field(name, scaled(_WEI))
                known[f"{stem}_gwei"] = Field(name, scaled(_GWEI))
    return known


KNOWN: Final = _known()
_CAMEL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_BETWEEN_WORDS: Final = re.compile(r"[^0-9a-z]+")


def normalised(column: str) -> str:
    """A column's name as it is looked up: `Block Time (UTC)` and `blockTimeUtc` are both `block_time_utc`."""
    return _BETWEEN_WORDS.sub("_", _CAMEL.sub("_", column).lower()).strip("_")


@dataclass(frozen=True)
class Choices:
    """What the person said about columns, checked."""

    columns: Mapping[str, Field]
    constants: Mapping[str, object]


def choices(columns: Mapping[str, str], constants: Mapping[str, str]) -> Choices:
    """Check explicit choices (column → field) and constants (field → value).

    Raises:
        ColumnError: a field that does not exist, or a constant that is none.
    """
    chosen = {column: _field(name) for column, name in columns.items()}
    fixed: dict[str, object] = {}
    for name, value in constants.items():
        field = _field(name)
        try:
            fixed[field.name] = field.convert(value)
        except ValueError as error:
            raise ColumnError(f"{name} {error}.", "Give it like --set chain=ethereum.") from error
    return Choices(chosen, fixed)


def _field(name: str) -> Field:
    field = KNOWN.get(name)
    if field is not None and (name in TransactionIn.model_fields or name == TIME_UTC or name.endswith("wei")):
        return field
    names = [*TransactionIn.model_fields, TIME_UTC]
    close = difflib.get_close_matches(name, names, 1)
    hint = f"Did you mean {close[0]}?" if close else f"Fields: {', '.join(names)}."
    raise ColumnError(f"There is no field {name!r}.", hint)


@dataclass(frozen=True)
class Plan:
    """How the cells of one header become fields: positions, fields, and what is left out."""

    steps: tuple[tuple[int, str, Converter], ...]
    ignored: tuple[str, ...]


def plan(header: Sequence[str], chosen: Choices, *, all_columns: bool = True) -> Plan:
    """Assign each column of a header.

    `all_columns=False` is for formats in which each line names its own columns: what is missing is that line's fault.

    Raises:
        ColumnError: a required field has no column, two columns claim one field, or a chosen column is not there.
    """
    if all_columns:
        _refuse_unless_present(header, chosen)
    taken = {field.name for field in chosen.columns.values()} | set(chosen.constants)
    steps: list[tuple[int, str, Converter]] = []
    ignored: list[str] = []
    claimed: dict[str, str] = {}
    for position, column in enumerate(header):
        field = chosen.columns.get(column)
        if field is None:
            field = KNOWN.get(normalised(column))
            if field is None or field.name in taken:
                ignored.append(column)
                continue
        if field.name in claimed:
            raise ColumnError(
                f"Both {claimed[field.name]!r} and {column!r} would be {field.name}.",
                f"Choose one: --map {column}={field.name}",
            )
        claimed[field.name] = column
        steps.append((position, field.name, field.convert))
    if all_columns:
        _refuse_unless_complete(header, {*claimed, *chosen.constants}, ignored)
    return Plan(tuple(steps), tuple(ignored))


def _refuse_unless_present(header: Sequence[str], chosen: Choices) -> None:
    for column in chosen.columns:
        if column not in header:
            raise ColumnError(f"The file has no column {column!r}.", f"Its columns: {', '.join(header)}.")


def _refuse_unless_complete(header: Sequence[str], have: set[str], ignored: Sequence[str]) -> None:
    missing = [name for name in REQUIRED if name not in have]
    if not missing:
        return
    unknown = f" Not understood: {', '.join(ignored)}." if ignored else f" It has: {', '.join(header)}."
    example = ignored[0] if ignored else "COLUMN"
    raise ColumnError(
        f"No column for {', '.join(missing)}.{unknown}",
        f"Say which: --map {example}={missing[0]}, or give one value for all lines: --set {missing[0]}=VALUE",
    )
