"""Owns generated trades for measurements: the same from every run, spread over the hours before now. Sends nothing."""

import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

CHAINS: Final = ("ethereum", "arbitrum", "base", "zksync")
STRATEGIES: Final = ("arbitrage", "liquidation", "cex_dex_arbitrage", "sandwich", "backrun")
WALLETS: Final = 60
_SEED: Final = 20_230_808


def trades(count: int, newest: datetime, spread: timedelta) -> Iterator[dict[str, str | int | None]]:
    """Believable trades, oldest first; a tenth fail, a tenth do not state their profit."""
    dice = random.Random(_SEED)  # noqa: S311  repeatable, not secret
    for number in range(count):
        at = newest - spread + spread * (number / count)
        failed = dice.random() < 0.1
        profit = f"{dice.gauss(0.0004, 0.002):.18f}" if dice.random() >= 0.1 else None
        yield {
            "source": "bench",
            "chain": dice.choice(CHAINS),
            "chain_id": 1,
            "block_number": 19_000_000 + number,
            "block_time": at.isoformat(),
            "tx_hash": f"0x{dice.getrandbits(256):064x}",
            "wallet": f"0x{dice.randrange(WALLETS):040x}",
            "to_address": f"0x{dice.getrandbits(160):040x}",
            "strategy": dice.choice(STRATEGIES),
            "profit_eth": profit,
            "gas_cost_eth": f"{dice.uniform(0.000001, 0.00004):.18f}",
            "volume_usd": f"{dice.lognormvariate(6, 2):.6f}",
            "eth_usd": "3000.12",
            "status": "reverted" if failed else "success",
        }
