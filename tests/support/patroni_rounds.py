"""A backend on a real Patroni cluster while the primary changes: what stands still for how long, and what is lost.

`python -m tests.support.patroni_rounds 5 5` does five switchovers and five kills of the primary's whole node;
`--asynchronous` does it on a cluster whose commits wait for nobody. Prints every round, minimum, median and maximum.
"""

import argparse
import asyncio
import itertools
import os
import secrets
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final, Self

import httpx
import psycopg

from backend import migrate
from backend.clock import SYSTEM_CLOCK
from backend.continuity.cluster.patroni_configured import patroni_of
from backend.runtime import build_runtime
from backend.settings import Settings
from tests.support.backends import Backend, backend, eventually
from tests.support.patroni import PatroniCluster, credentials, patroni_cluster
from tests.support.people import ADMIN, EXECUTOR, OFFICER, Person, sign_in

LIMIT_S: Final = 120.0
"""Far above anything normal, so that a busy machine does not fail a round."""
_CALL_LIMIT_S: Final = 30.0
_PAUSE_S: Final = 0.02
_FROZEN, _FREE = "frozen-chain", "free-chain"
_TABLE: Final = "CREATE TABLE acknowledged (seq bigint PRIMARY KEY)"


@dataclass
class Repeating:
    """Something that a thread does again and again, and when it succeeded."""

    act: Callable[[int], bool]
    done: list[tuple[int, float]] = field(default_factory=list)
    """What was acknowledged, and when by the monotonic clock."""
    _thread: threading.Thread | None = None
    _ended: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        assert self._thread is not None
        self._thread.join(LIMIT_S)

    def _run(self) -> None:
        number = 0
        while not self._ended.is_set():
            number += 1
            if self.act(number):
                self.done.append((number, time.monotonic()))
            time.sleep(_PAUSE_S)

    def gap_s(self, since: float) -> float:
        """The longest time without a success since shortly before an instant."""
        times = [at for _, at in self.done]
        return max((later - at for at, later in itertools.pairwise(times) if later >= since), default=float("nan"))

    def since(self, instant: float) -> bool | None:
        """Whether it has succeeded since; None if not."""
        return True if self.done and self.done[-1][1] > instant else None


@dataclass(frozen=True, slots=True)
class Round:
    """What one change of the primary did."""

    what: str
    writes_s: float
    """The longest time in which no write of a plain client was acknowledged."""
    requests_s: float
    """The same of trades that were sent to the backend."""
    permits_s: float
    """The same of permits."""
    lost: int
    """Acknowledged writes and trades that are not there afterwards."""
    of: int

    def __str__(self) -> str:
        return (
            f"{self.what:10} writes {self.writes_s:5.1f} s  trades {self.requests_s:5.1f} s  "
            f"permits {self.permits_s:5.1f} s  lost {self.lost} of {self.of} acknowledged"
        )


