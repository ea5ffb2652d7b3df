"""The simulated floor: the same seed gives the same trades, a calm day stays calm, each crisis does what it says."""

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from contract.transactions import TransactionIn
from simulator.fleet import CHAINS, DEFAULT_EXECUTORS, fleet
from simulator.floor import HISTORY_S, Floor, history
from simulator.post import row
from simulator.scenario import BEGINS_S, Influence, Scenario
from simulator.trader import LARGEST_CALM_USD, Trade

POSITION_LIMIT_ETH, DAILY_LOSS_LIMIT_ETH, SUCCESS_LIMIT, GAS_LIMIT_ETH = Decimal(100), Decimal(10), 0.8, Decimal(5)
WINDOW, MIN_SAMPLES = 200, 20


def play(
    seconds: float,
    *,
    seed: int = 1,
    scenario: Scenario = Scenario.NONE,
    speed: float = 1.0,
    count: int = DEFAULT_EXECUTORS,
) -> tuple[Floor, list[tuple[float, Trade]]]:
    floor = Floor(fleet(seed, count), seed=seed, run=0, scenario=scenario, speed=speed)
    sent: list[tuple[float, Trade]] = []

    def send(index: int, at: float, bent: Influence) -> bool:
        sent.append((at, floor.traders[index].trade(at, bent)))
        return True

    floor.advance(seconds, send)
    return floor, sent


def scopes(trade: Trade) -> tuple[str, ...]:
    strategy = (f"strategy:{trade.strategy}",) if trade.strategy else ()
    return ("global", f"chain:{trade.chain}", f"wallet:{trade.wallet}", *strategy)


def lowest_success_rates(trades: Iterable[Trade]) -> Mapping[str, float]:
    windows: dict[str, deque[bool]] = defaultdict(lambda: deque(maxlen=WINDOW))
    lowest: dict[str, float] = {}
    for trade in trades:
        for scope in scopes(trade):
            window = windows[scope]
            window.append(trade.status == "success")
            if len(window) >= MIN_SAMPLES:
                lowest[scope] = min(lowest.get(scope, 1.0), sum(window) / len(window))
    return lowest


def lowest_results(trades: Iterable[Trade]) -> Mapping[str, Decimal]:
    running: dict[str, Decimal] = defaultdict(Decimal)
    lowest: dict[str, Decimal] = defaultdict(Decimal)
    for trade in trades:
        for scope in scopes(trade):
            running[scope] += trade.profit_eth
            lowest[scope] = min(lowest[scope], running[scope])
    return lowest


def past(seed: int = 1) -> list[Trade]:
    return [trade for _, trade in history(fleet(seed), seed=seed)]


@pytest.mark.parametrize("scenario", list(Scenario))
def test_the_same_seed_and_speed_give_the_same_trades_in_the_same_order(scenario: Scenario) -> None:
    assert play(400, seed=7, scenario=scenario)[1] == play(400, seed=7, scenario=scenario)[1]
    assert play(400, seed=7, scenario=scenario)[1] != play(400, seed=8, scenario=scenario)[1]
    assert past(7) == past(7)


def test_how_often_the_floor_is_looked_at_changes_nothing() -> None:
    _, at_once = play(300, scenario=Scenario.DRAWDOWN)
    floor = Floor(fleet(1), seed=1, run=0, scenario=Scenario.DRAWDOWN, speed=1.0)
    sent: list[tuple[float, Trade]] = []

    def send(index: int, at: float, bent: Influence) -> bool:
        sent.append((at, floor.traders[index].trade(at, bent)))
        return True

    for tick in range(1, 1_201):
        floor.advance(tick / 4, send)
    assert sent == at_once


def test_a_pause_delays_an_executor_and_skips_none_of_its_trades() -> None:
    _, free = play(600)
    floor = Floor(fleet(1), seed=1, run=0, scenario=Scenario.NONE, speed=1.0)
    sent: list[Trade] = []

    def send(index: int, at: float, bent: Influence) -> bool:
        if 100 < at < 200:
            return False
        sent.append(floor.traders[index].trade(at, bent))
        return True

    for tick in range(1, 1_201):
        floor.advance(tick / 2, send)
    for spec in fleet(1):
        mine = [trade.profit_eth for trade in sent if trade.executor == spec.name]
        unheld = [trade.profit_eth for _, trade in free if trade.executor == spec.name]
        assert mine == unheld[: len(mine)]
    assert len(sent) < len(free)


def test_no_hash_comes_twice_not_even_in_another_run() -> None:
    specs = fleet(1)
    hashes = [trade.tx_hash for _, trade in play(3_600)[1]] + [trade.tx_hash for trade in past()]
    other = Floor(specs, seed=1, run=1, scenario=Scenario.NONE, speed=1.0)
    hashes += [trader.trade(0.0, Influence()).tx_hash for trader in other.traders]
    assert len(set(hashes)) == len(hashes)


