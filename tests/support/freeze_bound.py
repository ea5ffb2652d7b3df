"""Freezes bots whose network, clocks, backends and database misbehave, and counts the orders that came too late.

`python -m tests.support.freeze_bound RUNS SEED` does many; one run is one bot under one plan of mishaps.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import urlsplit

import httpx

from backend.policy.load import load_policy
from gate import Checker
from tests.support.backends import Backend
from tests.support.bound_network import Network, Venue, Weather, venue
from tests.support.freeze_outage import Ground, ground
from tests.support.people import EXECUTOR, OFFICER

TTL_S = load_policy("mev").permits.ttl_ms / 1000
BOUND_S = TTL_S * 1.05
"""Nothing may be sent later than this after a freeze was accepted."""
BOTS_A_ROUND = 6
PATIENCE_S = 60.0
AFTERWARDS_S = BOUND_S + 1.5
"""How long orders are counted after the freeze."""


class Mishap(StrEnum):
    """What befalls one bot."""

    NONE = "nothing"
    CUT = "partition"
    STOPPED = "SIGSTOP"
    DELAYED = "delayed answers"
    REPEATED = "replayed answers"
    SLOW = "clock 5 % slow"
    FAST = "clock 5 % fast"
    STEPPED = "wall clock steps of an hour"
    DEFIANT = "goes on with the permit it had"
    """In no plan by chance: shows that late orders are counted, and that the choke point turns them away."""


_BY_CHANCE: list[Mishap] = [mishap for mishap in Mishap if mishap is not Mishap.DEFIANT]


class Blow(StrEnum):
    """What befalls everybody."""

    NONE = "nothing"
    BACKEND_KILLED = "backend kill -9"
    BACKEND_RESTARTED = "backend restarted"
    DATABASE_KILLED = "PostgreSQL kill -9"
    DATABASE_HANGS = "PostgreSQL stands still"


@dataclass
class Bot:
    """One run."""

    name: str
    mishaps: set[Mishap]
    weather: Weather
    process: subprocess.Popen[bytes]
    early: bool
    """Whether its mishaps begin before the freeze."""


@dataclass
class Outcome:
    """What a run has shown."""

    bot: str
    mishaps: list[str]
    blow: str
    until_halt_s: float
    """From the accepted freeze to the last order the venue took; 0 if there was none after it."""
    late: int
    """Orders the venue took later than the bound."""
    late_at_the_door: int
    """Orders sent later than the bound that the checker turned away: of bots stopped between asking and sending."""
    before: int
    """Orders let in before the freeze: a bot that never traded shows nothing."""


@dataclass
class Plant:
    """Two backends on one database, the venue, and the network."""

    made: Ground
    network: Network
    market: Venue
    running: dict[str, tuple[ExitStack, Backend]] = field(default_factory=dict)

    def start(self, name: str) -> Backend:
        """Start a backend, or start it again."""
        stack = ExitStack()
        process = stack.enter_context(self.made.backend(name))
        self.running[name] = (stack, process)
        return process

    def port(self, name: str) -> int:
        """Where a backend listens now."""
        return urlsplit(self.running[name][1].url).port or 0

    def end(self, name: str, number: signal.Signals) -> None:
        """End a backend by a signal."""
        stack, process = self.running[name]
        process.send(number)
        process.wait()
        stack.close()

    def close(self) -> None:
        """End everything."""
        for stack, _ in self.running.values():
            stack.close()
        self.network.close()


def one_round(plant: Plant, number: int, seed: int, *, defiant: bool = False) -> list[Outcome]:
    """Run several bots under mishaps of their own and one blow, freeze them, count."""
    chance = random.Random(f"{seed}/{number}")  # noqa: S311  a plan of mishaps, no secret
    blow = Blow.NONE if defiant else chance.choice(list(Blow))
    bots = [
        _bot(plant, f"r{number}b{place}", f"round{number}", chance, defiant=defiant) for place in range(BOTS_A_ROUND)
    ]
    try:
        _wait(lambda: all(plant.market.trades(bot.name) for bot in bots), "every bot trades")
        early = [_befall(bot, chance, before=True) for bot in bots]
        struck_first = chance.random() < 0.5
        if struck_first:
            _strike(plant, blow)
        time.sleep(chance.uniform(0.0, 0.4))
        accepted_at = _freeze(plant, f"strategy:round{number}", f"{seed}-{number}")
        if not struck_first:
            _strike(plant, blow)
        late = [_befall(bot, chance, before=False) for bot in bots]
        time.sleep(chance.uniform(0.2, TTL_S))
        for heal in (*early, *late):
            heal()
        _mend(plant, blow, bots)
        time.sleep(max(0.0, accepted_at + AFTERWARDS_S - time.monotonic()))
        return [_judged(plant.market, bot, blow, accepted_at) for bot in bots]
    finally:
        for bot in bots:
            with suppress(ProcessLookupError):
                bot.process.send_signal(signal.SIGCONT)
            bot.process.kill()
            bot.process.wait()


def _bot(plant: Plant, name: str, strategy: str, chance: random.Random, *, defiant: bool) -> Bot:
    plan = [Mishap.DEFIANT] if defiant else chance.sample(_BY_CHANCE, k=chance.choice((1, 1, 2)))
    mishaps: set[Mishap] = set(plan)
    if {Mishap.SLOW, Mishap.FAST} <= mishaps:
        mishaps.discard(Mishap.FAST)
    weather = Weather(plant.port(chance.choice(sorted(plant.running))))
    config = {
        "url": plant.network.address(weather),
        "token": plant.made.tokens[EXECUTOR.name],
        "name": name,
        "strategy": strategy,
        "venue": plant.market.port,
        "rate": 0.95 if Mishap.SLOW in mishaps else 1.05 if Mishap.FAST in mishaps else 1.0,
        "defiant": defiant,
        "step_s": chance.choice((-3600.0, 3600.0)) if Mishap.STEPPED in mishaps else 0.0,
    }
    argv = [sys.executable, "-m", "tests.support.bound_bot", json.dumps(config)]
    log = (plant.made.directory / "bots.log").open("ab")
    with log:
        return Bot(name, mishaps, weather, subprocess.Popen(argv, stderr=log), early=chance.random() < 0.5)


def _befall(bot: Bot, chance: random.Random, *, before: bool) -> Callable[[], None]:
    """Begin a bot's mishaps, half of the plans before the freeze and half after it; returns what ends them."""
    if before != bot.early:
        return lambda: None
    if Mishap.CUT in bot.mishaps:
        bot.weather.cut = True
    if Mishap.DELAYED in bot.mishaps:
        bot.weather.delay_s = chance.uniform(0.1, 3.0)
    if Mishap.REPEATED in bot.mishaps:
        bot.weather.repeats = True
    if Mishap.STOPPED in bot.mishaps:
        bot.process.send_signal(signal.SIGSTOP)

    def heal() -> None:
        bot.weather.cut = False
        bot.process.send_signal(signal.SIGCONT)

    return heal