class Floor:
    """The cluster, a backend on it, a freeze in force, and three that never stop asking."""

    def __init__(self, cluster: PatroniCluster, directory: Path) -> None:
        self.cluster = cluster
        self.directory = directory
        self._write: psycopg.Connection[Any] | None = None
        self.hashes: dict[int, str] = {}
        self.frozen_let = 0
        """How often an executor was let send that the freeze covers: never."""
        self._tokens: dict[str, str] = {}
        settings = Settings(
            database_url=cluster.url(), pool_size=1, data_dir=directory / "arranging", cluster=cluster.setting,
            master_key_file=directory / "master.key", cluster_user_file=credentials(directory),
        )  # fmt: skip
        self.adapter = patroni_of(settings, SYSTEM_CLOCK)
        migrate.upgrade(settings.database_url)
        with psycopg.connect(cluster.url(), autocommit=True) as connection:
            connection.execute(_TABLE)
        self._tokens = asyncio.run(_signed_in(settings))
        self.writes, self.trades, self.permits = (
            Repeating(self._wrote),
            Repeating(self._traded),
            Repeating(self._permitted),
        )

    @contextmanager
    def running(self, more: Mapping[str, str] | None = None) -> Iterator[Self]:
        """A backend runs on it, and everybody asks."""
        env = {
            **(more or {}),
            "WATCHFLOOR_DATA_DIR": str(self.directory / "a"),
            "WATCHFLOOR_MASTER_KEY_FILE": str(self.directory / "master.key"),
        }
        with ExitStack() as stack:
            self.at: Backend = stack.enter_context(backend(self.cluster.url(), self.directory / "a.log", env=env))
            stack.callback(self._hang_up)
            eventually(lambda: self.may_send(_FROZEN) or None, LIMIT_S, "a permit before the freeze")
            self._freeze()
            for one in (self.writes, self.trades, self.permits):
                stack.enter_context(one)
                eventually(partial(one.since, 0.0), LIMIT_S, "the first success")
            yield self

    def round(self, what: str) -> Round:
        """Change the primary, wait until everything is as before, and say what it cost."""
        began = time.monotonic()
        if what == "switchover":
            asyncio.run(self.adapter.switch_over())
        else:
            killed = self.cluster.until_healthy()
            began = time.monotonic()
            killed.kill()
            asyncio.run(self.adapter.fail_over())
        self.until_all_go_on()
        if what != "switchover":
            killed.start()
        self.cluster.until_healthy()
        lost, of = self.lost()
        gaps = [one.gap_s(began) for one in (self.writes, self.trades, self.permits)]
        return Round(what, gaps[0], gaps[1], gaps[2], lost, of)

    def until_all_go_on(self) -> None:
        """Wait until rows, trades and permits are answered as always."""
        now = time.monotonic()
        for one in (self.writes, self.trades, self.permits):
            eventually(partial(one.since, now), LIMIT_S, "success with the new primary")
        eventually(self.ready, LIMIT_S, "readiness")

    def token(self, person: Person) -> str:
        """Somebody's token."""
        return self._tokens[person.name]

    def lost(self) -> tuple[int, int]:
        """How many of everything that was acknowledged are not there, and of how many."""
        written = [number for number, _ in tuple(self.writes.done)]
        traded = [self.hashes[number] for number, _ in tuple(self.trades.done)]
        with psycopg.connect(self.cluster.url(), autocommit=True) as connection:
            kept = {seq for (seq,) in connection.execute("SELECT seq FROM acknowledged")}
            stored = {one for (one,) in connection.execute("SELECT tx_hash FROM mev_transactions")}
        missing = sum(number not in kept for number in written) + sum(one not in stored for one in traded)
        return missing, len(written) + len(traded)

    def ready(self) -> bool | None:
        """Whether the backend says that it is; None if not."""
        return self._asked("GET", "/readyz") == httpx.codes.OK or None

    def frozen(self) -> list[str]:
        """How every freeze stands in the database."""
        with psycopg.connect(self.cluster.url(), autocommit=True) as connection:
            return [status for (status,) in connection.execute("SELECT status FROM freezes ORDER BY number")]

    def may_send(self, chain: str) -> bool:
        """Whether an executor is let send right now."""
        body = {
            "executor": f"bot-on-{chain}", "chain": chain, "strategy": "arbitrage", "wallet": f"0x{chain}",
            "boot_id": "b1", "request_no": time.monotonic_ns() // 1_000,
        }  # fmt: skip
        try:
            answer = self._send("POST", "/v1/gate/renew", EXECUTOR.name, json=body)
        except httpx.HTTPError:
            return False
        return answer.status_code == httpx.codes.OK and answer.json().get("mode", "?") is None

    def _freeze(self) -> None:
        body = {"scope": {"kind": "chain", "name": _FROZEN}, "reason": "losses nobody can explain"}
        answer = self._send("POST", "/v1/freezes", OFFICER.name, json=body)
        assert answer.is_success, answer.text

    def _wrote(self, number: int) -> bool:
        try:
            if self._write is None or self._write.closed:
                self._write = psycopg.connect(self.cluster.url(), autocommit=True, connect_timeout=2)
            self._write.execute("INSERT INTO acknowledged (seq) VALUES (%s)", (number,))
        except psycopg.Error:
            self._hang_up()
            return False
        return True

    def _hang_up(self) -> None:
        if self._write is not None:
            self._write.close()
        self._write = None

    def _traded(self, number: int) -> bool:
        self.hashes[number] = f"0x{secrets.token_hex(32)}"
        row = {
            "chain": _FREE, "tx_hash": self.hashes[number], "block_time": SYSTEM_CLOCK.now().isoformat(),
            "wallet": "0xaa", "strategy": "arbitrage", "profit_eth": "0.01", "gas_cost_eth": "0.001",
            "status": "success",
        }  # fmt: skip
        try:
            answer = self._send("POST", "/v1/transactions", EXECUTOR.name, json={"transactions": [row]})
        except httpx.HTTPError:
            return False
        return answer.is_success

    def _permitted(self, _number: int) -> bool:
        self.frozen_let += self.may_send(_FROZEN)
        return self.may_send(_FREE)

    def _asked(self, verb: str, path: str) -> int:
        try:
            return self._send(verb, path, OFFICER.name).status_code
        except httpx.HTTPError:
            return 0

    def _send(self, verb: str, path: str, who: str, **more: Any) -> httpx.Response:
        headers = {"authorization": f"Bearer {self._tokens[who]}"}
        return httpx.request(verb, f"{self.at.url}{path}", headers=headers, timeout=_CALL_LIMIT_S, **more)


