"""A PostgreSQL whose address stays the same through its death, and disks that are small enough to be filled."""

import contextlib
import errno
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest

from watchfloor.embedded import EmbeddedPostgres

_BLOCK_BYTES = 64 * 1024
_BALLAST = "ballast"


class LastingPostgres:
    """A server that is killed and started again; clients that live through that find it by a link to its socket."""

    def __init__(self, home: Path, link: Path) -> None:
        self._home = home
        self._link = link
        self._server = EmbeddedPostgres(home)
        self._still: list[int] = []

    def start(self) -> None:
        """Start it, or start it again where it died."""
        self._server.stop()
        self._server = EmbeddedPostgres(self._home).start()
        fresh = self._link.with_name(f"{self._link.name}.new")
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(self._told("socket_dir"))
        fresh.replace(self._link)

    def stop(self) -> None:
        """End it for good."""
        self._server.stop()

    def url(self, database: str, role: str = "watchfloor") -> str:
        """The same after every start."""
        return f"postgresql://{role}@/{database}?host={quote(str(self._link))}"

    def running(self) -> bool:
        """Whether it takes connections."""
        return self._server.running()

    def kill(self) -> None:
        """End every process of it without warning."""
        os.kill(int(self._told("server_pid")), signal.SIGKILL)
        self.go_on()  # processes that stand still would keep its memory from the next one

    def stand_still(self) -> None:
        """Stop every process of it: connections stay open and nobody answers."""
        server = int(self._told("server_pid"))
        os.kill(server, signal.SIGSTOP)  # first, so that no further one is started
        self._still = [server, *map(int, Path(f"/proc/{server}/task/{server}/children").read_text().split())]
        for pid in self._still[1:]:
            os.kill(pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """Let them go on where they were, if they live."""
        still, self._still = self._still, []
        for pid in still:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def reload(self) -> None:
        """Have it read its configuration, also while it recovers."""
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            os.kill(int(self._told("server_pid")), signal.SIGHUP)

    @property
    def cluster(self) -> Path:
        """Its data directory."""
        record = self._home / "location"
        return Path(record.read_text().strip()) if record.exists() else self._home / "data"

    def _told(self, what: str) -> str:
        return str(json.loads((self._home / "server.json").read_text())[what])


@contextmanager
def small_disk(path: Path, size_mib: int) -> Iterator[Path]:
    """A real file system of its own that can be full; skips the test where nobody may mount one."""
    path.mkdir(parents=True, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size_mib}m,mode=0755", "tmpfs", str(path)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no file system can be mounted here: {error}")
    try:
        yield path
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


def fill(disk: Path) -> None:
    """Leave no byte free."""
    with (disk / _BALLAST).open("ab", buffering=0) as ballast:
        for size in (_BLOCK_BYTES, 1):
            with contextlib.suppress(OSError):
                while ballast.write(b"\0" * size) == size:
                    pass
    assert os.statvfs(disk).f_bavail == 0, errno.errorcode[errno.ENOSPC]


def make_room(disk: Path) -> None:
    """Take the ballast away again."""
    (disk / _BALLAST).unlink()
