"""Kills what writes the ledger while it is written, and then looks whether anything is lost, doubled or unexplained.

`python -m tests.support.ledger_soak KILLS [SEED]` runs it at length. Signals only processes that it started.
"""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from backend import migrate
from tests.support.backends import Backend, backend
from tests.support.ledger_check import Looked, look
from tests.support.ledger_writer import ACTS
from tests.support.places import public_directory
from watchfloor.embedded import EmbeddedPostgres

WRITERS = 4
TASKS = 4
STOPPED_S = 6.0
"""Longer than a lease and than the server's patience with an idle transaction."""
DRAIN_S = 120.0
_DATABASE = "soak"


@dataclass
class Outcome:
    """What a run did and found."""

    kills: Counter[str] = field(default_factory=Counter)
    acknowledged: int = 0
    looked: Looked = field(default_factory=Looked)
    faults: list[str] = field(default_factory=list)

    def report(self) -> str:
        """In a few lines."""
        done = ", ".join(f"{count} × {what}" for what, count in sorted(self.kills.items()))
        sizes = ", ".join(f"{name} {size:,}" for name, size in sorted(self.looked.sizes.items()))
        lines = [f"{sum(self.kills.values())} blows: {done}", f"{self.acknowledged:,} acknowledged; ledger: {sizes}"]
        return "\n".join(
            [*lines, *(self.faults or ["0 lost, 0 doubled, 0 unexplained gaps, every root as recomputed"])]
        )


