"""The demo's data directory: its layout, format and lock. Must never delete what a person may want back."""

import contextlib
import fcntl
import json
import os
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from watchfloor.demo.people import write_private
from watchfloor.embedded.errors import ConfigurationError, refusal
from witness.sockets import SOCKET_NAME, AddressError, short

DEFAULT_DIRECTORY = ".watchfloor"
FORMAT = 1  # raise when an older Watchfloor could not use the directory any more
HANDOVER_SECONDS = 6.0  # a demo that is stopping is gone by then
POLL_SECONDS = 0.05
PAIR_SOCKET_NAME = "pair.sock"
_NAME_CHARS = 16  # of the longest name among the demo's users, with room


class Workspace:
    """One data directory, held by one demo at a time."""

    def __init__(self, directory: Path | str) -> None:
        self.directory = Path(directory).expanduser().absolute()
        self.users_file = self.directory / "demo-users.json"
        self.token_file = self.directory / "simulator.token"
        self.watcher_token_file = self.directory / "watcher.token"
        self.chains_file = self.directory / "chains.jsonl"
        self.logs = self.directory / "logs"
        self.postgres = self.directory / "postgres"
        self.backend = self.directory / "backend"
        self.signer = self.directory / "signer"
        self.witness = self.directory / "witness"
        self.signer_socket = self.signer / SOCKET_NAME
        self.pair_socket = self.directory / PAIR_SOCKET_NAME
        self.keys = self.directory / "keys"
        self.agents = self.keys / "agents"
        self._elsewhere: tempfile.TemporaryDirectory[str] | None = None
        self._lock: int | None = None

    def __enter__(self) -> Self:
        try:
            self._make()
            self._check_format()
            self._lock = self._take()
            self._place_socket()
        except OSError as error:
            raise refusal(f"use the data directory {self.directory}", error) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._elsewhere is not None:
            self._elsewhere.cleanup()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def announce(self, url: str) -> None:
        """Leave the address for a second start in the same directory, which has to say where the first one is."""
        if self._lock is not None:
            os.truncate(self._lock, 0)
            os.pwrite(self._lock, json.dumps({"pid": os.getpid(), "url": url}).encode(), 0)

    def _place_socket(self) -> None:
        """A socket's address is short; where the directory's is not, the socket lies in one of its own."""
        try:
            short(self.signer_socket)
            short(self.agents / ("x" * _NAME_CHARS))
        except AddressError:
            self._elsewhere = tempfile.TemporaryDirectory(prefix="wf-demo-")
            self.signer_socket = Path(self._elsewhere.name) / SOCKET_NAME
            self.agents = Path(self._elsewhere.name)
            self.pair_socket = self.agents / PAIR_SOCKET_NAME

    def _make(self) -> None:
        if not self.directory.is_dir():
            self.directory.mkdir(parents=True)
            # Root's database runs as another account, which has to walk through; every file has a mode of its own.
            self.directory.chmod(0o711 if os.geteuid() == 0 else 0o700)
        for private in (self.logs, self.keys, self.agents):
            private.mkdir(mode=0o700, exist_ok=True)

    def _check_format(self) -> None:
        path = self.directory / "format"
        if not path.exists():
            write_private(path, f"{FORMAT}\n")
        found = path.read_text().strip()
        if found != str(FORMAT):
            raise ConfigurationError(
                f"{self.directory} was written by another version of Watchfloor (its format is {found}, here it is"
                f" {FORMAT}): use that version or another --data-dir"
            )

    def _take(self) -> int:
        descriptor = os.open(self.directory / "demo.lock", os.O_RDWR | os.O_CREAT, 0o600)
        deadline = time.monotonic() + HANDOVER_SECONDS
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                running = os.pread(descriptor, 1000, 0)
                if running or time.monotonic() > deadline:
                    os.close(descriptor)
                    raise ConfigurationError(self._taken(running)) from None
                time.sleep(POLL_SECONDS)
            else:
                os.truncate(descriptor, 0)
                return descriptor

    def retire(self) -> None:
        """Take the address back: from now on a second start waits for this one to end."""
        if self._lock is not None:
            os.truncate(self._lock, 0)

    def _taken(self, running: bytes) -> str:
        with contextlib.suppress(ValueError, KeyError):
            first = json.loads(running)
            return (
                f"a demo already runs in {self.directory} (pid {first['pid']}): open another console with"
                f" `watchfloor console --url {first['url']}`, or use another --data-dir"
            )
        return f"a demo already runs in {self.directory}: stop it or use another --data-dir"
