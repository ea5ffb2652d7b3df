"""Past days that newly stored trades pushed over a limit."""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal

from backend.risk.model import Part, Place
from backend.risk.past import MAX_SCOPES, past_crossings
from contract.risk import RiskRule
from tests.unit.test_risk_measures import LIMITS

D = Decimal
DAY, NEXT = date(2023, 8, 8), date(2023, 8, 9)
Days = Mapping[date, Mapping[RiskRule, list[Part]]]


def gas(chain: str, wallet: str, eth: str) -> Part:
    return Part(Place(chain, "cex_dex", wallet), D(eth), 1)


def days(of: dict[date, list[Part]]) -> Days:
    """Gas on some days; no losses, nothing decided."""
    return {
        day: {RiskRule.GAS_SPEND: parts, RiskRule.DAILY_LOSS: [], RiskRule.SUCCESS_RATE: []}
        for day, parts in of.items()
    }


def test_the_broadest_scope_speaks_and_names_the_worst_day() -> None:
    added = days({DAY: [gas("ethereum", "0xa", "31.7")], NEXT: [gas("ethereum", "0xa", "6")]})
    [found] = past_crossings(added, added, LIMITS)
    assert (found.rule, str(found.scope)) == (RiskRule.GAS_SPEND, "global")
    assert (found.days, found.first_day, found.last_day) == (2, DAY, NEXT)
    assert (found.worst_day, found.worst, found.limit) == (DAY, D("31.7"), D(5))


def test_a_day_that_was_over_its_limit_before_is_no_news() -> None:
    now = days({DAY: [gas("ethereum", "0xa", "9"), gas("ethereum", "0xb", "1")]})
    assert past_crossings(now, days({DAY: [gas("ethereum", "0xb", "1")]}), LIMITS) == []


def test_the_trade_that_tips_a_day_over_is_news() -> None:
    now = days({DAY: [gas("ethereum", "0xa", "4"), gas("ethereum", "0xb", "2")]})
    [found] = past_crossings(now, days({DAY: [gas("ethereum", "0xb", "2")]}), LIMITS)
    assert (str(found.scope), found.worst) == ("global", D(6))


def test_a_low_success_rate_of_a_day_needs_samples() -> None:
    def outcomes(won: int, of: int) -> Days:
        part = Part(Place("ethereum", "bundle", "0xa"), D(won), of)
        return {DAY: {RiskRule.GAS_SPEND: [], RiskRule.DAILY_LOSS: [], RiskRule.SUCCESS_RATE: [part]}}

    assert past_crossings(outcomes(0, 19), outcomes(0, 19), LIMITS) == []
    [found] = past_crossings(outcomes(5, 20), outcomes(5, 20), LIMITS)
    assert found.worst == D("0.25")


def test_what_one_import_may_raise_is_bounded() -> None:
    """Losses of ten chains, each hidden overall by the profit of another."""
    added: dict[date, list[Part]] = {}
    for number in range(2 * MAX_SCOPES):
        day = date(2023, 1, 1 + number)
        added[day] = [
            Part(Place(f"chain{number}", f"strategy{number}", f"0x{number}"), D(-11), 1),
            Part(Place("base", "sandwich", "0xf"), D(20), 1),
        ]
    of_days: Days = {
        day: {RiskRule.GAS_SPEND: [], RiskRule.DAILY_LOSS: parts, RiskRule.SUCCESS_RATE: []}
        for day, parts in added.items()
    }
    found = past_crossings(of_days, of_days, LIMITS)
    assert len(found) == MAX_SCOPES
    assert found[-1].left_out == MAX_SCOPES
    assert {one.scope.kind.value for one in found} == {"chain"}