class Soak:
    """A database server, backends and writers that can be killed one by one and come back."""

    def __init__(self, directory: Path, seed: int) -> None:
        self._directory = directory
        self._chance = random.Random(seed)  # noqa: S311  which blow comes next is no secret
        self._server = EmbeddedPostgres(directory / "postgres")
        self._backends: list[tuple[ExitStack, Backend]] = []
        self._writers: list[subprocess.Popen[bytes]] = []
        self._env = {"WATCHFLOOR_DATA_DIR": str(directory / "state"), "WATCHFLOOR_LOG_LEVEL": "warning"}
        self.outcome = Outcome()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Start everything; end everything."""
        self._server.start()
        try:
            with psycopg.connect(self._server.url("postgres"), autocommit=True) as connection:
                connection.execute(f"CREATE DATABASE {_DATABASE}")
            migrate.upgrade(self._url.replace("postgresql://", "postgresql+psycopg://", 1))
            with psycopg.connect(self._url) as connection:
                connection.execute(ACTS)
            for _ in range(2):
                self._start_backend()
            for number in range(WRITERS):
                self._writers.append(self._start_writer(number))
            yield
        finally:
            self._end_writers()
            for stack, _ in self._backends:
                stack.close()
            self._server.stop()

    @property
    def _url(self) -> str:
        return self._server.url(_DATABASE)

    def _start_backend(self) -> None:
        stack = ExitStack()
        log = self._directory / "backend.log"
        self._backends.append((stack, stack.enter_context(backend(self._url, log, env=self._env))))

    def _start_writer(self, number: int) -> subprocess.Popen[bytes]:
        env = {**os.environ, **self._env, "WATCHFLOOR_DATABASE_URL": self._url, "WATCHFLOOR_POOL_SIZE": str(TASKS)}
        argv = [sys.executable, "-m", "tests.support.ledger_writer", str(self._acknowledged(number)), str(TASKS)]
        with (self._directory / "writers.log").open("ab") as log:
            return subprocess.Popen(argv, env=env, stderr=log)

    def _acknowledged(self, number: int) -> Path:
        return self._directory / f"acknowledged-{number}"

    def _end_writers(self) -> None:
        for writer in self._writers:
            writer.kill()
            writer.wait()
        self._writers.clear()

    def wait_for_load(self) -> None:
        """Until every writer has been told of an act."""
        deadline = time.monotonic() + DRAIN_S
        while not all(self._lines(self._acknowledged(n)) for n in range(WRITERS)) and time.monotonic() < deadline:
            time.sleep(0.1)

    def blow(self) -> None:
        """Hit something at a random moment, and bring it back."""
        time.sleep(self._chance.uniform(0.0, 0.7))
        blows = [self._kill_server, self._kill_session, self._kill_leader, self._kill_writer, self._stop_leader]
        weights = [2, 3, 3, 2, 1]
        self._chance.choices(blows, weights)[0]()

    def _kill_server(self) -> None:
        self.outcome.kills["kill -9 of PostgreSQL"] += 1
        os.kill(self._server_pid(), signal.SIGKILL)
        self._server.stop()
        self._server = EmbeddedPostgres(self._directory / "postgres").start()

    def _server_pid(self) -> int:
        with psycopg.connect(self._url) as connection:
            row = connection.execute("SELECT pg_read_file('postmaster.pid')").fetchone()
        assert row is not None
        return int(str(row[0]).split("\n", 1)[0])

    def _kill_session(self) -> None:
        """The server process of the sequencer or of a writer, which makes the server restart all of them."""
        with psycopg.connect(self._url) as connection:
            rows = connection.execute(
                "SELECT pid FROM pg_stat_activity WHERE datname = %s AND application_name LIKE %s",
                (_DATABASE, self._chance.choice(["watchfloor sequencer", "watchfloor"])),
            ).fetchall()
        if rows:
            self.outcome.kills["kill -9 of a server process"] += 1
            with suppress(ProcessLookupError):
                os.kill(self._chance.choice(rows)[0], signal.SIGKILL)

    def _leader(self) -> int:
        """Which of the backends sequences, or any."""
        with suppress(psycopg.Error), psycopg.connect(self._url) as connection:
            row = connection.execute("SELECT holder FROM leader_leases WHERE name = 'sequencer'").fetchone()
            for place, (_, each) in enumerate(self._backends):
                if row is not None and f":{each.pid}:" in row[0]:
                    return place
        return 0

    def _kill_leader(self) -> None:
        self.outcome.kills["kill -9 of the sequencer's backend"] += 1
        stack, each = self._backends.pop(self._leader())
        each.send(signal.SIGKILL)
        stack.close()
        self._start_backend()

    def _kill_writer(self) -> None:
        self.outcome.kills["kill -9 of a writer"] += 1
        number = self._chance.randrange(WRITERS)
        self._writers[number].kill()
        self._writers[number].wait()
        self._writers[number] = self._start_writer(number)

    def _stop_leader(self) -> None:
        self.outcome.kills["SIGSTOP of the sequencer's backend"] += 1
        _, each = self._backends[self._leader()]
        each.send(signal.SIGSTOP)
        time.sleep(STOPPED_S)
        each.send(signal.SIGCONT)

    def settle(self) -> Outcome:
        """Let the writers end and the outbox run empty, then look."""
        time.sleep(1.0)
        self._end_writers()
        deadline = time.monotonic() + DRAIN_S
        while self._waiting() and time.monotonic() < deadline:
            time.sleep(0.2)
        outcome = self.outcome
        stalled = ["the outbox never became empty"] if self._waiting() else []
        outcome.looked = look(self._url)
        outcome.faults = [*outcome.looked.faults, *stalled]
        told = {line for n in range(WRITERS) for line in self._lines(self._acknowledged(n))}
        outcome.acknowledged = len(told)
        with psycopg.connect(self._url) as connection:
            acts = {str(ident) for (ident,) in connection.execute("SELECT id FROM soak_acts")}
            (aside,) = connection.execute("SELECT count(*) FROM audit_quarantine").fetchone() or (0,)
        outcome.faults += [f"acknowledged and lost: {ident}" for ident in sorted(told - outcome.looked.ids)]
        outcome.faults += [f"an act without its entry: {ident}" for ident in sorted(acts - outcome.looked.ids)]
        outcome.faults += [f"{aside} rows were set aside"] if aside else []
        return outcome

    def _waiting(self) -> bool:
        with suppress(psycopg.Error), psycopg.connect(self._url) as connection:
            return connection.execute("SELECT 1 FROM audit_outbox LIMIT 1").fetchone() is not None
        return True

    def _lines(self, path: Path) -> list[str]:
        return [line for line in path.read_text().split("\n")[:-1] if line] if path.exists() else []


def soak(directory: Path, kills: int, seed: int) -> Outcome:
    """Run it: so many blows, then the look."""
    run = Soak(directory, seed)
    with run.running():
        run.wait_for_load()
        while sum(run.outcome.kills.values()) < kills:
            with suppress(psycopg.Error):  # the blow before has not been got over
                run.blow()
        return run.settle()


if __name__ == "__main__":
    with public_directory() as place:
        found = soak(place, int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1)
    sys.stdout.write(found.report() + "\n")
    sys.exit(bool(found.faults))
