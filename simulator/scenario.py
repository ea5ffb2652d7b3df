"""The scripted crises: how each bends one executor's trading at one moment of simulated time. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from simulator.fleet import ARBITRAGE, ARBITRUM, BASE, ETHEREUM, LIQUIDATION, MARKET_MAKING, ZKSYNC, Spec

BEGINS_S = 20.0
"""Long enough to see the floor calm before it is not."""
BLEEDS_FOR_S, WINDFALL_FOR_S, SPIKES_FOR_S, THEFT_FOR_S = 90.0, 30.0, 150.0, 150.0
"""How long each act lasts if nobody freezes: long enough to cross a limit, short enough to end by itself."""
DEFIES_EVERY_S = 0.6
"""Mean time between two sends of a defiant bot: never three blocks without one."""


class Scenario(StrEnum):
    """What goes wrong."""

    NONE = "none"
    DRAWDOWN = "drawdown"
    GAS_SPIKE = "gas-spike"
    KEY_COMPROMISE = "key-compromise"
    UNRULY_BOTS = "unruly-bots"


class Conduct(StrEnum):
    """How a bot takes an order to halt. No bot knows of a scenario's name, and no chain of a bot's conduct."""

    OBEDIENT = "obedient"
    DEFIANT = "defiant"
    """Signs that it has halted, and goes on sending without a word to its gate."""
    SILENT = "silent"
    """Its process is gone."""
    WEDGED = "wedged"
    """Its own code hangs, while its gate still renews."""


@dataclass(frozen=True, slots=True)
class Influence:
    """How a trade differs from an ordinary one. Amounts in ETH, times in seconds."""

    trade_every_s: float | None = None
    profit_eth: float | None = None
    """Median net result instead of the chain's; below 0 for a loss."""
    gas_factor: float = 1.0
    fail_share: float | None = None
    label: str = ""
    stolen: bool = False
    """Sent with a stolen key: through the executor's own signer, to an address nobody knows."""
    conduct: Conduct = Conduct.OBEDIENT


CALM = Influence()


class _Script(Protocol):
    def __call__(self, spec: Spec, since_s: float) -> Influence: ...


def _drawdown(spec: Spec, since_s: float) -> Influence:
    """A stale price on arbitrum: its arbitrage bleeds, while liquidations and arbitrage elsewhere profit from the move.

    The windfall keeps the rest of the floor off its own limits, so that one chain crosses and not everything at once.
    """
    if spec.chain is ARBITRUM:
        if spec.strategy == ARBITRAGE and since_s < BLEEDS_FOR_S:
            return Influence(2.0, -0.16, fail_share=0.1, label="stale price")
        return CALM
    if spec.strategy in {ARBITRAGE, LIQUIDATION} and since_s < WINDFALL_FOR_S:
        return Influence(9.0, 0.8 if spec.strategy == LIQUIDATION else 0.4, fail_share=0.0, label="price move")
    return CALM


def _gas_spike(spec: Spec, since_s: float) -> Influence:
    """A crowded mint on ethereum: twenty times the gas price, and everybody bids again and again."""
    if spec.chain is ETHEREUM and since_s < SPIKES_FOR_S:
        return Influence(1.5, 0.004, gas_factor=20.0, fail_share=0.12, label="bidding war")
    return CALM


def _key_compromise(spec: Spec, since_s: float) -> Influence:
    """Somebody has the key of one wallet: transfers to an unknown address, most of them clumsy and failing."""
    victim = spec.chain is BASE and spec.strategy == MARKET_MAKING and spec.name.endswith("-1")
    if victim and since_s < THEFT_FOR_S:
        return Influence(1.5, -0.08, gas_factor=4.0, fail_share=0.65, label="unknown transfer", stolen=True)
    return CALM


_UNRULY = {
    (ARBITRUM.name, ARBITRAGE): Conduct.DEFIANT,
    (ETHEREUM.name, LIQUIDATION): Conduct.SILENT,
    (ZKSYNC.name, ARBITRAGE): Conduct.WEDGED,
}
"""Whose first executor it is."""


def _unruly_bots(spec: Spec, since_s: float) -> Influence:  # noqa: ARG001  what every script is told
    """One bot that lies, one that is gone, one that hangs, as long as the floor runs: what a freeze shows of each."""
    conduct = _UNRULY.get((spec.chain.name, spec.strategy)) if spec.name.endswith("-1") else None
    if conduct is None:
        return CALM
    return Influence(DEFIES_EVERY_S if conduct is Conduct.DEFIANT else None, conduct=conduct)


_SCRIPTS: Mapping[Scenario, _Script] = {
    Scenario.DRAWDOWN: _drawdown,
    Scenario.GAS_SPIKE: _gas_spike,
    Scenario.KEY_COMPROMISE: _key_compromise,
    Scenario.UNRULY_BOTS: _unruly_bots,
}


def influence(scenario: Scenario, spec: Spec, now_s: float) -> Influence:
    """What a scenario does to an executor at a moment of simulated time."""
    script = _SCRIPTS.get(scenario)
    return CALM if script is None or now_s < BEGINS_S else script(spec, now_s - BEGINS_S)
