"""Starts, shares and leaves the embedded server. Must never signal a server it only shares.

Whoever uses the server holds a shared lock in its directory for as long as its process lives; see `guard`.
"""

import contextlib
import fcntl
import json
import os
import secrets
import select
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

from watchfloor.embedded import account as accounts
from watchfloor.embedded import binaries as installations
from watchfloor.embedded import cluster as clusters
from watchfloor.embedded.errors import ConfigurationError, refusal

START_SECONDS = 120.0  # crash recovery of a large log; a start takes 0.02
STOP_SECONDS = 5.0
HANDOVER_SECONDS = 10.0  # a server that is stopping frees its lock within STOP_SECONDS
SHARED_PROBE_SECONDS = 0.2  # a guard that is alone has noticed by then
POLL_SECONDS = 0.01
SOCKET_DIRECTORY_PREFIX = "wf-"
SOCKET_NAME = ".s.PGSQL.5432"
LONGEST_SOCKET_PATH_BYTES = 103  # sun_path: 108 with its final NUL on Linux, 104 elsewhere
GUARD_PROGRAM = Path(__file__).with_name("guard.py")


class EmbeddedPostgres:
    """A private PostgreSQL in `data_dir`, shared by every process that starts it there and gone with the last one.

    `fast` gives up durability and is for throw-away data only. `ephemeral` removes `data_dir` at the end. `settings`
    are PostgreSQL's own, for a server that this call starts; one that runs already keeps its own. `socket_dir` is a
    directory that only this server uses and that is gone with it, where its address has to be the same every time.
    """

    def __init__(
        self,
        data_dir: Path | str,
        *,
        fast: bool = False,
        ephemeral: bool = False,
        settings: Mapping[str, str] | None = None,
        reachable_places: Sequence[Path] | None = None,
        socket_dir: Path | None = None,
    ) -> None:
        self.home = Path(data_dir).expanduser().resolve()
        self._fast = fast
        self._ephemeral = ephemeral
        self._settings = dict(settings or {})
        self._places = reachable_places
        self._wanted_socket_dir = socket_dir
        self._holding: int | None = None
        self._socket_dir: Path | None = None

    @property
    def database_url(self) -> str:
        """The URL of database `watchfloor`."""
        return self.url(clusters.DATABASE)

    def url(self, database: str) -> str:
        """The URL of any database of this server; it carries no secret, the socket directory is the key."""
        if self._socket_dir is None:
            raise RuntimeError("the server has not been started")
        return f"postgresql://{clusters.SUPERUSER}@/{database}?host={quote(str(self._socket_dir))}"

    def start(self) -> Self:
        """Start the server or join the one that runs here; after that `database_url` is usable.

        Raises ConfigurationError, with one line, for everything a person has to change first.
        """
        try:
            self._hold()
            with _locked(self.home / "start.lock"):
                if not self._join():
                    self._launch()
        except BaseException as error:
            self._release()
            if isinstance(error, OSError):
                raise refusal(f"use the data directory {self.home}", error) from error
            raise
        return self

    def stop(self) -> None:
        """Leave the server; when nobody else uses it, return only after it has shut down (at most 5 s)."""
        if self._holding is None:
            return
        self._release()
        started = time.monotonic()
        while time.monotonic() - started < STOP_SECONDS and _is_locked(self.home / "guard.lock"):
            alone_for_long = time.monotonic() - started > SHARED_PROBE_SECONDS
            if alone_for_long and not _is_locked(self.home / "holders.lock"):
                return  # the guard does not hold it, so somebody else still does
            time.sleep(POLL_SECONDS)

    def running(self) -> bool:
        """Say whether the server accepts connections now."""
        return self._socket_dir is not None and _answers(self._socket_dir)

    def server_pid(self) -> int | None:
        """The number of the server's first process; None while there is none."""
        try:
            return int(json.loads((self.home / "server.json").read_text())["server_pid"])
        except (OSError, ValueError, KeyError):
            return None

    def has_ended(self) -> bool:
        """Say whether nothing of the server is left: what has started and does not answer has not ended."""
        return not _is_locked(self.home / "guard.lock")

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _hold(self) -> None:
        if self._holding is not None:
            raise RuntimeError("the server is already started by this object")
        deadline = time.monotonic() + HANDOVER_SECONDS
        while True:
            self._make_home()
            path = self.home / "holders.lock"
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
                if _same_file(descriptor, path):
                    self._holding = descriptor
                    return
            except BlockingIOError:
                if time.monotonic() > deadline:
                    os.close(descriptor)
                    raise ConfigurationError(f"the previous server in {self.home} does not stop") from None
            os.close(descriptor)
            time.sleep(POLL_SECONDS)

    def _make_home(self) -> None:
        # The server's account must be able to walk through, and everything private in here has a mode of its own.
        mode = 0o711 if os.geteuid() == 0 else 0o700
        if not self.home.is_dir():
            self.home.mkdir(parents=True, exist_ok=True)
            self.home.chmod(mode)

    def _release(self) -> None:
        if self._holding is not None:
            os.close(self._holding)
            self._holding = None

    def _join(self) -> bool:
        deadline = time.monotonic() + HANDOVER_SECONDS
        while _is_locked(self.home / "guard.lock"):
            with contextlib.suppress(OSError, ValueError, KeyError):
                found = Path(json.loads((self.home / "server.json").read_text())["socket_dir"])
                if _answers(found):
                    self._socket_dir = found
                    return True
            if time.monotonic() > deadline:
                raise ConfigurationError(f"the server in {self.home} runs but does not answer; see postgres.log there")
            time.sleep(POLL_SECONDS)
        return False

    def _launch(self) -> None:
        installed = installations.locate()
        account = accounts.choose(self._known_cluster())
        usable = accounts.reachable_binaries(installed, account, self._places)
        cluster = clusters.place(self.home, account, self._places)
        if not clusters.check(cluster, usable):
            clusters.create(cluster, usable, account, durable=not self._fast)
        _remove_stale_pid_file(cluster)
        _remove_stale_socket_directory(self.home / "server.json")
        wanted = self._wanted_socket_dir
        socket_dir = _socket_directory(account) if wanted is None else _made_socket_directory(wanted, account)
        log = self.home / "postgres.log"
        if log.exists():
            log.replace(log.with_suffix(".log.1"))
        verdict = self._run_guard(
            cluster, socket_dir, [str(usable.bin / "postgres"), *self._arguments(cluster, socket_dir)], account
        )
        if verdict != "ready":
            output = log.read_text(errors="replace") if log.exists() else ""
            raise ConfigurationError(f"PostgreSQL does not start in {cluster}: {clusters.explain(output) or verdict}")
        self._socket_dir = socket_dir

    def _known_cluster(self) -> Path:
        record = self.home / clusters.LOCATION_FILE
        return Path(record.read_text().strip()) if record.exists() else self.home / "data"

    def _arguments(self, cluster: Path, socket_dir: Path) -> Iterator[str]:
        yield from ("-D", str(cluster), "-h", "", "-k", str(socket_dir))
        settings = {
            "unix_socket_permissions": "0700",
            "timezone": "UTC",
            "log_timezone": "UTC",
            "logging_collector": "off",
            "max_connections": "200" if self._fast else "100",
            "max_wal_size": "512MB",
        }
        if self._fast:
            settings |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        for name, value in (settings | self._settings).items():
            yield from ("-c", f"{name}={value}")

    def _run_guard(self, cluster: Path, socket_dir: Path, argv: list[str], account: accounts.Account | None) -> str:
        reading, writing = os.pipe()
        spec = {
            "home": str(self.home), "cluster": str(cluster), "socket_dir": str(socket_dir), "argv": argv,
            "environment": accounts.SERVER_ENVIRONMENT, "identity": accounts.identity(account),
            "ephemeral": self._ephemeral, "ready_descriptor": writing,
        }  # fmt: skip
        try:
            subprocess.run(
                [sys.executable, "-I", "-S", GUARD_PROGRAM], check=True, text=True, pass_fds=[writing], cwd="/",
                input=json.dumps(spec), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip
            os.close(writing)
            ready, _, _ = select.select([reading], [], [], START_SECONDS)
            return os.read(reading, 100).decode() if ready else f"not ready after {START_SECONDS:.0f} s"
        except subprocess.CalledProcessError as error:
            raise ConfigurationError(f"the server's guard does not start (exit code {error.returncode})") from error
        finally:
            os.close(reading)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _is_locked(path: Path) -> bool:
    """Say whether somebody holds the file exclusively; a missing file is held by nobody."""
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _same_file(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _answers(socket_dir: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(socket_dir / SOCKET_NAME))
        except OSError:
            return False
    return True


def _socket_directory(account: accounts.Account | None) -> Path:
    for base in (Path(tempfile.gettempdir()), Path("/tmp")):  # noqa: S108  a directory of our own is made below it
        directory = base / f"{SOCKET_DIRECTORY_PREFIX}{secrets.token_hex(5)}"
        if len(os.fsencode(directory / SOCKET_NAME)) > LONGEST_SOCKET_PATH_BYTES:
            continue
        try:
            directory.mkdir(mode=0o700)
        except OSError:
            continue
        if account is not None:
            os.chown(directory, account.uid, account.gid)
            if not account.enters(directory):
                directory.rmdir()
                continue
        return directory
    raise ConfigurationError("no writable temporary directory with a short path for the database socket: set TMPDIR")


def _made_socket_directory(directory: Path, account: accounts.Account | None) -> Path:
    """Make a directory of a server that does not run; a server that was killed leaves its socket there."""
    if len(os.fsencode(directory / SOCKET_NAME)) > LONGEST_SOCKET_PATH_BYTES:
        raise ConfigurationError(f"{directory} is too long a path for the database socket: choose a shorter one")
    directory.mkdir(mode=0o700, exist_ok=True)
    for name in (SOCKET_NAME, f"{SOCKET_NAME}.lock"):
        (directory / name).unlink(missing_ok=True)
    if account is not None:
        os.chown(directory, account.uid, account.gid)
    return directory


def _remove_stale_pid_file(cluster: Path) -> None:
    """Remove the pid file of a server that is gone, when its number now belongs to another program.

    PostgreSQL sees through a dead pid by itself, but after a restart of a container any process may have that pid.
    """
    path = cluster / "postmaster.pid"
    try:
        pid = int(path.read_text().split("\n", 1)[0])
        directory = Path(f"/proc/{pid}/cwd").readlink()
    except (OSError, ValueError):
        return
    if directory != cluster:
        path.unlink(missing_ok=True)


def _remove_stale_socket_directory(record: Path) -> None:
    """Remove what a guard that was killed could not: its empty socket directory, if it is what we once made."""
    with contextlib.suppress(OSError, ValueError, KeyError):
        directory = Path(json.loads(record.read_text())["socket_dir"])
        if directory.name.startswith(SOCKET_DIRECTORY_PREFIX) and not _answers(directory):
            for name in (SOCKET_NAME, f"{SOCKET_NAME}.lock"):
                (directory / name).unlink(missing_ok=True)
            directory.rmdir()
