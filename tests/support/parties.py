"""Real signers and witnesses, each a process of its own, and backends that are told about them."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

STOP_LIMIT_S = 15.0
"""A busy machine is slow; a process that has not ended by then hangs."""


@dataclass
class Running:
    """A process that said it is ready, and the lines it said."""

    process: subprocess.Popen[str]
    said: list[str]

    def send(self, number: signal.Signals) -> None:
        """Signal this process and nothing else."""
        self.process.send_signal(number)

    def kill(self) -> None:
        """End it without warning."""
        self.process.kill()
        self.process.wait(STOP_LIMIT_S)


@contextmanager
def running(arguments: list[str], lines: int, log: Path) -> Iterator[Running]:
    """Start `watchfloor …` and wait until it has said so many lines; it is stopped, or killed, at the end."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("WATCHFLOOR_")}
    with log.open("a") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "watchfloor", *arguments],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )
    try:
        assert process.stdout is not None
        said = [process.stdout.readline().rstrip("\n") for _ in range(lines)]
        if not said[-1]:
            raise RuntimeError(f"{arguments} did not start:\n{log.read_text()[-4000:]}")
        yield Running(process, said)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGCONT)
            process.terminate()
            try:
                process.wait(STOP_LIMIT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(STOP_LIMIT_S)
        assert process.stdout is not None
        process.stdout.close()


@contextmanager
def signing(directory: Path) -> Iterator[Running]:
    """A signer; its socket is `signer.sock` in the directory."""
    directory.mkdir(parents=True, exist_ok=True)
    with running(["signer", "serve", "--data-dir", str(directory)], 1, directory / "signer.log") as process:
        yield process


@contextmanager
def witnessing(
    directory: Path, genesis: str, name: str = "auditor.example/watchfloor"
) -> Iterator[tuple[Running, str]]:
    """A witness on a free port, and how a backend is told of it."""
    directory.mkdir(parents=True, exist_ok=True)
    arguments = ["witness", "serve", "--listen", "127.0.0.1:0", "--data-dir", str(directory), "--key", genesis]
    with running([*arguments, "--name", "auditor.example/watchfloor"], 2, directory / "witness.log") as process:
        url, key = (line.rpartition(" ")[2] for line in process.said)
        yield process, f"{url} {key}"
