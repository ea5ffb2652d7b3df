"""A primary and a standby that a test stops, kills and promotes, under one URL that names both."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from tests.support.servers import Server, migrated, servers


def both(*of: Server) -> str:
    """A URL of the product's database on whichever of the servers takes writes."""
    hosts = ",".join(parse_qs(urlsplit(one.url).query)["host"][0] for one in of)
    plain = urlsplit(of[0].url)
    return f"{plain.scheme}://{plain.netloc}{plain.path}?host={hosts}&target_session_attrs=read-write"


def processes(server: Server) -> list[int]:
    """The processes of a server, the one that starts the others first."""
    assert server._process is not None
    main = server._process.pid
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
    return [main, *(pid for pid, parent in parents.items() if parent == main)]


def signalled(server: Server, number: signal.Signals) -> None:
    """Signal every process of a server."""
    for pid in processes(server):
        os.kill(pid, number)


def killed(server: Server) -> None:
    """End a server as a crash would."""
    signalled(server, signal.SIGKILL)
    assert server._process is not None
    server._process.wait(10)
    server._process = None


@contextmanager
def primary_and_standby() -> Iterator[tuple[Server, Server]]:
    """Both run, and the standby streams."""
    with servers(2) as (primary, standby):
        migrated(primary.create().start())
        standby.copy(primary).start()
        yield primary, standby
