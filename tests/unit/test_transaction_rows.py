"""From a trade as reported to the values that are stored."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from backend.policy.load import load_policy
from backend.transactions.rows import CONTENT, RowRefusedError, Rules, stored_values
from contract.transactions import TransactionIn

NOW = datetime(2026, 3, 10, 12, 30, tzinfo=UTC)
RULES = Rules(now=NOW, outcome_of=load_policy("mev").transactions.outcome_of)


def row(**changes: Any) -> TransactionIn:
    usual: dict[str, Any] = {"chain": "arbitrum", "tx_hash": "0xAB", "block_time": NOW}
    return TransactionIn(**(usual | changes))


def test_names_are_written_one_way() -> None:
    values = stored_values(row(chain=" Arbitrum ", tx_hash="0XABcd", wallet="0xE47D", to_address="0xAb"), RULES)
    assert [values[name] for name in ("chain", "tx_hash", "wallet", "to_address")] == [
        "arbitrum",
        "0xabcd",
        "0xe47d",
        "0xab",
    ]


def test_base58_identifiers_keep_their_case() -> None:
    assert stored_values(row(tx_hash="5VERv8NMvzbJMEkV8xnrLkEaWRtSz9CosKDYjCJjBRnb"), RULES)["tx_hash"].startswith(
        "5VER"
    )


def test_blank_stays_blank() -> None:
    values = stored_values(row(), RULES)
    assert [name for name in CONTENT if values[name] == "0"] == []
    assert values["profit_eth"] is None
    assert values["outcome"] == "unknown"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"block_time": NOW + timedelta(minutes=3)}, "lies in the future"),
        ({"block_time": datetime(1970, 1, 1, tzinfo=UTC)}, "older than any chain"),
        ({"profit_eth": Decimal("1e18")}, "wrong unit"),
        ({"profit_eth": Decimal("-1e900000")}, "wrong unit"),
        ({"profit_usd": Decimal("1e16")}, "wrong unit"),
        ({"gas_cost_eth": Decimal(-1)}, "gas_cost_eth is negative"),
        ({"volume_usd": Decimal(-1)}, "volume_usd is negative"),
        ({"eth_usd": Decimal(0)}, "no price"),
        ({"chain": "  "}, "chain is blank"),
        ({"tx_hash": "\t"}, "tx_hash is blank"),
        ({"label": "a\x00b"}, "label contains a NUL"),
        ({"block_number": 1 << 63}, "block_number"),
    ],
)
def test_what_cannot_be_true_is_refused_with_a_reason(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(RowRefusedError, match=reason):
        stored_values(row(**changes), RULES)


@pytest.mark.parametrize("amount", ["NaN", "Infinity", "-Infinity", "1,5", ""])
def test_what_is_no_number_never_gets_here(amount: str) -> None:
    with pytest.raises(ValidationError):
        row(profit_eth=amount)


def test_text_that_utf8_cannot_write_never_gets_here() -> None:
    with pytest.raises(ValidationError):
        row(label="\ud800")


def test_a_small_clock_skew_is_forgiven() -> None:
    assert stored_values(row(block_time=NOW + timedelta(minutes=2)), RULES)


def test_times_are_stored_in_utc() -> None:
    there = timezone(timedelta(hours=5, minutes=30))
    assert stored_values(row(block_time=NOW.astimezone(there)), RULES)["block_time"] == NOW.isoformat()


@given(st.decimals(min_value=-(10**9), max_value=10**9, places=23))
def test_amounts_are_exact_to_the_wei(amount: Decimal) -> None:
    stored = stored_values(row(profit_eth=amount), RULES)["profit_eth"]
    assert abs(Decimal(stored) - amount) <= Decimal("5e-19")
    assert "e" not in stored.lower()
