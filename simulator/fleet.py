"""Who trades what, where: the chains, the strategies and the executors of the simulated floor. Pure data."""

import hashlib
from dataclasses import dataclass
from decimal import Decimal

DEFAULT_EXECUTORS = 16
MAX_EXECUTORS = 200
"""Each executor keeps one connection and one thread for its permits."""
TOTAL_POSITION_ETH = Decimal(55)
"""What the whole floor holds at rest: a little over half of the policy's 100 ETH."""


@dataclass(frozen=True, slots=True)
class Chain:
    """One chain as executors feel it. Amounts in ETH, times in seconds."""

    name: str
    chain_id: int
    block_s: float
    """At most one second, unlike ethereum's 12 and base's 2: three blocks after a halt are a matter of seconds."""
    first_block: int
    """Block number at the beginning of 1970, were the block time always the same."""
    gas_eth: float
    profit_eth: float
    """Median net profit of a good trade."""
    trade_every_s: float
    """Mean time between two trades of one executor."""


ETHEREUM = Chain("ethereum", 1, 1.0, -1_770_000_000, gas_eth=0.0010, profit_eth=0.004, trade_every_s=300.0)
ARBITRUM = Chain("arbitrum", 42161, 0.25, -6_800_000_000, gas_eth=0.000010, profit_eth=0.0003, trade_every_s=20.0)
BASE = Chain("base", 8453, 1.0, -1_750_000_000, gas_eth=0.000004, profit_eth=0.0003, trade_every_s=20.0)
ZKSYNC = Chain("zksync", 324, 1.0, -1_720_000_000, gas_eth=0.000020, profit_eth=0.0002, trade_every_s=25.0)
CHAINS = {chain.name: chain for chain in (ETHEREUM, ARBITRUM, BASE, ZKSYNC)}

ARBITRAGE, LIQUIDATION, BACKRUN, MARKET_MAKING = "arbitrage", "liquidation", "backrun", "market-making"

_PATTERN = (
    (ARBITRUM, ARBITRAGE),
    (ETHEREUM, ARBITRAGE),
    (BASE, MARKET_MAKING),
    (ARBITRUM, ARBITRAGE),
    (ETHEREUM, LIQUIDATION),
    (ZKSYNC, ARBITRAGE),
    (BASE, ARBITRAGE),
    (ARBITRUM, LIQUIDATION),
    (ETHEREUM, BACKRUN),
    (ARBITRUM, ARBITRAGE),
    (BASE, LIQUIDATION),
    (ETHEREUM, MARKET_MAKING),
    (ZKSYNC, MARKET_MAKING),
    (ARBITRUM, MARKET_MAKING),
    (BASE, BACKRUN),
    (ETHEREUM, ARBITRAGE),
)
"""The order in which executors are added, so that a small floor has every chain too."""
_SHORT = {ARBITRAGE: "arb", LIQUIDATION: "liq", BACKRUN: "backrun", MARKET_MAKING: "mm"}


@dataclass(frozen=True, slots=True)
class Spec:
    """One executor."""

    name: str
    chain: Chain
    strategy: str
    wallet: str
    base_position_eth: Decimal
    """Where its position returns to."""


def address(*parts: object) -> str:
    """An address that looks like one and depends on nothing but these words."""
    return "0x" + digest(*parts)[:40]


def digest(*parts: object) -> str:
    """64 hexadecimal digits that depend on nothing but these words."""
    return hashlib.sha256("/".join(map(str, parts)).encode()).hexdigest()


def fleet(seed: int, count: int = DEFAULT_EXECUTORS) -> tuple[Spec, ...]:
    """The executors of a floor, the same for the same seed and count."""
    made: list[Spec] = []
    used: dict[str, int] = {}
    for index in range(count):
        chain, strategy = _PATTERN[index % len(_PATTERN)]
        stem = f"{chain.name}-{_SHORT[strategy]}"
        used[stem] = used.get(stem, 0) + 1
        name = f"{stem}-{used[stem]}"
        share = Decimal(80 + int(digest(seed, name, "share")[:4], 16) % 41) / 100
        position = (TOTAL_POSITION_ETH / count * share).quantize(Decimal("0.0001"))
        made.append(Spec(name, chain, strategy, address(seed, name, "wallet"), position))
    return tuple(made)
