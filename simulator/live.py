"""Runs the floor against a backend: every send asks its gate first, every trade is reported. Owns clock and threads."""

import logging
import math
import os
import socket
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

from gate import Decision, Fate, Gate, Reason
from simulator.chains import Chains
from simulator.fleet import fleet
from simulator.floor import Floor, history
from simulator.post import MAX_ROWS_PER_BATCH, Poster, row
from simulator.scenario import Conduct, Influence, Scenario, influence
from simulator.serving import Serving
from simulator.trader import Trade, Trader

log = logging.getLogger(__name__)
TICK_S = 0.25
READY_LIMIT_S = 10.0
"""Longest wait for everybody's first permit; a floor that is partly frozen starts with the rest."""
LONGEST_STEP_S = 5.0
"""A machine that slept does not make up for what it missed."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says."""

    url: str
    token: str
    seed: int
    speed: float
    scenario: Scenario
    executors: int
    chains_file: Path | None = None
    """Where the chains are kept; None for chains that end with the process."""
    nodes: socket.socket | None = None
    """A listening socket at which the chains' nodes answer; None for chains that nobody else can look at."""


class LiveExecutor:
    """One executor behind its gate. Sends under a lock, so that a halt is confirmed between two sends, never in one."""

    def __init__(self, options: Options, trader: Trader, poster: Poster, chains: Chains) -> None:
        spec = trader.spec
        self.trader = trader
        self._poster = poster
        self._chains = chains
        self._conduct = Conduct.OBEDIENT
        self._in_flight: deque[str] = deque()
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
        self.gate.report(nonces={spec.wallet: chains.next_nonce(spec) - 1})
        self._report()

    def _has_stopped(self) -> bool:
        with self._lock:  # a send that had begun is over now, and the gate lets no other begin
            if self._conduct is Conduct.WEDGED:
                return False
            return not (self.trader.quotes and self.gate.look().cancel_resting)

    def send(self, now_s: float, bent: Influence) -> bool:
        """Send one transaction if the gate allows it, and have it reported."""
        with self._lock:
            if self._conduct in {Conduct.SILENT, Conduct.WEDGED}:
                return False
            decision, reducing = self._asked(now_s)
            defies = not decision and self._conduct is Conduct.DEFIANT
            if not decision and not defies:
                return False
            trade = self.trader.trade(now_s, bent, reducing=reducing)
            self._send(trade, hidden=defies)
            sent_at = datetime.now(UTC)
        if not defies:
            self._poster.add([row(trade, sent_at)])
        return True

    def _asked(self, now_s: float) -> tuple[Decision, bool]:
        """What the gate says of the largest trade that may come, and whether only of an order that reduces."""
        largest = self.trader.largest_trade_eth(now_s)
        decision = self.gate.may_send(amount_eth=largest)
        if decision.reason is Reason.HELD_TO_REDUCING:
            return self.gate.may_send(reduces=True, amount_eth=largest), True
        return decision, False

    def _send(self, trade: Trade, *, hidden: bool) -> None:
        """Send to the chain; whoever hides it tells neither its gate nor anybody."""
        spec = self.trader.spec
        nonce = self._chains.next_nonce(spec)
        if not hidden:
            self.gate.sent(trade.tx_hash, nonce=nonce)
            self._in_flight.append(trade.tx_hash)
        self._chains.send(spec, trade.tx_hash, nonce, succeeds=trade.status == "success")

    def go_on(self, conduct: Conduct) -> None:
        """Do what is due between sends, as somebody of this conduct does."""
        with self._lock:
            if conduct is Conduct.SILENT and self._conduct is not Conduct.SILENT:
                self.gate.close(wait=False)
            self._conduct = conduct
            if conduct not in {Conduct.SILENT, Conduct.WEDGED}:
                self._report()

    def _report(self) -> None:
        """Say what is held and what has landed; a held executor takes its quotes back, which is always allowed."""
        while self._in_flight and self._chains.has_landed(self.trader.spec, self._in_flight[0]):
            self.gate.settled(self._in_flight.popleft(), Fate.LANDED)
        decision = self.gate.may_send()
        if decision.held and self.gate.may_send(cancels=True):
            self.trader.quotes -= self.trader.quotes if decision.cancel_resting else math.ceil(self.trader.quotes / 3)
        self.gate.report(position_eth=self.trader.position_eth, open_orders=self.trader.quotes)


def run(options: Options, stop: threading.Event) -> None:
    """Trade until told to stop, or until the process that started this one is gone.

    Raises:
        OSError: the file of the chains cannot be used.
    """
    threading.Thread(target=_end_with_parent, args=(os.getppid(), stop), name="parent", daemon=True).start()
    specs = fleet(options.seed, options.executors)
    with ExitStack() as stack:
        chains = Chains(specs, kept_in=options.chains_file)
        stack.callback(chains.close)
        if options.nodes is not None:
            stack.enter_context(Serving(chains, options.nodes))
        poster = Poster(options.url, options.token, stop)
        fresh = _tell_history(poster, _history_rows(options))
        # on a database that has seen this seed before, the same trades would be no news: begin a run of another name
        run_number = 0 if fresh else int(time.time())
        floor = Floor(specs, seed=options.seed, run=run_number, scenario=options.scenario, speed=options.speed)
        executors = [LiveExecutor(options, trader, poster, chains) for trader in floor.traders]
        poster.start()
        for executor in executors:
            stack.callback(executor.gate.close, wait=False)
            executor.gate.start()
        _wait_until_ready(executors, stop)
        log.info("trading with %d executors, seed %d, run %d", len(executors), options.seed, run_number)
        _trade(options, floor, executors, stop)


def _trade(options: Options, floor: Floor, executors: list[LiveExecutor], stop: threading.Event) -> None:
    for now_s in _moments(options.speed, stop):
        floor.advance(now_s, lambda index, at, bent: executors[index].send(at, bent))
        for executor in executors:
            executor.go_on(influence(options.scenario, executor.trader.spec, now_s).conduct)


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
