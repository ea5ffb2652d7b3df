"""Real backend processes on ports of their own, any number on one database. Run as a module it is such a process.

`python -m tests.support.backends [--probe]` reads the settings from the environment and prints its URL when it answers.
"""

import asyncio
import contextlib
import gc
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from fastapi import FastAPI

T = TypeVar("T")

START_LIMIT_S = 60.0
"""A loaded machine takes long to import; a process that has not started by then never will."""
STOP_LIMIT_S = 10.0
PROBE_INTERVAL_S = 0.2
PROBE_TABLE = "CREATE TABLE probe_ticks (id bigint GENERATED ALWAYS AS IDENTITY, pid int, fence bigint, at timestamptz)"


@dataclass
class Backend:
    """A running backend process."""

    process: subprocess.Popen[str]
    url: str
    log: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    def send(self, number: signal.Signals) -> None:
        """Send a signal to this process and to nothing else."""
        self.process.send_signal(number)

    def wait(self) -> int:
        """Wait for the end of the process and return its exit code."""
        return self.process.wait(STOP_LIMIT_S)


BACKEND = ("tests.support.backends",)
"""The module of a backend as it is, and its words."""


@contextmanager
def backend(
    database_url: str,
    log: Path,
    *,
    probe: bool = False,
    env: dict[str, str] | None = None,
    program: Sequence[str] = BACKEND,
) -> Iterator[Backend]:
    """Start a backend on a free port; it is stopped, or killed, at the end. `program`: another module, words."""
    settings = {
        "WATCHFLOOR_DATABASE_URL": database_url,
        "WATCHFLOOR_PORT": "0",
        "WATCHFLOOR_POOL_SIZE": "4",
        "WATCHFLOOR_POLICY": str(Path(__file__).with_name("swift.toml")),
    }
    argv = [sys.executable, "-m", *program, *(["--probe"] if probe else [])]
    with log.open("a") as stderr:
        process = subprocess.Popen(
            argv, env={**os.environ, **settings, **(env or {})}, stdout=subprocess.PIPE, stderr=stderr, text=True
        )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()  # ends when the process does
        if not line:
            raise RuntimeError(f"the backend did not start:\n{log.read_text()[-4000:]}")
        yield Backend(process, json.loads(line)["url"], log)
    finally:
        _end(process)


@contextmanager
def backends(database_url: str, directory: Path, count: int, *, probe: bool = False) -> Iterator[list[Backend]]:
    """Several backends on one database."""
    with ExitStack() as stack:
        yield [
            stack.enter_context(backend(database_url, directory / f"backend-{n}.log", probe=probe))
            for n in range(count)
        ]


def _end(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGCONT)
        process.terminate()
        try:
            process.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(STOP_LIMIT_S)
    if process.stdout is not None:
        process.stdout.close()


@asynccontextmanager
async def serving(app: FastAPI) -> AsyncIterator[str]:
    """Serve a started application from this process over a real socket and yield its URL: what streams need."""
    from backend.server import BackendServer, listening_socket, url_of

    sock = listening_socket("127.0.0.1", 0)
    ready = asyncio.Event()
    server = BackendServer(app, ready=ready.set, guest=True)
    task = asyncio.create_task(server.serve(sockets=[sock]))
    waiting = asyncio.create_task(ready.wait())
    await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED, timeout=START_LIMIT_S)
    try:
        if not ready.is_set():
            raise RuntimeError("the server did not start")
        yield url_of(sock)
    finally:
        waiting.cancel()
        server.should_exit = True
        await task


def eventually(look: Callable[[], T | None], limit_s: float, what: str) -> tuple[T, float]:
    """Poll until `look` returns something, and return it with the seconds it took."""
    began = time.monotonic()
    while time.monotonic() - began < limit_s:
        if (found := look()) is not None:
            return found, time.monotonic() - began
        time.sleep(0.02)
    raise AssertionError(f"not within {limit_s} s: {what}")


def _add_probe_monitor() -> None:
    from sqlalchemy import text
    from sqlalchemy.ext.asyncio import AsyncSession

    from backend import main
    from backend.context import Runtime
    from backend.monitors import Monitor

    async def tick(session: AsyncSession, _runtime: Runtime) -> None:
        await session.execute(
            text(
                "INSERT INTO probe_ticks (pid, fence, at) SELECT :pid, fence, clock_timestamp()"
                " FROM leader_leases WHERE name = 'probe'"
            ),
            {"pid": os.getpid()},
        )
        await asyncio.sleep(PROBE_INTERVAL_S)  # long enough that a stop usually hits an open transaction

    main.MONITORS = (*main.MONITORS, Monitor(name="probe", interval_s=PROBE_INTERVAL_S, tick=tick, min_gap_s=0.01))


def main() -> int:
    """Be such a process."""
    gc.set_threshold(50_000)  # as `watchfloor` has it
    from backend.server import serve
    from backend.settings import Settings

    if "--probe" in sys.argv:
        _add_probe_monitor()

    def ready(url: str) -> None:
        sys.stdout.write(json.dumps({"url": url}) + "\n")
        sys.stdout.flush()

    with contextlib.suppress(KeyboardInterrupt):
        return 0 if serve(Settings(), on_ready=ready) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
