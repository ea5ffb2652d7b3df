"""The sums the database keeps and reads, against the same sums worked out trade by trade."""

import random
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from backend.risk.gather import limits_of
from contract.risk import RiskRule
from contract.scope import Scope, ScopeKind
from contract.transactions import TransactionIn
from tests.support.app import started_app
from tests.support.clocks import SetClock
from tests.support.trades import assess, store, trade

D = Decimal
ONE_WEI = D("1e-18")


def some_trades(seed: int, now: datetime, count: int) -> Iterator[TransactionIn]:
    """Trades of the last two days with every kind of gap; no two at the same instant."""
    dice = random.Random(seed)  # noqa: S311  repeatable, not secret
    for number in range(count):
        yield trade(
            now - timedelta(seconds=dice.randrange(1, 170_000), microseconds=number),
            chain=dice.choice(["arbitrum", "base", "zksync"]),
            strategy=dice.choice(["arbitrage", "liquidation", ""]),
            wallet=dice.choice(["0xaa", "0xbb", "0xcc", ""]),
            status=dice.choice(["success", "success", "reverted", "pending"]),
            profit_eth=dice.choice([None, D(dice.randrange(-10_000, 9_000)) / 1000]),
            profit_usd=dice.choice([None, D(dice.randrange(-900, 900))]),
            gas_cost_eth=dice.choice([None, D(dice.randrange(0, 900)) / 10_000]),
            gas_cost_usd=None,
            eth_usd=dice.choice([None, D(3000)]),
        )


def net(one: TransactionIn) -> Decimal | None:
    """What a trade earned in ETH, as decision 0006 defines it."""
    if one.profit_eth is not None:
        return one.profit_eth
    return None if one.profit_usd is None or one.eth_usd is None else one.profit_usd / one.eth_usd


def under(scope: Scope, trades: Iterable[TransactionIn]) -> list[TransactionIn]:
    return [
        one for one in trades if scope.covers(chain=one.chain, strategy=one.strategy, wallet=one.wallet, executor="")
    ]


def expected(rule: RiskRule, trades: list[TransactionIn], now: datetime, window: int) -> tuple[Decimal | None, int]:
    """The figure and its samples, worked out one trade at a time."""
    if rule is RiskRule.SUCCESS_RATE:
        since = now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=24)
        decided = [one for one in trades if one.status != "pending" and one.block_time >= since]
        newest = sorted(decided, key=lambda one: one.block_time)[-window:]
        won = sum(one.status == "success" for one in newest)
        return (D(won) / len(newest) if len(newest) >= 20 else None), len(newest)
    today = [one for one in trades if one.block_time.date() == now.date()]
    values = [net(one) if rule is RiskRule.DAILY_LOSS else one.gas_cost_eth for one in today]
    known = [value for value in values if value is not None]
    total = sum(known, D(0))
    if not known:
        return None, len(today)
    return (max(D(0), -total) if rule is RiskRule.DAILY_LOSS else total), len(today)


@pytest.mark.parametrize(("seed", "count"), [(1, 40), (2, 300), (3, 1_200)])
async def test_measures_equal_the_sums_of_the_trades(database_url: str, seed: int, count: int) -> None:
    time = SetClock()
    trades = list(some_trades(seed, time.at, count))
    async with started_app(database_url, clock=time.clock) as app:
        for start in range(0, count, 500):
            await store(app, *trades[start : start + 500])
        snapshot = await assess(app)
        window = limits_of(app.runtime.policy).window
    found = [one for one in snapshot.measures if one.rule is not RiskRule.POSITION]
    assert {one.scope.kind for one in found} == set(ScopeKind) - {ScopeKind.EXECUTOR, ScopeKind.INTERSECTION}
    for one in found:
        value, samples = expected(one.rule, under(one.scope, trades), time.at, window)
        assert one.samples == samples, one
        if value is None or one.value is None:
            assert one.value is value, one
        else:
            assert abs(one.value - value) <= samples * ONE_WEI, one