@pytest.mark.parametrize(("seed", "hours"), [(1, 24), (2, 4), (3, 4)])
def test_a_calm_day_stays_within_every_limit_in_every_scope(seed: int, hours: int) -> None:
    floor, live = play(hours * 3_600, seed=seed)
    trades = past(seed) + [trade for _, trade in live]
    assert min(lowest_success_rates(trades).values()) > SUCCESS_LIMIT + 0.05
    assert min(lowest_results(trades).values()) > Decimal("-0.01")
    assert sum(trade.gas_cost_eth for trade in trades) < GAS_LIMIT_ETH / 2
    assert max(trade.volume_usd for trade in trades) <= LARGEST_CALM_USD
    assert 40 < sum(trader.position_eth for trader in floor.traders) < 70


def test_without_any_history_the_first_minutes_are_calm_too() -> None:
    for seed in range(1, 9):
        trades = [trade for _, trade in play(1_800, seed=seed)[1]]
        assert min(lowest_success_rates(trades).values()) > SUCCESS_LIMIT


def test_positions_stay_between_forty_and_seventy_all_day() -> None:
    floor = Floor(fleet(1), seed=1, run=0, scenario=Scenario.NONE, speed=1.0)
    totals: list[Decimal] = []

    def send(index: int, at: float, bent: Influence) -> bool:
        floor.traders[index].trade(at, bent)
        totals.append(sum((trader.position_eth for trader in floor.traders), Decimal(0)))
        return True

    floor.advance(4 * 3_600, send)
    assert min(totals) > 40
    assert max(totals) < 70
    assert len(set(totals)) > len(totals) * 3 / 4


@pytest.mark.parametrize("speed", [1.0, 8.0])
def test_a_day_at_any_speed_costs_about_the_same_gas(speed: float) -> None:
    _, live = play(3_600 * speed, speed=speed)
    gas = sum((trade.gas_cost_eth for _, trade in live), Decimal(0))
    assert gas * 24 < GAS_LIMIT_ETH


def test_floors_of_other_sizes_hold_the_same_and_trade_everywhere() -> None:
    for count in (1, 5, 16, 60):
        specs = fleet(3, count)
        assert len({spec.name for spec in specs}) == len({spec.wallet for spec in specs}) == count
        assert Decimal(40) < sum(spec.base_position_eth for spec in specs) < Decimal(70)
    assert {spec.chain.name for spec in fleet(3, 6)} == set(CHAINS)


def test_the_drawdown_costs_one_chain_its_limit_within_about_a_minute_and_nothing_else() -> None:
    for seed in (1, 2, 3):
        running: dict[str, Decimal] = defaultdict(Decimal)
        crossed: dict[str, float] = {}
        for at, trade in play(200, seed=seed, scenario=Scenario.DRAWDOWN)[1]:
            for scope in scopes(trade):
                running[scope] += trade.profit_eth
                if running[scope] < -DAILY_LOSS_LIMIT_ETH:
                    crossed.setdefault(scope, at)
        first = min(crossed, key=lambda scope: crossed[scope])
        assert first == "chain:arbitrum"
        assert BEGINS_S + 30 < crossed[first] < BEGINS_S + 100
        assert all(at > crossed[first] + 5 for scope, at in crossed.items() if scope != first)


def test_the_gas_spike_uses_up_the_days_gas_and_loses_no_more_than_that() -> None:
    for seed in (1, 2):
        trades = [trade for _, trade in play(300, seed=seed, scenario=Scenario.GAS_SPIKE)[1]]
        assert sum(trade.gas_cost_eth for trade in trades if trade.chain == "ethereum") > GAS_LIMIT_ETH
        assert min(lowest_results(trades).values()) > -DAILY_LOSS_LIMIT_ETH


def test_a_stolen_key_shows_in_one_wallet() -> None:
    floor, live = play(200, scenario=Scenario.KEY_COMPROMISE)
    stolen = [trade for _, trade in live if trade.label == "unknown transfer"]
    assert len({trade.wallet for trade in stolen}) == len({trade.to_address for trade in stolen}) == 1
    rates = lowest_success_rates(past() + [trade for _, trade in live])
    low = {scope for scope, rate in rates.items() if rate < SUCCESS_LIMIT}
    assert f"wallet:{stolen[0].wallet}" in low
    assert low <= {"global", "chain:base", f"wallet:{stolen[0].wallet}"}
    [victim] = [trader for trader in floor.traders if trader.spec.wallet == stolen[0].wallet]
    assert victim.position_eth < victim.spec.base_position_eth / 2


def test_every_row_is_one_the_api_takes() -> None:
    now = datetime(2026, 11, 21, 12, tzinfo=UTC)
    for scenario in Scenario:
        for _, trade in play(120, scenario=scenario)[1]:
            taken = TransactionIn.model_validate(row(trade, now))
            assert (taken.profit_eth, taken.gas_cost_eth) == (trade.profit_eth, trade.gas_cost_eth)
            assert taken.source == "simulator"
            assert (taken.block_number or 0) > 0


def test_the_history_is_oldest_first_and_ends_before_the_start() -> None:
    ages = [age for age, _ in history(fleet(1), seed=1)]
    assert ages == sorted(ages, reverse=True)
    assert ages[0] < HISTORY_S
    assert ages[-1] > 0
    assert 3_000 < len(ages) < 10_000