def _strike(plant: Plant, blow: Blow) -> None:
    match blow:
        case Blow.BACKEND_KILLED:
            plant.end("a", signal.SIGKILL)
        case Blow.BACKEND_RESTARTED:
            plant.end("a", signal.SIGTERM)
        case Blow.DATABASE_KILLED:
            plant.made.server.kill()
        case Blow.DATABASE_HANGS:
            plant.made.server.stand_still()


def _mend(plant: Plant, blow: Blow, bots: list[Bot]) -> None:
    """Bring back what the blow took, while orders are still counted."""
    match blow:
        case Blow.BACKEND_KILLED | Blow.BACKEND_RESTARTED:
            gone = plant.port("a")
            plant.start("a")
            for bot in bots:
                if bot.weather.port == gone:
                    bot.weather.port = plant.port("a")
        case Blow.DATABASE_KILLED:
            plant.made.server.start()
        case Blow.DATABASE_HANGS:
            plant.made.server.go_on()


def _freeze(plant: Plant, scope: str, key: str) -> float:
    """Freeze at whichever backend answers; returns when the answer was there."""
    kind, _, name = scope.partition(":")
    body = {"scope": {"kind": kind, "name": name}, "reason": "bound", "idempotency_key": key}
    headers = {"authorization": f"Bearer {plant.made.tokens[OFFICER.name]}"}
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        for _, process in plant.running.values():
            with suppress(httpx.TransportError):
                answer = httpx.post(f"{process.url}/v1/freezes", json=body, headers=headers, timeout=10)
                if answer.status_code in {201, 202}:
                    return time.monotonic()
                raise AssertionError(f"a freeze was refused: {answer.status_code} {answer.text}")
    raise AssertionError("no backend took the freeze")


