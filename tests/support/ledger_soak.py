"""Kills what writes the ledger while it is written, at every step of the way, and then looks whether anything is lost,
doubled or unexplained.

`python -m tests.support.ledger_soak KILLS [SEED [LOGS]]` runs it at length; LOGS is a directory for what the processes
said. Signals only processes that it started.
"""

import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from tests.support.ledger_callers import Callers
from tests.support.ledger_gates import STEPS, Caught, Step, held
from tests.support.ledger_judging import judge
from tests.support.ledger_plant import DATABASE, Plant, until
from tests.support.places import public_directory

STOPPED_S = 6.5
"""Longer than a lease, than the patience with a stuck leader and than the server's with an idle transaction."""
HUNG_S = 3.0
"""Longer than anybody waits for signer or witness."""
_DRAFT_WAIT_S = 3.0
_AT_A_STEP = 0.6
"""Share of the blows that fall on a step; the others fall at any moment."""
_WORKER = b"backend.audit.verification.worker"


@dataclass
class Outcome:
    """What a run did and found."""

    kills: Counter[str] = field(default_factory=Counter)
    missed: Counter[str] = field(default_factory=Counter)
    """Steps at which nobody came by."""
    told: list[str] = field(default_factory=list)
    """What was looked at, in words."""
    acknowledged: int = 0
    faults: list[str] = field(default_factory=list)

    def report(self) -> str:
        """In a few lines."""
        lines = [f"{self.kills.total()} blows, {self.acknowledged:,} acknowledged", *self.told]
        lines += [f"  {count:4} × {what}" for what, count in sorted(self.kills.items())]
        lines += [f"  {count:4} × nobody came by: {what}" for what, count in sorted(self.missed.items())]
        return "\n".join([*lines, *(self.faults or ["0 lost, 0 doubled, 0 unexplained gaps, verified"])])


