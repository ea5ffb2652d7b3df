"""Everything that writes, signs and holds a ledger, each a process of its own that can be killed and brought back.

Signals only processes that it started, and the database server's. A URL stays the same whatever dies: processes that
live through a crash of the server must find it again.
"""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import psycopg
from psycopg import sql

from backend import migrate
from backend.runtime import build_runtime
from backend.settings import Settings
from tests.support.backends import Backend, backend
from tests.support.lasting import LastingPostgres
from tests.support.ledger_gates import GATES
from tests.support.ledger_writer import ACTS
from tests.support.parties import Running, running
from tests.support.people import ADMIN, OPERATOR, sign_in

T = TypeVar("T")

BACKENDS = 2
WRITERS = 4
TASKS = 4
"""Transactions one writer has under way at a time."""
PATIENCE_S = 120.0
"""A busy machine takes long to start a process; what has not come back by then never will."""
DATABASE = "soak"
ELSEWHERE = "elsewhere"
"""The witness's database: another one, though on the same server."""
SLOW_MS = 2_000
"""Statements that take longer are told in the server's log: nobody here should wait so long, but for a blow."""
_POLICY = 'extends = "mev"\n[watchfloor.ledger]\ncheckpoint_interval_s = 1\n'
"""Heads are signed often, so that blows find signing under way."""