def _judged(market: Venue, bot: Bot, blow: Blow, accepted_at: float) -> Outcome:
    orders = list(market.orders.get(bot.name, ()))
    after = [order for order in orders if order.sent_at > accepted_at]
    late = [order for order in after if order.sent_at > accepted_at + BOUND_S]
    return Outcome(
        bot=bot.name,
        mishaps=sorted(bot.mishaps),
        blow=blow.value,
        until_halt_s=max((order.sent_at - accepted_at for order in after if order.passed), default=0.0),
        late=sum(order.passed for order in late),
        late_at_the_door=sum(not order.passed for order in late),
        before=sum(order.passed for order in orders if order.sent_at <= accepted_at),
    )


def _wait(ready: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not ready():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


@contextmanager
def plant() -> Iterator[Plant]:
    """Two backends, a venue behind a checker, and a network that can be bad."""
    with ground() as made, ExitStack() as stack:
        network = Network()
        starting = Plant(made, network, Venue(0))
        stack.callback(starting.close)
        for name in ("a", "b"):
            starting.start(name)
        checker = Checker(None, starting.running["b"][1].url, made.tokens[EXECUTOR.name])
        stack.enter_context(checker)
        starting.market = stack.enter_context(venue(checker))
        yield starting


def rounds(made: Plant, runs: int, seed: int) -> Iterator[Outcome]:
    """As many rounds as it takes for so many runs."""
    for number in range(-(-runs // BOTS_A_ROUND)):
        yield from one_round(made, number, seed)
        _wait(lambda: _all_ready(made), "everything works again")


def _all_ready(made: Plant) -> bool:
    try:
        return all(httpx.get(f"{process.url}/readyz", timeout=5).is_success for _, process in made.running.values())
    except httpx.TransportError:
        return False


def main(runs: int, seed: int) -> int:
    """Do many runs; tells of each, and in the end how many orders came too late."""
    found = []
    with plant() as made:
        for outcome in rounds(made, runs, seed):
            found.append(outcome)
            sys.stdout.write(
                f"{outcome.bot}: {', '.join(outcome.mishaps)}; {outcome.blow}: last order after "
                f"{outcome.until_halt_s:.2f} s, {outcome.late} late, {outcome.late_at_the_door} turned away\n"
            )
            sys.stdout.flush()
    late, longest = sum(one.late for one in found), max(one.until_halt_s for one in found)
    sys.stdout.write(
        f"{len(found)} runs with seed {seed}: {late} orders later than {BOUND_S:.2f} s after the freeze, longest "
        f"{longest:.2f} s, {sum(one.late_at_the_door for one in found)} turned away at the choke point\n"
    )
    return 1 if late or any(not one.before for one in found) else 0


if __name__ == "__main__":
    os.environ.setdefault("WATCHFLOOR_LOG_LEVEL", "warning")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that bots and backends are ended too
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2])))
