"""The sentences of risk alerts."""

from datetime import date
from decimal import Decimal

import pytest

from backend.risk.crossings import Crossing
from backend.risk.model import Figure
from backend.risk.wording import crossing_facts, crossing_message, trades_link
from contract.risk import RiskRule
from contract.scope import GLOBAL, Scope

DAY = date(2026, 3, 10)


def crossing(rule: RiskRule, scope: str, value: str, limit: str) -> Crossing:
    return Crossing(rule, Scope.parse(scope), Figure(Decimal(value), 200, 3), Decimal(limit), (GLOBAL,))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (
            crossing(RiskRule.DAILY_LOSS, "strategy:arbitrage", "12.4056", "10.0"),
            "Strategy arbitrage lost 12.41 ETH today, over the limit of 10 ETH.",
        ),
        (
            crossing(RiskRule.POSITION, "global", "1112", "100"),
            "The platform holds 1,112.00 ETH, over the limit of 100 ETH.",
        ),
        (
            crossing(RiskRule.GAS_SPEND, "chain:base", "0.0123", "0.01"),
            "Chain base spent 0.012300 ETH on gas today, over the limit of 0.01 ETH.",
        ),
        (
            crossing(RiskRule.SUCCESS_RATE, "wallet:0xab", "0.7125", "0.8"),
            "Wallet 0xab succeeded in 71.2 % of its last 200 trades, under the minimum of 80 %.",
        ),
    ],
)
def test_one_plain_sentence_with_value_and_limit(given: Crossing, expected: str) -> None:
    assert crossing_message(given) == expected


def test_facts_are_exact() -> None:
    facts = crossing_facts(crossing(RiskRule.DAILY_LOSS, "chain:base", "12.405600000000000000", "10"), DAY)
    assert facts == {
        "value": "12.4056",
        "limit": "10",
        "unit": "ETH",
        "samples": "203",
        "unknown": "3",
        "day": "2026-03-10",
        "also_over_the_limit": "global",
    }


def test_a_link_is_a_filter_of_the_list_of_trades() -> None:
    link = trades_link(Scope.parse("chain:base"), DAY, DAY)
    assert link.id == "chain=base&from=2026-03-10T00:00:00Z&to=2026-03-11T00:00:00Z"
