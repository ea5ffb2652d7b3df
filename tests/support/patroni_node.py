"""Kills and starts the nodes of a test's cluster from outside the test: what the command steps of a plan run.

`python -m tests.support.patroni_node DIRECTORY kill-primary|start-killed`. Knows processes by the files of their nodes
only, and must never signal one whose command line does not name its node's directory.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

SPEC = "node.json"
CONFIG = "patroni.json"
DATA = "data"
_AGENT_PID = "patroni.pid"
_LIMIT_S = 3.0


def start(directory: Path) -> "subprocess.Popen[bytes]":
    """Start a node's Patroni as its file says, apart from whoever starts it."""
    spec: dict[str, Any] = json.loads((directory / SPEC).read_text())
    with (directory / "log").open("ab") as log:
        process = subprocess.Popen(
            spec["argv"], env=spec["environment"], cwd="/", stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            start_new_session=True, **spec["identity"],
        )  # fmt: skip
    (directory / _AGENT_PID).write_text(str(process.pid))
    return process


def pids(directory: Path, *, agent: bool = True) -> list[int]:
    """What runs of a node: its Patroni, its PostgreSQL, and that one's children."""
    found = [pid for pid in [_pid(directory / _AGENT_PID, directory / CONFIG)] if pid is not None and agent]
    server = _pid(directory / DATA / "postmaster.pid", directory / DATA)
    if server is not None:
        with suppress(FileNotFoundError, ProcessLookupError):
            found += [server, *map(int, Path(f"/proc/{server}/task/{server}/children").read_text().split())]
    return found


def agent_pid(directory: Path) -> int | None:
    """A node's Patroni, if it runs."""
    return _pid(directory / _AGENT_PID, directory / CONFIG)


def send(numbers: Sequence[signal.Signals], to: Sequence[int]) -> None:
    """Send all of them one signal, then the next."""
    for number in numbers:
        for pid in to:
            with suppress(ProcessLookupError):
                os.kill(pid, number)


def kill(directory: Path) -> None:
    """End all of a node at once, as when its machine loses its power."""
    send((signal.SIGSTOP, signal.SIGKILL), pids(directory))  # stopped first: none of them sees another one end


def _pid(file: Path, named: Path) -> int | None:
    try:
        pid = int(file.read_text().split("\n", 1)[0])
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError, ValueError):
        return None
    return pid if str(named).encode() in command.split(b"\0") else None  # a zombie has none, another process another


def _is_primary(directory: Path) -> bool:
    spec: dict[str, Any] = json.loads((directory / SPEC).read_text())
    try:
        with urlopen(f"{spec['url']}/patroni", timeout=_LIMIT_S) as answer:  # noqa: S310  http, from the file
            said = json.loads(answer.read())
    except (URLError, OSError, ValueError):
        return False
    return bool(said.get("role") == "primary" and said.get("state") == "running")


def main(home: Path, what: str) -> int:
    """Do it, and say of whom."""
    nodes = sorted(spec.parent for spec in home.glob(f"*/{SPEC}"))
    if what == "kill-primary":
        primaries = [node for node in nodes if _is_primary(node)]
        if len(primaries) != 1:
            sys.stderr.write(f"{len(primaries)} nodes say that they are the primary\n")
            return 1
        kill(primaries[0])
        sys.stdout.write(f"{primaries[0].name} was killed\n")
        return 0
    for node in nodes:
        if agent_pid(node) is None:
            start(node)
            sys.stdout.write(f"{node.name} was started\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2]))