class Soak:
    """Blows at a plant under load."""

    def __init__(self, plant: Plant, seed: int) -> None:
        self._plant = plant
        self._chance = random.Random(seed)  # noqa: S311  which blow comes next is no secret
        self._callers = Callers(plant, seed)
        self._steps: list[Step] = []
        self.outcome = Outcome()

    @contextmanager
    def under_load(self) -> Iterator[None]:
        """Writers have written, people have asked; nobody does at the end."""
        self._callers.start()
        try:
            plant = self._plant
            until(
                lambda: all(plant.acknowledged(one).exists() for one in plant.writer_names) and self._callers.told,
                "load",
            )
            yield
        finally:
            self._callers.stop()
            self._plant.end_writers()

    def blow(self) -> None:
        """Hit something, at a step of the path or at any moment, and bring it back."""
        if self._chance.random() < _AT_A_STEP:
            self._at_step(self._next_step())
            return
        time.sleep(self._chance.uniform(0.0, 0.7))
        blows: list[tuple[Callable[[], None], int]] = [
            (self._kill_server, 3),
            (self._kill_session, 3),
            (lambda: self._kill_process(self._plant.leader()), 3),
            (lambda: self._kill_process(self._chance.choice(self._plant.writer_names)), 2),
            (lambda: self._stop(self._plant.leader(), "at any moment"), 1),
            (lambda: self._party("signer"), 3),
            (lambda: self._party("witness"), 2),
            (self._kill_verification, 2),
        ]
        self._chance.choices([one for one, _ in blows], [weight for _, weight in blows])[0]()

    def _next_step(self) -> Step:
        """Every step once before any comes again, in an order of chance."""
        if not self._steps:
            self._steps = self._chance.sample(STEPS, len(STEPS))
        return self._steps.pop()

    def _at_step(self, step: Step) -> None:
        mend, server = _nothing, self._plant.server
        try:
            with held(self._plant.url(), server.cluster, step, server.reload) as caught:
                if caught:
                    mend = self._strike(step, self._chance.choice(caught))
                else:
                    self.outcome.missed[step.name] += 1
        finally:
            mend()

    def _strike(self, step: Step, one: Caught) -> Callable[[], None]:
        """Hit whoever was caught, or who serves him; returns what mends it once the step is let go."""
        name, plant = one.role, self._plant
        ways: list[Callable[[], Callable[[], None]]] = [
            lambda: self._done(f"kill -9 of PostgreSQL {step.name}", plant.server.kill, plant.server.start),
            lambda: self._done(f"kill -9 of a server process {step.name}", lambda: _kill(one.server_pid), _nothing),
            lambda: self._done(f"kill -9 of a client {step.name}", *self._killing(name)),
        ]
        if plant.is_backend(name):
            ways.append(
                lambda: self._done(
                    f"SIGSTOP of a leader {step.name}", lambda: plant.send(name, signal.SIGSTOP), self._going_on(name)
                )
            )
        return self._chance.choice(ways)()

    def _done(self, what: str, hit: Callable[[], None], mend: Callable[[], None]) -> Callable[[], None]:
        hit()
        self.outcome.kills[what] += 1
        sys.stderr.write(f"{time.strftime('%H:%M:%S')} {self.outcome.kills.total()} {what}\n")
        return mend

    def _killing(self, name: str) -> tuple[Callable[[], None], Callable[[], None]]:
        if self._plant.is_backend(name):
            return lambda: self._plant.kill_backend(name), lambda: self._plant.start_backend(name)
        return lambda: self._plant.kill_writer(name), lambda: self._plant.start_writer(name)

    def _going_on(self, name: str) -> Callable[[], None]:
        def go_on() -> None:
            time.sleep(STOPPED_S)
            self._plant.send(name, signal.SIGCONT)

        return go_on

    def _kill_server(self) -> None:
        self._done("kill -9 of PostgreSQL at any moment", self._plant.server.kill, _nothing)
        if self._chance.random() < 0.5:
            hit, mend = self._killing(self._plant.leader())
            self._done("kill -9 of a backend right after PostgreSQL", hit, _nothing)
            self._plant.server.start()
            mend()
        else:
            time.sleep(self._chance.uniform(0.0, 2.0))  # how long the database is away
            self._plant.server.start()

    def _kill_session(self) -> None:
        """A server process of the product's, which makes the server restart all of them."""
        with psycopg.connect(self._plant.url()) as connection:
            rows = connection.execute(
                "SELECT pid FROM pg_stat_activity WHERE datname = %s AND application_name LIKE 'watchfloor%%'",
                (DATABASE,),
            ).fetchall()
        if rows:
            pid = self._chance.choice(rows)[0]
            self._done("kill -9 of a server process at any moment", lambda: _kill(pid), _nothing)

    def _kill_process(self, name: str) -> None:
        kind = "the sequencer's backend" if self._plant.is_backend(name) else "a writer"
        hit, mend = self._killing(name)
        self._done(f"kill -9 of {kind} at any moment", hit, mend)()

    def _stop(self, name: str, when: str) -> None:
        self._done(
            f"SIGSTOP of a leader {when}", lambda: self._plant.send(name, signal.SIGSTOP), self._going_on(name)
        )()

    def _party(self, name: str) -> None:
        """Signer or witness, when possible while it writes a head down."""
        when = "while it writes" if self._writing(name) else "at any moment"
        if self._chance.random() < 0.2:
            self._done(f"SIGSTOP of the {name} {when}", lambda: self._plant.send(name, signal.SIGSTOP), _nothing)
            time.sleep(HUNG_S)
            self._plant.send(name, signal.SIGCONT)
            return
        self._done(f"kill -9 of the {name} {when}", lambda: self._plant.kill_party(name), _nothing)
        time.sleep(self._chance.uniform(0.0, 2.0))
        self._plant.start_party(name)

    def _writing(self, name: str) -> bool:
        """Wait until a draft of a head lies in its directory."""
        deadline = time.monotonic() + _DRAFT_WAIT_S
        heads = next((self._plant.signer_directory / name).glob("**/heads"), None)
        while heads is not None and time.monotonic() < deadline:
            with os.scandir(heads) as files:
                if any(file.name.endswith(".draft") for file in files):
                    return True
            time.sleep(0.000_2)
        return False

    def _kill_verification(self) -> None:
        """The process that reads, or with it the backend that it works for."""
        workers = until(lambda: _children(self._plant.backend_pids, _WORKER) or None, "a verification", HUNG_S * 5)
        time.sleep(self._chance.uniform(0.0, 0.5))
        with suppress(ProcessLookupError):
            self._done("kill -9 of the process that verifies", lambda: _kill(workers[0]), _nothing)

    def settle(self) -> Outcome:
        """Let everything come to rest, then look."""
        judge(self._plant, self._callers, self.outcome)
        return self.outcome


def _nothing() -> None:
    """What ends by itself, or comes back by itself."""


def _kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def _children(parents: set[int], mark: bytes) -> list[int]:
    """Processes of some parents that carry a mark in their command line."""
    found = []
    for directory in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            parent = int((directory / "stat").read_text().rpartition(")")[2].split()[1])
            if parent in parents and mark in (directory / "cmdline").read_bytes():
                found.append(int(directory.name))
    return found


def soak(directory: Path, kills: int, seed: int) -> Outcome:
    """Run it: so many blows, then the look."""
    with tempfile.TemporaryDirectory(prefix="wf-soak-") as slow:
        plant = Plant(directory, Path(slow))
        with plant.running():
            run = Soak(plant, seed)
            with run.under_load():
                while run.outcome.kills.total() < kills:
                    with suppress(psycopg.Error, AssertionError, ProcessLookupError):  # not yet over the blow before
                        run.blow()
                time.sleep(1.0)
            return run.settle()


if __name__ == "__main__":
    with public_directory() as place:
        try:
            found = soak(place, int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1)
        finally:
            for log in place.glob("**/*.log*") if len(sys.argv) > 3 else ():
                shutil.copy(log, sys.argv[3])
    sys.stdout.write(found.report() + "\n")
    sys.exit(bool(found.faults))
