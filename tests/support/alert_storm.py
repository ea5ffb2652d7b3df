"""A storm of alerts at the webhook of a real backend that is killed in the middle: nothing answered 2xx may be lost.

`python -m tests.support.alert_storm [ALERTS_PER_S [SECONDS [PER_DELIVERY [SEED [KILL]]]]]` runs one on a server of its
own and prints what it measured; without a kill (KILL 0) it ends with 1 if answers were slower than they may be. What is
sent is an Alertmanager's: alerts of many groups that fire, some of which end, each delivery tried again until it is
taken, and some of them delivered twice or late. Must never signal a process that it did not start.
"""

import asyncio
import random
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import httpx
import orjson
import psycopg

from backend import migrate
from backend.clock import SYSTEM_CLOCK
from backend.runtime import build_runtime
from backend.settings import Settings
from contract.alertmanager import Delivery, delivery_of, fingerprint_of
from tests.support.alertmanager_bodies import HOOK, TOKEN, go_time, receiver_token
from tests.support.backends import Backend, backend
from tests.support.places import public_directory
from tests.support.prometheus import free_port
from watchfloor.embedded import EmbeddedPostgres

LINES: Final = 8
"""Deliveries under way at a time: groups of an Alertmanager are notified side by side."""
AGAIN_S: Final = 0.2
"""Pause before a delivery that was not taken is tried again."""
TRY_LIMIT_S: Final = 15.0
P99_MS_MAX: Final = 200.0
"""Of answers 2xx: groups wait behind each other at an Alertmanager, so that slow answers add up to late alerts."""
SOURCE: Final = "storm"
_NUMBERS: Final = ("per_s", "seconds", "per_delivery", "seed")
_ENDING = 0.3
"""Part of the alerts that end within the storm."""
_TWICE = 0.05
"""Part of the deliveries that come twice, the second time late."""
_FOUND = """
SELECT occurrence, status, (SELECT count(*) FROM alert_events WHERE alert_id = alerts.id AND kind = 'raised'),
    (SELECT count(*) FROM alert_events WHERE alert_id = alerts.id AND kind = 'cleared')
FROM alerts WHERE source = %s
"""


@dataclass(frozen=True, slots=True)
class Storm:
    """What is sent."""

    per_s: int = 1_000
    seconds: int = 60
    per_delivery: int = 50
    seed: int = 1
    kill_at: float | None = 0.5
    """At which part of it the backend is killed; None: never."""


@dataclass
class Outcome:
    """What came of it."""

    alerts: int = 0
    """Told and answered 2xx, each occurrence once."""
    deliveries: int = 0
    tries: int = 0
    later: int = 0
    """Answers 503."""
    seconds: float = 0.0
    latencies_s: list[float] = field(default_factory=list)
    """Of the tries that were answered 2xx while no backend was away."""
    wrong: list[str] = field(default_factory=list)
    killed: int = 0

    def quantile_ms(self, share: float) -> float:
        """How long an answer took."""
        ordered = sorted(self.latencies_s)
        return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def planned(storm: Storm, now: datetime) -> list[bytes]:
    """The deliveries of a storm, in the order in which they are first sent."""
    dice = random.Random(storm.seed)  # noqa: S311  repeatable, not secret
    count = storm.per_s * storm.seconds // storm.per_delivery
    bodies: list[bytes] = []
    standing: list[list[dict[str, Any]]] = []
    late: list[bytes] = []
    while len(bodies) < count:
        if standing and dice.random() < _ENDING:
            ended = [_ended(alert, now, len(bodies)) for alert in standing.pop(dice.randrange(len(standing)))]
            bodies.append(_body(ended, len(bodies)))
        else:
            standing.append([_alert(storm, len(bodies), number, now) for number in range(storm.per_delivery)])
            bodies.append(_body(standing[-1], len(bodies)))
        if dice.random() < _TWICE:
            late.append(bodies[-1])
        if late and dice.random() < _TWICE:
            bodies.append(late.pop(0))
    return bodies


