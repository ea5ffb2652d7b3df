"""Runs the floor against a backend: every send asks its gate first, every trade is reported. Owns clock and threads."""

import logging
import math
import os
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

from gate import Fate, Gate, Reason
from simulator.fleet import fleet
from simulator.floor import Floor, history
from simulator.post import MAX_ROWS_PER_BATCH, Poster, row
from simulator.scenario import Influence, Scenario
from simulator.trader import Trader

log = logging.getLogger(__name__)
TICK_S = 0.25
READY_LIMIT_S = 10.0
"""Longest wait for everybody's first permit; a floor that is partly frozen starts with the rest."""
LONGEST_STEP_S = 5.0
"""A machine that slept does not make up for what it missed."""
LONGEST_SETTLE_S = 12.0


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says."""

    url: str
    token: str
    seed: int
    speed: float
    scenario: Scenario
    executors: int


class LiveExecutor:
    """One executor behind its gate. Sends under a lock, so that a halt is confirmed between two sends, never in one."""

    def __init__(self, options: Options, trader: Trader, poster: Poster) -> None:
        spec = trader.spec
        self.trader = trader
        self._poster = poster
        self._settle_s = min(LONGEST_SETTLE_S, max(1.0, spec.chain.block_s)) / max(1.0, options.speed)
        self._in_flight: deque[tuple[float, str]] = deque()
        self._lock = threading.Lock()
        self.gate = Gate(
            options.url,
            options.token,
            executor=spec.name,
            chain=spec.chain.name,
            strategy=spec.strategy,
            wallet=spec.wallet,
            on_halt=self._has_stopped,
        )
        self.report(time.monotonic())

    def _has_stopped(self) -> bool:
        with self._lock:  # a send that had begun is over now, and the gate lets no other begin
            return True

    def send(self, now_s: float, influence: Influence) -> bool:
        """Send one transaction if the gate allows it, and have it reported."""
        with self._lock:
            largest = self.trader.largest_trade_eth(now_s)
            decision = self.gate.may_send(amount_eth=largest)
            reducing = decision.reason is Reason.HELD_TO_REDUCING
            if reducing:
                decision = self.gate.may_send(reduces=True, amount_eth=largest)
            if not decision:
                return False
            trade = self.trader.trade(now_s, influence, reducing=reducing)
            self.gate.sent(trade.tx_hash)
            sent_at = datetime.now(UTC)
            self._in_flight.append((time.monotonic(), trade.tx_hash))
        self._poster.add([row(trade, sent_at)])
        return True

    def report(self, now: float) -> None:
        """Say what is held and what has landed; a held executor takes its quotes back, which is always allowed."""
        while self._in_flight and self._in_flight[0][0] + self._settle_s < now:
            self.gate.settled(self._in_flight.popleft()[1], Fate.LANDED)
        decision = self.gate.may_send()
        if decision.held and self.gate.may_send(cancels=True):
            self.trader.quotes -= self.trader.quotes if decision.cancel_resting else math.ceil(self.trader.quotes / 3)
        self.gate.report(position_eth=self.trader.position_eth, open_orders=self.trader.quotes)


def run(options: Options, stop: threading.Event) -> None:
    """Trade until told to stop, or until the process that started this one is gone."""
    threading.Thread(target=_end_with_parent, args=(os.getppid(), stop), name="parent", daemon=True).start()
    specs = fleet(options.seed, options.executors)
    poster = Poster(options.url, options.token, stop)
    fresh = _tell_history(poster, _history_rows(options))
    # on a database that has seen this seed before, the same trades would be no news: begin a run of another name
    run_number = 0 if fresh else int(time.time())
    floor = Floor(specs, seed=options.seed, run=run_number, scenario=options.scenario, speed=options.speed)
    executors = [LiveExecutor(options, trader, poster) for trader in floor.traders]
    poster.start()
    try:
        for executor in executors:
            executor.gate.start()
        _wait_until_ready(executors, stop)
        log.info("trading with %d executors, seed %d, run %d", len(executors), options.seed, run_number)
        for now_s in _moments(options.speed, stop):
            floor.advance(now_s, lambda index, at, bent: executors[index].send(at, bent))
            for executor in executors:
                executor.report(time.monotonic())
    finally:
        for executor in executors:
            executor.gate.close(wait=False)


def _history_rows(options: Options) -> Iterator[dict[str, Any]]:
    now = datetime.now(UTC)
    for age_s, trade in history(fleet(options.seed, options.executors), seed=options.seed):
        yield row(trade, now - timedelta(seconds=age_s))


def _tell_history(poster: Poster, rows: Iterator[dict[str, Any]]) -> bool:
    """Report what was traded before the start, once per database; False if it is there already."""
    while batch := list(islice(rows, MAX_ROWS_PER_BATCH)):
        answer = poster.deliver(batch)
        if answer is None:
            return False
        new, repeated = answer
        if new == 0 and not repeated:
            return False
    return True


def _wait_until_ready(executors: list[LiveExecutor], stop: threading.Event) -> None:
    deadline = time.monotonic() + READY_LIMIT_S
    while time.monotonic() < deadline and not stop.is_set():
        if all(executor.gate.may_send().reason is not Reason.NO_PERMIT for executor in executors):
            return
        stop.wait(TICK_S / 5)


def _end_with_parent(parent: int, stop: threading.Event) -> None:
    while not stop.wait(TICK_S):
        if os.getppid() != parent:
            stop.set()


def _moments(speed: float, stop: threading.Event) -> Iterator[float]:
    """Simulated seconds since the start, a few times a real second, until it is time to end."""
    now_s, before = 0.0, time.monotonic()
    while not stop.wait(TICK_S):
        now = time.monotonic()
        now_s += min(LONGEST_STEP_S, now - before) * speed
        before = now
        yield now_s
