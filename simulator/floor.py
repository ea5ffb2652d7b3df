"""The simulated floor: whose turn it is next, and the history it starts with. Knows no clock, no network, no gate."""

import heapq
from collections.abc import Callable, Iterator

from simulator.fleet import Spec
from simulator.scenario import BEGINS_S, CALM, Influence, Scenario, influence
from simulator.trader import Trade, Trader

ASK_AGAIN_S = 0.5
"""How soon, in simulated time, an executor that may not send asks again."""
HISTORY_S = 12 * 3600.0
"""How far back the history reaches: half of the sparklines."""
HISTORY_EVERY = 4.0
"""The history's trades come so much more slowly than live ones: a few thousand rows are enough for a curve."""

Send = Callable[[int, float, Influence], bool]
"""Try to send for an executor at a moment of simulated time; False if it may not."""


class Floor:
    """Every executor's next turn, in simulated seconds since the start."""

    def __init__(self, specs: tuple[Spec, ...], *, seed: int, run: int, scenario: Scenario, speed: float) -> None:
        scale = 1.0 / max(1.0, speed)  # a floor in a hurry makes more and smaller trades: its days stay within limits
        self.traders = [Trader(spec, f"{seed}/{run}", scale=scale) for spec in specs]
        self._scenario = scenario
        self._turns = [(self._after(0.0, trader), index) for index, trader in enumerate(self.traders)]
        heapq.heapify(self._turns)

    def advance(self, until_s: float, send: Send) -> None:
        """Give everybody whose turn comes up to a moment the chance to send, in order of their turns."""
        while self._turns[0][0] <= until_s:
            at, index = heapq.heappop(self._turns)
            trader = self.traders[index]
            sent = send(index, at, influence(self._scenario, trader.spec, at))
            following = self._after(at, trader) if sent else until_s + ASK_AGAIN_S
            heapq.heappush(self._turns, (following, index))

    def _after(self, at: float, trader: Trader) -> float:
        following = at + trader.pause_s(influence(self._scenario, trader.spec, at))
        crisis = influence(self._scenario, trader.spec, BEGINS_S)
        if at < BEGINS_S <= following and crisis is not CALM:
            return BEGINS_S + trader.pause_s(crisis)
        return following


def history(specs: tuple[Spec, ...], *, seed: int) -> Iterator[tuple[float, Trade]]:
    """What the floor traded before it started, oldest first, each with its age in seconds. Calm throughout."""
    traders = [Trader(spec, f"{seed}/history") for spec in specs]
    turns = [(trader.pause_s(CALM) * HISTORY_EVERY, index) for index, trader in enumerate(traders)]
    heapq.heapify(turns)
    while turns[0][0] < HISTORY_S:
        at, index = heapq.heappop(turns)
        yield HISTORY_S - at, traders[index].trade(at, CALM)
        heapq.heappush(turns, (at + traders[index].pause_s(CALM) * HISTORY_EVERY, index))
