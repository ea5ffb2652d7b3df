"""From a trade as a platform reports it to the values that are stored. Pure; must never touch the database.

Nothing is guessed: a blank amount stays blank, an amount that cannot be true is refused with the reason.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from contract.transactions import Outcome, TransactionIn

WEI = Decimal("1e-18")
"""Smallest part of an ether, and the finest part of a dollar that is kept."""
CLOCK_SKEW = timedelta(minutes=2)
"""How far a platform's clock may run ahead of ours before a block time counts as being in the future."""
FIRST_BLOCK_EVER = datetime(2009, 1, 3, tzinfo=UTC)
"""No chain has an older block."""
MAX_ETH = Decimal(1_000_000_000)
"""More than all ether there is: an amount beyond it is in the wrong unit (wei, gwei)."""
MAX_USD = Decimal(1_000_000_000_000_000)
"""More than all money there is."""
_HEX = re.compile(r"0[xX][0-9a-fA-F]+")
_ETH_AMOUNTS = ("profit_eth", "gas_cost_eth", "paid_to_builder_eth")
_USD_AMOUNTS = ("profit_usd", "gas_cost_usd", "volume_usd", "eth_usd")
_NEVER_NEGATIVE = ("gas_cost_usd", "gas_cost_eth", "paid_to_builder_eth", "volume_usd", "eth_usd")
_TEXTS = ("chain", "tx_hash", "source", "wallet", "to_address", "strategy", "label", "executor", "status")
CONTENT = ("block_time", "block_number", "chain_id", *_TEXTS[2:], *_ETH_AMOUNTS, *_USD_AMOUNTS)
"""What two reports of one trade must agree in to count as the same; chain and hash are its key."""


CANARY_SOURCE = "recovery-canary"
"""Source of the trades that recovery drills store to see whether trades are taken. No sum, no rule and no feed counts
them, so nobody else may name it: losses could be hidden behind it."""


class RowRefusedError(ValueError):
    """One line is not taken; the text is the reason for the person who sent it."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What a row is judged by, besides itself."""

    now: datetime
    outcome_of: Callable[[str], Outcome]
    canaries: bool = False
    """Whether these are the canaries of a recovery drill."""


def hexadecimal_in_lower_case(text: str) -> str:
    """0x… identifiers are the same in any case; base58 ones (Solana) are not, and stay as they are."""
    return text.lower() if _HEX.fullmatch(text) else text


def stored_values(row: TransactionIn, rules: Rules) -> dict[str, Any]:
    """The values of one row as JSON scalars; amounts as exact text, rounded half to even at 18 decimals.

    Raises:
        RowRefusedError: the row cannot be true, or cannot be stored.
    """
    values: dict[str, Any] = {name: _text(name, getattr(row, name)) for name in _TEXTS}
    values["chain"] = values["chain"].lower()
    for name in ("tx_hash", "wallet", "to_address"):
        values[name] = hexadecimal_in_lower_case(values[name])
    for name in ("chain", "tx_hash"):
        if not values[name]:
            raise RowRefusedError(f"{name} is blank")
    if (values["source"] == CANARY_SOURCE) is not rules.canaries:
        raise RowRefusedError(f"the source {CANARY_SOURCE} is that of recovery drills alone")
    values["block_time"] = _block_time(row.block_time, rules.now).isoformat()
    for name in ("block_number", "chain_id"):
        values[name] = _integer(name, getattr(row, name))
    for name in _ETH_AMOUNTS:
        values[name] = _amount(name, getattr(row, name), MAX_ETH)
    for name in _USD_AMOUNTS:
        values[name] = _amount(name, getattr(row, name), MAX_USD)
    if row.eth_usd == 0:
        raise RowRefusedError("eth_usd is 0, which is no price")
    values["outcome"] = rules.outcome_of(values["status"]).value
    return values


def _text(name: str, value: str) -> str:
    if "\x00" in value:
        raise RowRefusedError(f"{name} contains a NUL character")
    return value.strip()


def _block_time(value: datetime, now: datetime) -> datetime:
    if value > now + CLOCK_SKEW:
        raise RowRefusedError(f"block_time {value:%Y-%m-%d %H:%M:%S} lies in the future")
    if value < FIRST_BLOCK_EVER:
        raise RowRefusedError(f"block_time {value:%Y-%m-%d} is older than any chain")
    return value.astimezone(UTC)


def _integer(name: str, value: int | None) -> int | None:
    if value is not None and value >= 1 << 63:
        raise RowRefusedError(f"{name} is larger than any chain's")
    return value


def _amount(name: str, value: Decimal | None, limit: Decimal) -> str | None:
    if value is None:
        return None
    if abs(value) > limit:
        raise RowRefusedError(f"{name} is beyond ±{limit:,f}: is it in the wrong unit?")
    if value < 0 and name in _NEVER_NEGATIVE:
        raise RowRefusedError(f"{name} is negative")
    return format(value.quantize(WEI, ROUND_HALF_EVEN), "f")
