"""PostgreSQL servers that a test runs by itself: a standby that streams and is promoted, a clock that is set.

Must never signal a process that it did not start.
"""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self
from urllib.parse import quote

import psycopg
import pytest

from backend import migrate
from tests.support.places import public_directory
from watchfloor.embedded import account as accounts
from watchfloor.embedded import binaries, cluster

DATABASE = cluster.DATABASE
START_LIMIT_S = 60.0
"""A busy machine is slow; a server that does not answer by then never will."""
CLOCK_LIBRARIES = (Path("/usr/lib/x86_64-linux-gnu/faketime"), Path("/usr/lib/aarch64-linux-gnu/faketime"))
_SETTINGS = ("fsync=off", "full_page_writes=off", "timezone=UTC", "unix_socket_permissions=0700")


def clock_library() -> Path:
    """The library that gives one process another clock; skips the test where it is not installed."""
    for place in CLOCK_LIBRARIES:
        if (place / "libfaketime.so.1").exists():
            return place / "libfaketime.so.1"
    pytest.skip("no libfaketime is installed here: a server's clock cannot be set")


class Server:
    """One server in a directory that every account may enter."""

    def __init__(self, directory: Path) -> None:
        self._account = accounts.choose(directory / "data")
        self._installed = accounts.reachable_binaries(binaries.locate(), self._account)
        self._directory = directory
        self._clock: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        for path in (directory, self._sockets):
            path.mkdir(mode=0o755, exist_ok=True)
            if self._account is not None:
                os.chown(path, self._account.uid, self._account.gid)

    @property
    def _data(self) -> Path:
        return self._directory / "data"

    @property
    def _sockets(self) -> Path:
        return self._directory / "s"

    @property
    def url(self) -> str:
        """The product's database on it."""
        return self.url_of(DATABASE)

    def url_of(self, database: str) -> str:
        """Any database on it."""
        return f"postgresql://{cluster.SUPERUSER}@/{database}?host={quote(str(self._sockets))}"

    def create(self) -> Self:
        """Make its data."""
        cluster.create(self._data, self._installed, self._account, durable=False)
        return self

    def copy(self, of: "Server") -> Self:
        """Become a standby of another server, which has to run."""
        self._run([
            "pg_basebackup", "-h", str(of._sockets), "-U", cluster.SUPERUSER, "-D", str(self._data),
            "--checkpoint=fast", "--write-recovery-conf", "--no-sync",
        ])  # fmt: skip
        return self

    def with_clock(self) -> Self:
        """Have a clock of its own from the next start on: see `set_clock`."""
        self._clock = self._directory / "clock"
        self.set_clock(0)
        return self

    def set_clock(self, ahead_s: float) -> None:
        """Step its wall clock, all processes at once."""
        assert self._clock is not None
        fresh = self._clock.with_suffix(".new")
        fresh.write_text(f"{ahead_s:+.3f}\n")
        fresh.chmod(0o644)
        fresh.replace(self._clock)

    def start(self) -> Self:
        """Start it and wait until it answers."""
        environment = dict(accounts.SERVER_ENVIRONMENT)
        if self._clock is not None:
            environment |= {
                "LD_PRELOAD": str(clock_library()), "FAKETIME_TIMESTAMP_FILE": str(self._clock),
                "FAKETIME_NO_CACHE": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1",
                "FAKETIME_DISABLE_SHM": "1", "NO_FAKE_STAT": "1",
            }  # fmt: skip
        argv: list[str | Path] = [self._installed.bin / "postgres", "-D", self._data, "-h", "", "-k", self._sockets]
        for setting in _SETTINGS:
            argv += ["-c", setting]
        with (self._directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                argv, env=environment, cwd="/", stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                **accounts.identity(self._account),
            )  # fmt: skip
        self._wait_until_it_answers()
        return self

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + START_LIMIT_S
        while True:
            with suppress(psycopg.OperationalError), psycopg.connect(self.url_of("postgres"), connect_timeout=5):
                return
            assert self._process is not None
            assert self._process.poll() is None, self.said()
            assert time.monotonic() < deadline, self.said()
            time.sleep(0.05)

    def said(self) -> str:
        """The end of its log."""
        return (self._directory / "log").read_text(errors="replace")[-3000:]

    def promote(self) -> None:
        """Make a standby a primary; returns once it is one."""
        self._run(["pg_ctl", "promote", "-D", str(self._data), "--wait"])

    def stop(self) -> None:
        """End it, if it runs."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT)  # immediate: nothing here has to last
            self._process.wait(START_LIMIT_S)
            self._process = None

    def _run(self, argv: Sequence[str]) -> None:
        program, *rest = argv
        subprocess.run(
            [self._installed.bin / program, *rest], check=True, capture_output=True, cwd="/",
            env=accounts.SERVER_ENVIRONMENT, **accounts.identity(self._account),
        )  # fmt: skip


@contextmanager
def servers(count: int = 1) -> Iterator[list[Server]]:
    """Servers without data yet; all are stopped and gone at the end."""
    with public_directory() as home:
        made = [Server(home / f"{number}") for number in range(count)]
        try:
            yield made
        finally:
            for server in made:
                server.stop()
            shutil.rmtree(home, ignore_errors=True)


def migrated(server: Server) -> Server:
    """The same server, with the product's tables."""
    migrate.upgrade(server.url.replace("postgresql://", "postgresql+psycopg://", 1))
    return server