def _alert(storm: Storm, group: int, number: int, now: datetime) -> dict[str, Any]:
    labels = {
        "alertname": f"Storm{group % 40}", "severity": ("critical", "warning", "info")[group % 3],
        "chain": ("arbitrum", "base", "ethereum")[group % 3], "instance": f"bot{group}-{number}",
        "job": "desk", "storm": str(storm.seed),
    }  # fmt: skip
    return {
        "status": "firing",
        "labels": labels,
        "annotations": {"summary": f"bot{group}-{number} is 40 blocks behind", "description": "x" * 120},
        "startsAt": go_time(now + timedelta(milliseconds=group)),
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus.example/graph?g0.expr=up+%3D%3D+0",
        "fingerprint": fingerprint_of(labels),
    }


def _ended(alert: dict[str, Any], now: datetime, at: int) -> dict[str, Any]:
    return alert | {"status": "resolved", "endsAt": go_time(now + timedelta(milliseconds=at + 1))}


def _body(alerts: list[dict[str, Any]], number: int) -> bytes:
    whole = {
        "version": "4",
        "groupKey": f"{{}}:{{n={number}}}",
        "receiver": "w",
        "truncatedAlerts": 0,
        "alerts": alerts,
    }
    return orjson.dumps(whole)


class _Sender:
    """Sends what is planned, at its pace, until all of it is taken."""

    def __init__(self, storm: Storm, url: str) -> None:
        self._gap_s = storm.per_delivery / storm.per_s
        self._url = f"{url}{HOOK}/{SOURCE}"
        self.outcome = Outcome()
        self.taken: list[Delivery] = []
        self.away = False
        self._sent = 0

    async def send(self, bodies: list[bytes]) -> None:
        """Send everything."""
        begun = time.monotonic()
        limits = httpx.Limits(max_connections=LINES)
        headers = {"authorization": f"Bearer {TOKEN}", "content-type": "application/json"}
        async with httpx.AsyncClient(limits=limits, headers=headers, timeout=TRY_LIMIT_S, trust_env=False) as client:
            self._waiting = iter(enumerate(bodies))
            await asyncio.gather(*(self._line(client, begun) for _ in range(LINES)))
        self.outcome.seconds = time.monotonic() - begun

    @property
    def sent(self) -> int:
        """Deliveries that were begun."""
        return self._sent

    async def _line(self, client: httpx.AsyncClient, begun: float) -> None:
        for number, body in self._waiting:
            await asyncio.sleep(max(0.0, begun + number * self._gap_s - time.monotonic()))
            self._sent += 1
            while not await self._tried(client, body):  # noqa: ASYNC110  nothing tells that it would be taken
                await asyncio.sleep(AGAIN_S)
            self.taken.append(delivery_of(body))

    async def _tried(self, client: httpx.AsyncClient, body: bytes) -> bool:
        outcome, away, begun = self.outcome, self.away, time.monotonic()
        outcome.tries += 1
        try:
            answer = await client.post(self._url, content=body)
        except httpx.HTTPError:
            return False
        if answer.status_code != httpx.codes.OK:
            outcome.later += answer.status_code == httpx.codes.SERVICE_UNAVAILABLE
            if answer.status_code < httpx.codes.INTERNAL_SERVER_ERROR:
                outcome.wrong.append(f"answered {answer.status_code}: {answer.text[:200]}")
                return True
            return False
        if not away and not self.away:
            outcome.latencies_s.append(time.monotonic() - begun)
        return True


class _Process:
    """The backend, at one address however often it is killed."""

    def __init__(self, database_url: str, directory: Path) -> None:
        self._database_url, self._log = database_url, directory / "storm.log"
        self._port = free_port()
        self._stack = ExitStack()
        self.running: Backend | None = None

    def start(self) -> str:
        env = {"WATCHFLOOR_PORT": str(self._port), "WATCHFLOOR_POOL_SIZE": "10", "WATCHFLOOR_LOG_LEVEL": "warning"}
        self.running = self._stack.enter_context(backend(self._database_url, self._log, env=env))
        return self.running.url

    def kill(self) -> None:
        assert self.running is not None
        self.running.send(signal.SIGKILL)
        self.running.wait()

    def close(self) -> None:
        self._stack.close()


async def _killing(sender: _Sender, process: _Process, storm: Storm, count: int) -> None:
    if storm.kill_at is None:
        return
    while sender.sent < count * storm.kill_at:  # noqa: ASYNC110  the lines go on by themselves
        await asyncio.sleep(0.02)
    sender.away = True
    await asyncio.to_thread(process.kill)
    await asyncio.to_thread(process.start)
    sender.outcome.killed += 1
    await asyncio.sleep(1.0)  # what had piled up meanwhile is no measure of a backend that runs
    sender.away = False