class Plant:
    """The processes, by the name of the database role each of them signs in with."""

    def __init__(self, directory: Path, signer_directory: Path) -> None:
        self.directory = directory
        self.signer_directory = signer_directory
        """On a disk whose fsync takes its time, so that a blow can fall into it."""
        self.tokens: dict[str, str] = {}
        self.server = LastingPostgres(directory / "postgres", directory / "sock")
        self._backends: dict[str, tuple[ExitStack, Backend]] = {}
        self._writers: dict[str, subprocess.Popen[bytes]] = {}
        self._parties: dict[str, tuple[ExitStack, Running]] = {}
        self._witness = ""
        """Address and key of the HTTP witness."""
        self._witness_arguments: list[str] = []

    @contextmanager
    def running(self) -> Iterator[None]:
        """Start everything; end everything."""
        try:
            self._prepare()
            for number in range(BACKENDS):
                self.start_backend(f"backend{number}")
            for number in range(WRITERS):
                self.start_writer(f"writer{number}")
            yield
        finally:
            self.end_writers()
            for stack, _ in (*self._backends.values(), *self._parties.values()):
                stack.close()
            self.server.stop()

    def _prepare(self) -> None:
        self.server.start()
        with psycopg.connect(self.url(database="postgres"), autocommit=True) as connection:
            for name in (DATABASE, ELSEWHERE):
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
            names = [f"backend{n}" for n in range(BACKENDS)] + [f"writer{n}" for n in range(WRITERS)]
            for name in names:
                connection.execute(sql.SQL("CREATE ROLE {} LOGIN SUPERUSER").format(sql.Identifier(name)))
            connection.execute(f"ALTER DATABASE {DATABASE} SET log_min_duration_statement = {SLOW_MS}")
        migrate.upgrade(self.url().replace("postgresql://", "postgresql+psycopg://", 1))
        with psycopg.connect(self.url()) as connection:
            connection.execute(ACTS)
            connection.execute(GATES)
        (self.directory / "policy.toml").write_text(_POLICY)
        asyncio.run(self._sign_in())
        self.start_party("signer")
        self.start_backend("backend0")
        genesis = self._first_key()
        self.kill_backend("backend0")
        self.start_party("witness", genesis)

    async def _sign_in(self) -> None:
        runtime = build_runtime(Settings(database_url=self.url(), data_dir=self.directory / "state", pool_size=1))
        try:
            self.tokens = {person.name: await sign_in(runtime, person) for person in (ADMIN, OPERATOR)}
        finally:
            await runtime.database.close()

    def _first_key(self) -> str:
        with psycopg.connect(self.url(), autocommit=True) as connection:
            first = "SELECT vkey FROM audit_epochs ORDER BY epoch"
            return str(until(lambda: connection.execute(first).fetchone(), "a first key")[0])

    def url(self, role: str = "watchfloor", database: str = DATABASE) -> str:
        """The same after every start of the server."""
        return self.server.url(database, role)

    def _env(self) -> dict[str, str]:
        named = f"dir:{self.directory / 'shelf'} {self.url(database=ELSEWHERE)} {self._witness}"
        return {
            "WATCHFLOOR_DATA_DIR": str(self.directory / "state"),
            "WATCHFLOOR_SIGNER_SOCKET": str(self.signer_directory / "signer" / "signer.sock"),
            "WATCHFLOOR_WITNESSES": named if self._witness else "",
            "WATCHFLOOR_POLICY": str(self.directory / "policy.toml"),
            "WATCHFLOOR_LOG_LEVEL": "warning",
            "WATCHFLOOR_POOL_SIZE": "8",
        }

    def start_backend(self, name: str) -> None:
        """Start one of the backends, once the database answers."""
        until(self._answers, "a database that answers")
        (self.directory / "shelf").mkdir(exist_ok=True)
        stack = ExitStack()
        log = self.directory / f"{name}.log"
        self._backends[name] = (stack, stack.enter_context(backend(self.url(name), log, env=self._env())))

    def _answers(self) -> bool:
        with psycopg.connect(self.url()):
            return True

    def kill_backend(self, name: str) -> None:
        """End one of the backends without warning."""
        stack, each = self._backends.pop(name)
        each.send(signal.SIGKILL)
        stack.close()

    def start_writer(self, name: str) -> None:
        """Start one of the processes that act and record."""
        env = {**os.environ, **self._env(), "WATCHFLOOR_DATABASE_URL": self.url(name)}
        env["WATCHFLOOR_POOL_SIZE"] = str(TASKS)
        argv = [sys.executable, "-m", "tests.support.ledger_writer", str(self.acknowledged(name)), str(TASKS)]
        with (self.directory / "writers.log").open("ab") as log:
            self._writers[name] = subprocess.Popen(argv, env=env, stderr=log)

    def kill_writer(self, name: str) -> None:
        """End one of the writers without warning."""
        writer = self._writers.pop(name)
        writer.kill()
        writer.wait()

    def end_writers(self) -> None:
        """End all of them."""
        for name in list(self._writers):
            self.kill_writer(name)

    def start_party(self, name: str, genesis: str = "") -> None:
        """Start the signer, or the witness: the first time with the key it is to trust."""
        if name == "signer":
            arguments, lines = ["signer", "serve", "--data-dir", str(self.signer_directory / "signer")], 1
        else:
            self._witness_arguments = self._listening(genesis) if genesis else self._witness_arguments
            arguments, lines = self._witness_arguments, 2
        stack = ExitStack()
        log = self.directory / f"{name}.log"
        self._parties[name] = (stack, stack.enter_context(running(arguments, lines, log)))
        if genesis:
            self._witness = " ".join(line.rpartition(" ")[2] for line in self._parties[name][1].said)

    def _listening(self, genesis: str) -> list[str]:
        with socket.create_server(("127.0.0.1", 0)) as free:
            address = f"127.0.0.1:{free.getsockname()[1]}"
        place = str(self.signer_directory / "witness")
        named = ["--name", "auditor.example/watchfloor", "--key", genesis]
        return ["witness", "serve", "--listen", address, "--data-dir", place, *named]

    def kill_party(self, name: str) -> None:
        """End signer or witness without warning."""
        stack, process = self._parties.pop(name)
        process.kill()
        stack.close()

    def send(self, name: str, number: signal.Signals) -> None:
        """Signal one process by its name."""
        if name in self._backends:
            self._backends[name][1].send(number)
        elif name in self._writers:
            self._writers[name].send_signal(number)
        else:
            self._parties[name][1].send(number)

    @property
    def backend_urls(self) -> list[str]:
        """Where requests can be sent at this moment."""
        return [each.url for _, each in list(self._backends.values())]

    @property
    def backend_pids(self) -> set[int]:
        """Whose children verify."""
        return {each.pid for _, each in self._backends.values()}

    @property
    def writer_names(self) -> list[str]:
        """The writers that run."""
        return sorted(self._writers)

    def is_backend(self, name: str) -> bool:
        """Whether this is one of the backends that run."""
        return name in self._backends

    def leader(self, duty: str = "sequencer") -> str:
        """Which of the backends leads a duty, or any."""
        with suppress(psycopg.Error), psycopg.connect(self.url()) as connection:
            row = connection.execute("SELECT holder FROM leader_leases WHERE name = %s", (duty,)).fetchone()
            for name, (_, each) in self._backends.items():
                if row is not None and f":{each.pid}:" in row[0]:
                    return name
        return next(iter(self._backends))

    def acknowledged(self, name: str) -> Path:
        """Where a writer writes down what it was told is recorded."""
        return self.directory / f"acknowledged-{name}"

    def held_in_files(self) -> int:
        """Bytes of entries that wait in spools."""
        found = 0
        for path in (self.directory / "state" / "audit-spool").glob("*.spool"):
            with suppress(FileNotFoundError):  # taken over and taken away
                found += path.stat().st_size
        return found


def until(look: Callable[[], T | None], what: str, patience_s: float = PATIENCE_S) -> T:
    """Look until there is something; a database that is away counts as nothing."""
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        with suppress(psycopg.Error):
            if (found := look()) is not None:
                return found
        time.sleep(0.05)
    raise AssertionError(f"never happened: {what}")
