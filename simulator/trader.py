"""How one executor trades: pure and seeded. Draws are floats; an amount is whole gwei from the moment it is drawn."""

import random
from dataclasses import dataclass
from decimal import ROUND_UP, Decimal

from simulator.fleet import ETHEREUM, MARKET_MAKING, Spec, address, digest
from simulator.scenario import Influence

GWEI = Decimal(10) ** -9
FEWEST_GOOD_BETWEEN_FAILURES, MOST_GOOD_BETWEEN_FAILURES = 8, 18
"""One trade in about fourteen fails, and never two close together: a calm floor stays clear of the 80 % limit."""
LOSING_SHARE = 0.07
POSITION_SWING = Decimal("0.25")
"""A position stays within a quarter of where it rests, so that the floor stays between 40 and 70 ETH."""
LARGEST_CALM_USD = Decimal(9_000)
"""Below the 10,000 USD from which a trade has to be reported."""
QUOTES_HELD = (6, 12)
_BUILDER_SHARE = (0.4, 0.8)


@dataclass(frozen=True, slots=True)
class Trade:
    """One sent transaction, without its time: that is stamped when it is sent."""

    executor: str
    seq: int
    chain: str
    chain_id: int
    tx_hash: str
    wallet: str
    to_address: str
    strategy: str
    label: str
    status: str
    profit_eth: Decimal
    gas_cost_eth: Decimal
    paid_to_builder_eth: Decimal | None
    volume_usd: Decimal
    eth_usd: Decimal


def _gwei(amount_eth: float) -> Decimal:
    return Decimal(round(amount_eth * 1e9)) * GWEI


def eth_usd(now_s: float) -> Decimal:
    """A price that wanders, the same for everybody at the same moment of simulated time."""
    slow = random.Random(int(now_s // 600))  # noqa: S311  a simulation
    return Decimal(f"{3_100 + slow.uniform(-25, 25):.2f}")


class Trader:
    """One executor's state between trades. The n-th trade depends on the seed and the trades before it, on no clock."""

    def __init__(self, spec: Spec, seed: str, *, scale: float = 1.0) -> None:
        self.spec = spec
        self._seed = seed
        self._scale = scale
        self._rng = random.Random(f"{seed}/{spec.name}")  # noqa: S311  a simulation
        self._good_left = self._rng.randint(FEWEST_GOOD_BETWEEN_FAILURES, MOST_GOOD_BETWEEN_FAILURES)
        self.seq = 0
        self._rests_at_eth = spec.base_position_eth
        self.position_eth = spec.base_position_eth
        self.quotes = self._rng.randint(*QUOTES_HELD) if spec.strategy == MARKET_MAKING else 0

    def pause_s(self, influence: Influence) -> float:
        """How long until this executor wants to trade again."""
        mean = influence.trade_every_s or self.spec.chain.trade_every_s
        return mean * min(3.0, max(0.3, self._rng.expovariate(1.0)))

    def largest_trade_eth(self, now_s: float) -> Decimal:
        """What one transaction moves at most (ETH), rounded up: what the gate is asked about before it is made."""
        return (LARGEST_CALM_USD / eth_usd(now_s)).quantize(GWEI, ROUND_UP)

    def trade(self, now_s: float, influence: Influence, *, reducing: bool = False) -> Trade:
        """Send one transaction at a moment of simulated time."""
        self.seq += 1
        gas = self._gas(influence)
        failed = self._fails(influence)
        profit = -gas if failed else self._profit(influence)
        if not failed:
            self._move(profit, influence, reducing=reducing)
        if self.spec.strategy == MARKET_MAKING:
            self.quotes = self._rng.randint(*QUOTES_HELD)
        return Trade(
            executor=self.spec.name,
            seq=self.seq,
            chain=self.spec.chain.name,
            chain_id=self.spec.chain.chain_id,
            tx_hash="0x" + digest(self._seed, self.spec.name, self.seq),
            wallet=self.spec.wallet,
            to_address=self._to(influence),
            strategy="" if influence.stolen else self.spec.strategy,
            label="reduce position" if reducing else influence.label,
            status="failed" if failed else "success",
            profit_eth=profit.quantize(GWEI),
            gas_cost_eth=gas.quantize(GWEI),
            paid_to_builder_eth=self._tip(profit) if self.spec.chain is ETHEREUM and not failed else None,
            volume_usd=self._volume(),
            eth_usd=eth_usd(now_s),
        )

    def _gas(self, influence: Influence) -> Decimal:
        return _gwei(self.spec.chain.gas_eth * influence.gas_factor * self._scale * self._rng.lognormvariate(0.0, 0.25))

    def _fails(self, influence: Influence) -> bool:
        if influence.fail_share is not None:
            return self._rng.random() < influence.fail_share
        self._good_left -= 1
        if self._good_left > 0:
            return False
        self._good_left = self._rng.randint(FEWEST_GOOD_BETWEEN_FAILURES, MOST_GOOD_BETWEEN_FAILURES)
        return True

    def _profit(self, influence: Influence) -> Decimal:
        if influence.profit_eth is not None:
            return _gwei(influence.profit_eth * self._rng.lognormvariate(0.0, 0.3))
        good = self.spec.chain.profit_eth * self._scale * min(8.0, self._rng.lognormvariate(0.0, 0.9))
        return _gwei(-0.4 * good if self._rng.random() < LOSING_SHARE else good)

    def _move(self, profit: Decimal, influence: Influence, *, reducing: bool) -> None:
        if influence.stolen:  # what is gone does not come back
            self.position_eth = self._rests_at_eth = max(Decimal(0), self.position_eth + profit)
            return
        base = self._rests_at_eth
        if reducing:
            self.position_eth = (self.position_eth * Decimal("0.9")).quantize(GWEI)
            return
        drift = (base - self.position_eth) / 4 + base * _gwei(self._rng.gauss(0.0, 0.05))
        swing = base * POSITION_SWING
        self.position_eth = min(base + swing, max(base - swing, self.position_eth + drift)).quantize(GWEI)

    def _to(self, influence: Influence) -> str:
        if influence.stolen:
            return address(self._seed, "thief")
        return address(self._seed, self.spec.chain.name, "venue", self._rng.randrange(6))

    def _tip(self, profit: Decimal) -> Decimal:
        return (max(Decimal(0), profit) * _gwei(self._rng.uniform(*_BUILDER_SHARE))).quantize(GWEI)

    def _volume(self) -> Decimal:
        return min(LARGEST_CALM_USD, Decimal(round(1_200 * self._rng.lognormvariate(0.0, 0.8))))
