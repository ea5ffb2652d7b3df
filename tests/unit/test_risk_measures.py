"""The figures of risk against their limits."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.risk.measures import (
    HISTORY_HOURS,
    MAX_LISTED,
    Inputs,
    crosses,
    displayed,
    figure,
    is_back,
    listed,
    measure_all,
    projected_hit,
    rolled,
    state,
    used,
)
from backend.risk.model import Figure, Limits, Part, Place, by_scope
from contract.risk import MeasureState, RiskRule
from contract.scope import GLOBAL, Scope, ScopeKind

D = Decimal
NOW = datetime(2026, 3, 10, 12, 30, tzinfo=UTC)
LIMITS = Limits(
    overall={
        RiskRule.POSITION: D(100),
        RiskRule.DAILY_LOSS: D(10),
        RiskRule.SUCCESS_RATE: D("0.8"),
        RiskRule.GAS_SPEND: D(5),
    },
    special={(RiskRule.DAILY_LOSS, Scope.parse("chain:zksync")): D(2)},
    near_fraction=D("0.8"),
    clear_margin=D("0.02"),
    max_unknown_fraction=D("0.5"),
    window=200,
    min_samples=20,
)
PLACE = Place("arbitrum", "arbitrage", "0xaa")
amounts = st.decimals(min_value=-1000, max_value=1000, places=6)
parts = st.lists(
    st.builds(
        Part,
        place=st.builds(
            Place,
            chain=st.sampled_from(["arbitrum", "zksync"]),
            strategy=st.sampled_from(["arbitrage", "liquidation", ""]),
            wallet=st.sampled_from(["0xaa", "0xbb", ""]),
        ),
        amount=amounts,
        known=st.integers(0, 5),
        unknown=st.integers(0, 5),
    ),
    max_size=12,
)


@given(parts)
def test_figures_follow_their_definitions(given_parts: list[Part]) -> None:
    total = sum((part.amount for part in given_parts), D(0))
    known = sum(part.known for part in given_parts)
    loss = figure(RiskRule.DAILY_LOSS, given_parts, LIMITS)
    gas = figure(RiskRule.GAS_SPEND, given_parts, LIMITS)
    assert (loss.known, loss.unknown) == (known, sum(part.unknown for part in given_parts))
    if known:
        assert loss.value == max(D(0), -total)
        assert gas.value == total
    else:
        assert loss.value is None
        assert gas.value is None


@given(parts)
def test_every_part_counts_once_in_each_scope_that_covers_it(given_parts: list[Part]) -> None:
    scopes = by_scope(given_parts)
    for scope, found in scopes.items():
        assert found == [part for part in given_parts if part.place.under([scope])]
    assert len(scopes.get(GLOBAL, [])) == len(given_parts)


def test_a_blank_name_is_no_scope() -> None:
    assert list(by_scope([Part(Place("arbitrum", "", ""), D(1), 1)])) == [GLOBAL, Scope.parse("chain:arbitrum")]


def test_success_rate_needs_enough_samples() -> None:
    assert figure(RiskRule.SUCCESS_RATE, [Part(PLACE, D(0), 19)], LIMITS).value is None
    assert figure(RiskRule.SUCCESS_RATE, [Part(PLACE, D(15), 20)], LIMITS).value == D("0.75")


@pytest.mark.parametrize(
    ("rule", "value", "expected"),
    [
        (RiskRule.DAILY_LOSS, "10", MeasureState.NEAR),  # at the limit is not past it
        (RiskRule.DAILY_LOSS, "10.000000000000000001", MeasureState.CROSSED),
        (RiskRule.DAILY_LOSS, "8", MeasureState.NEAR),
        (RiskRule.DAILY_LOSS, "7.99", MeasureState.OK),
        (RiskRule.SUCCESS_RATE, "0.8", MeasureState.NEAR),
        (RiskRule.SUCCESS_RATE, "0.799", MeasureState.CROSSED),
        (RiskRule.SUCCESS_RATE, "0.84", MeasureState.NEAR),  # four fifths of the allowed fifth are used up
        (RiskRule.SUCCESS_RATE, "0.85", MeasureState.OK),
    ],
)
def test_state_against_the_limit(rule: RiskRule, value: str, expected: MeasureState) -> None:
    assert state(rule, Figure(D(value), 100, 0), LIMITS.overall[rule], LIMITS) is expected


def test_unknown_is_never_ok() -> None:
    limit = LIMITS.overall[RiskRule.DAILY_LOSS]
    assert state(RiskRule.DAILY_LOSS, Figure(None, 0, 7), limit, LIMITS) is MeasureState.UNKNOWN
    assert state(RiskRule.DAILY_LOSS, Figure(D(1), 4, 6), limit, LIMITS) is MeasureState.UNKNOWN
    assert state(RiskRule.DAILY_LOSS, Figure(D(1), 6, 4), limit, LIMITS) is MeasureState.OK
    assert state(RiskRule.DAILY_LOSS, Figure(D(11), 1, 99), limit, LIMITS) is MeasureState.CROSSED


def test_used_share() -> None:
    assert used(RiskRule.GAS_SPEND, D("1.9"), D(5)) == D("0.3800")
    assert used(RiskRule.SUCCESS_RATE, D("0.913"), D("0.8")) == D("0.8762")
    assert used(RiskRule.SUCCESS_RATE, D(0), D("0.8")) is None
    assert used(RiskRule.POSITION, None, D(100)) is None


@given(amounts, st.sampled_from(list(RiskRule)))
def test_a_value_never_crosses_and_is_back_at_once(value: Decimal, rule: RiskRule) -> None:
    limit = LIMITS.overall[rule]
    assert not (crosses(rule, value, limit) and is_back(rule, value, limit, LIMITS.clear_margin))


def test_back_needs_the_margin_and_knowledge() -> None:
    assert not is_back(RiskRule.POSITION, D("98.01"), D(100), D("0.02"))
    assert is_back(RiskRule.POSITION, D(98), D(100), D("0.02"))
    assert not is_back(RiskRule.SUCCESS_RATE, D("0.81"), D("0.8"), D("0.02"))
    assert is_back(RiskRule.SUCCESS_RATE, D("0.816"), D("0.8"), D("0.02"))
    assert is_back(RiskRule.SUCCESS_RATE, D(1), D("0.99"), D("0.02"))
    assert not is_back(RiskRule.POSITION, None, D(100), D("0.02"))


def test_projection_at_the_pace_of_the_last_hour() -> None:
    assert projected_hit(D(7), D(10), D(2), NOW) == NOW + timedelta(minutes=90)
    assert projected_hit(D(7), D(10), D("0.1"), NOW) is None  # not before midnight
    assert projected_hit(D(7), D(10), D(0), NOW) is None
    assert projected_hit(D(7), D(10), D(-3), NOW) is None
    assert projected_hit(D(11), D(10), D(3), NOW) is None
    assert projected_hit(D(0), D(10), D("0.000000000000000001"), NOW) is None


values = st.one_of(st.none(), st.decimals(min_value=0, max_value=9, places=1))


@given(st.lists(values, max_size=30), st.integers(-2, 60), values)
def test_history_is_always_24_hours_and_ends_now(
    before: list[Decimal | None], hours: int, value: Decimal | None
) -> None:
    after = rolled(before, NOW, NOW + timedelta(hours=hours), value)
    assert len(after) == HISTORY_HOURS
    assert after[-1] == value
    unmeasured = max(0, min(hours, HISTORY_HOURS) - 1)
    assert after[HISTORY_HOURS - 1 - unmeasured : -1] == [None] * unmeasured


def test_history_of_the_same_hour_replaces_the_newest() -> None:
    assert rolled([D(1), D(2)], NOW, NOW + timedelta(minutes=20), D(3))[-2:] == [D(1), D(3)]
    assert rolled([D(1), D(2)], NOW, NOW + timedelta(minutes=40), D(3))[-3:] == [D(1), D(2), D(3)]


def _inputs(given_parts: list[Part]) -> Inputs:
    scopes = by_scope(given_parts)
    return Inputs(now=NOW, parts={rule: scopes for rule in RiskRule}, paces={}, history={})  # noqa: C420  shared is fine


def test_without_data_every_overall_measure_is_unknown() -> None:
    found = listed(measure_all(Inputs(now=NOW, parts={}, paces={}, history={}), LIMITS))
    assert [(one.rule, one.scope, one.state) for one in found] == [
        (rule, GLOBAL, MeasureState.UNKNOWN) for rule in RiskRule
    ]


def test_a_scope_may_have_a_limit_of_its_own() -> None:
    found = measure_all(_inputs([Part(Place("zksync", "s", "0x1"), D(-3), 30)]), LIMITS)
    assert found[RiskRule.DAILY_LOSS, Scope.parse("chain:zksync")].state is MeasureState.CROSSED
    assert found[RiskRule.DAILY_LOSS, GLOBAL].state is MeasureState.OK


def test_the_snapshot_is_bounded_and_keeps_the_worst() -> None:
    many = [Part(Place("arbitrum", "s", f"0x{number:040x}"), D(-number) / 100, 30) for number in range(300)]
    found = listed(measure_all(_inputs(many), LIMITS))
    wallets = {one.scope.name for one in found if one.scope.kind is ScopeKind.WALLET}
    assert len(wallets) <= MAX_LISTED[ScopeKind.WALLET] + 2 * 50
    assert f"0x{299:040x}" in wallets


def test_what_nobody_can_see_is_no_change() -> None:
    def shown(loss: str) -> object:
        return displayed(measure_all(_inputs([Part(PLACE, D(loss), 30)]), LIMITS).values())

    assert shown("-5.0010") == shown("-5.0011")
    assert shown("-5.0010") != shown("-5.1")