async def _signed_in(settings: Settings) -> dict[str, str]:
    runtime = build_runtime(settings)
    try:
        return {person.name: await sign_in(runtime, person) for person in (ADMIN, OFFICER, EXECUTOR)}
    finally:
        await runtime.database.close()


@contextmanager
def floor(*, synchronous: bool = True) -> Iterator[Floor]:
    """A cluster with a running backend; everything is gone at the end."""
    with (
        tempfile.TemporaryDirectory(prefix="wf-patroni-") as directory,
        patroni_cluster(synchronous=synchronous) as made,
        Floor(made, Path(directory)).running() as one,
    ):
        yield one


def _figures(rounds: list[Round]) -> Iterator[str]:
    for what in dict.fromkeys(one.what for one in rounds):
        for name in ("writes", "requests", "permits"):
            found = sorted(getattr(one, f"{name}_s") for one in rounds if one.what == what)
            yield (
                f"{what:10} {name:8} without an answer: min {found[0]:.1f}, median {statistics.median(found):.1f}, "
                f"max {found[-1]:.1f} s (n = {len(found)})"
            )


def main(argv: list[str]) -> int:
    """Do the rounds."""
    parser = argparse.ArgumentParser()
    parser.add_argument("switchovers", type=int)
    parser.add_argument("kills", type=int)
    parser.add_argument("--asynchronous", action="store_true")
    asked = parser.parse_args(argv)
    rounds: list[Round] = []
    with floor(synchronous=not asked.asynchronous) as one:
        for what in ["switchover"] * asked.switchovers + ["kill -9"] * asked.kills:
            rounds.append(one.round(what))
            sys.stdout.write(f"{rounds[-1]}\n")
            sys.stdout.flush()
        let, held = one.frozen_let, one.frozen()
    lost = rounds[-1].lost if rounds else 0
    sys.stdout.write(
        "\n".join([*_figures(rounds), f"lost in all: {lost}; sends under the freeze: {let}; {held}"]) + "\n"
    )
    return 1 if let or held != ["active"] or (lost and not asked.asynchronous) else 0


if __name__ == "__main__":
    os.environ.setdefault("WATCHFLOOR_LOG_LEVEL", "warning")
    sys.exit(main(sys.argv[1:]))