async def _prepared(database_url: str) -> None:
    runtime = build_runtime(Settings(database_url=database_url), SYSTEM_CLOCK)
    try:
        await receiver_token(runtime, name=SOURCE)
    finally:
        await runtime.database.close()


async def run(database_url: str, directory: Path, storm: Storm) -> Outcome:
    """Send a storm to a backend of its own on a prepared database, and compare what is stored with what was taken."""
    await _prepared(database_url)
    bodies = planned(storm, datetime.now(UTC))
    process = _Process(database_url, directory)
    try:
        sender = _Sender(storm, await asyncio.to_thread(process.start))
        await asyncio.gather(sender.send(bodies), _killing(sender, process, storm, len(bodies)))
    finally:
        await asyncio.to_thread(process.close)
    sender.outcome.deliveries = len(sender.taken)
    _judge(sender.outcome, sender.taken, database_url)
    return sender.outcome


def _judge(outcome: Outcome, taken: list[Delivery], database_url: str) -> None:
    """Every occurrence that was answered 2xx is stored once, told of once, and stands as the last word says."""
    wanted: dict[str, bool] = {}
    for delivery in taken:
        for alert in delivery.alerts:
            name = alert.occurrence(SOURCE)
            wanted[name] = wanted.get(name, True) and alert.firing
    with psycopg.connect(database_url.replace("postgresql+psycopg://", "postgresql://", 1)) as connection:
        found = connection.execute(_FOUND, (f"alertmanager:{SOURCE}",)).fetchall()
    stored = {str(name): (str(status), raised, cleared) for name, status, raised, cleared in found}
    outcome.alerts = len(wanted)
    outcome.wrong += [f"lost: {name}" for name in wanted.keys() - stored.keys()]
    outcome.wrong += [f"never sent: {name}" for name in stored.keys() - wanted.keys()]
    for name, fires in wanted.items():
        status, raised, cleared = stored.get(name, ("", 1, int(not fires)))
        if status and (status == "cleared") is fires:
            outcome.wrong.append(f"{name} is {status}")
        if (raised, cleared) != (1, int(not fires)):
            outcome.wrong.append(f"{name} was told of {raised} and {cleared} times")


@contextmanager
def _server(directory: Path) -> Iterator[str]:
    with EmbeddedPostgres(directory / "postgres", ephemeral=False) as server:
        with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
            connection.execute("CREATE DATABASE storm")
        url = server.url("storm")
        migrate.upgrade(url.replace("postgresql://", "postgresql+psycopg://", 1))
        yield url


def storm_of(arguments: list[str]) -> Storm:
    """The storm that a command line means."""
    numbers = [int(one) for one in arguments]
    storm = Storm(**dict(zip(_NUMBERS, numbers, strict=False)))
    never = numbers[len(_NUMBERS) :] == [0]
    return replace(storm, kill_at=None) if never else storm


def too_slow(storm: Storm, outcome: Outcome) -> list[str]:
    """Whether answers took too long, as a sentence. With a kill they say more of the start than of the backend."""
    p99_ms = outcome.quantile_ms(0.99)
    if storm.kill_at is not None or p99_ms <= P99_MS_MAX:
        return []
    return [f"too slow: p99 of answers 2xx is {p99_ms:.0f} ms, at most {P99_MS_MAX:.0f} ms are allowed"]


def main() -> int:
    """Run one storm and print what came of it."""
    storm = storm_of(sys.argv[1:])
    with public_directory() as directory, _server(directory) as url:
        outcome = asyncio.run(run(url, directory, storm))
    print(  # noqa: T201  a program
        f"{outcome.alerts:,} alerts in {outcome.deliveries:,} deliveries within {outcome.seconds:.1f} s; "
        f"{outcome.tries:,} tries, {outcome.later:,} asked to come back, backend killed {outcome.killed} times; "
        f"p50 {outcome.quantile_ms(0.5):.0f} ms, p99 {outcome.quantile_ms(0.99):.0f} ms; wrong: {len(outcome.wrong)}"
    )
    for line in [*outcome.wrong[:20], *too_slow(storm, outcome)]:
        print(line)  # noqa: T201  a program
    return 1 if outcome.wrong or too_slow(storm, outcome) else 0


if __name__ == "__main__":
    sys.exit(main())
