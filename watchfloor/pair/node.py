"""One server of a pair: its files, its settings, its start and its ends. Must not know what the other one is."""

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

import psycopg

from watchfloor.embedded import ConfigurationError, EmbeddedPostgres
from watchfloor.embedded import account as accounts
from watchfloor.embedded import binaries as installations
from watchfloor.embedded import cluster as clusters
from watchfloor.pair.errors import PairError
from watchfloor.pair.processes import family
from watchfloor.pair.state import SIGNAL_FILE, cluster_of
from watchfloor.pair.tools import Tools

KEPT_LOG: Final = "128MB"
"""Log kept for a standby that was away, and for rewinding; with more, its data are copied anew."""
SETTINGS: Final = {
    "wal_level": "replica",
    "hot_standby": "on",
    "max_wal_senders": "6",
    "wal_retrieve_retry_interval": "500ms",  # 5 s by default: a standby that sleeps cannot be promoted meanwhile
    "wal_receiver_status_interval": "1s",
    "wal_sender_timeout": "5s",
    "wal_receiver_timeout": "5s",
}
OWN_SETTINGS: Final = "postgresql.auto.conf"
WAITS_FOR: Final = "synchronous_standby_names"
CONNECT_S: Final = 2
QUERY_S: Final = 5.0
"""One question to a server of this machine; a server that stands still is found out by that."""
STOP_S: Final = 60.0
"""An orderly shutdown writes a checkpoint; past this it counts as not having happened."""
KILL_S: Final = 10.0
POLL_S: Final = 0.02
LOG_TAIL_BYTES: Final = 16_384
_FORMER_LOG: Final = "postgres.log"


class Node:
    """One server. Starts and stops may be repeated."""

    def __init__(self, name: str, home: Path, sockets: Path, peer: str) -> None:
        self.name = name
        self.home = home
        self.socket_dir = sockets / name
        self._server: EmbeddedPostgres | None = None
        self._account: accounts.Account | None = None
        conninfo = {"host": str(sockets / peer), "user": clusters.SUPERUSER, "application_name": name}
        self._settings = {
            **SETTINGS,
            "cluster_name": name,
            "primary_conninfo": psycopg.conninfo.make_conninfo("", **conninfo, connect_timeout=CONNECT_S),
        }
        self.tools = Tools(home)

    @property
    def cluster(self) -> Path:
        """Its data directory."""
        return cluster_of(self.home)

    @property
    def has_data(self) -> bool:
        """Whether there is a cluster, of whatever worth."""
        return (self.cluster / "PG_VERSION").exists()

    @property
    def is_standby_on_disk(self) -> bool:
        """Whether it would start as a standby."""
        return (self.cluster / SIGNAL_FILE).exists()

    @property
    def runs(self) -> bool:
        """Whether it has been started and has not ended."""
        return self._server is not None and not self._server.has_ended()

    def prepare(self, owner: "Node") -> None:
        """Find out where the data can be, and the account both servers run as: that of the `owner`'s data."""
        account = self._account = accounts.choose(owner.cluster)
        usable = accounts.reachable_binaries(installations.locate(), account)
        self.home.mkdir(parents=True, exist_ok=True)
        self.home.chmod(0o711 if account else 0o700)
        clusters.place(self.home, account)
        self.tools.use(usable.bin, account)

    def make_empty(self) -> None:
        """Remove its data and leave an empty directory that the server's account can fill.

        Raises:
            PairError: the disk refuses.
        """
        try:
            if self.cluster.exists():
                shutil.rmtree(self.cluster)
            self.cluster.mkdir(mode=0o700)
            if self._account is not None:
                os.chown(self.cluster, self._account.uid, self._account.gid)
        except OSError as error:
            raise PairError(f"the data of {self.name} cannot be replaced: {error.strerror}") from error

    async def start(self, *, waits_for: str = "") -> None:
        """Start it as what the disk says that it is; returns once it takes connections.

        Raises:
            PairError: it does not start.
        """
        if self.runs:
            return
        await self._leave()
        await self.tools.idle()
        if self.has_data:
            self._write_settings(waits_for)
        server = EmbeddedPostgres(self.home, settings=self._settings, socket_dir=self.socket_dir)
        try:
            await asyncio.to_thread(server.start)
        except ConfigurationError as error:
            raise PairError(f"{self.name} does not start: {error}") from error
        self._server = server

    async def stop(self) -> None:
        """Shut it down in order, so that a standby that follows gets everything.

        Raises:
            PairError: it did not end in time; it is then still at it.
        """
        if self._server is None:
            return
        pid = self._server.server_pid()
        if pid is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGINT)
        await self._await_end(STOP_S, "did not shut down")
        await self._leave()

    async def kill(self) -> tuple[int, ...]:
        """End it and all that it started without warning, as a crash would; the numbers of the processes that ended."""
        if self._server is None:
            return ()
        pid = self._server.server_pid()
        ended: tuple[int, ...] = ()
        if pid is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)  # nothing new is started while its children are counted
                ended = await asyncio.to_thread(family, pid)
            for each in (pid, *ended):
                with suppress(ProcessLookupError):
                    os.kill(each, signal.SIGKILL)
            ended = (pid, *ended)
        await self._await_end(KILL_S, "does not die")
        await self._leave()
        return ended

    async def leave(self) -> None:
        """Have it end as its guard ends it: in order within three seconds, or at once."""
        await self._leave()

    async def as_standby(self) -> None:
        """Have it start as a standby the next time.

        Raises:
            PairError: the disk refuses.
        """
        await self._mark(SIGNAL_FILE)

    @asynccontextmanager
    async def ask(self, *, seconds: float = QUERY_S) -> AsyncIterator[psycopg.AsyncConnection[tuple[Any, ...]]]:
        """A connection for as long as `seconds`. What is written on it does not wait for a standby.

        Raises:
            PairError: it does not answer.
        """
        try:
            async with (
                asyncio.timeout(seconds),
                await psycopg.AsyncConnection.connect(
                    host=str(self.socket_dir), user=clusters.SUPERUSER, dbname="postgres", autocommit=True,
                    connect_timeout=CONNECT_S, options="-c synchronous_commit=local",
                    application_name="watchfloor pair",
                ) as connection,
            ):  # fmt: skip
                yield connection
        except TimeoutError as error:
            raise PairError(f"{self.name} did not answer within {seconds:.0f} s") from error
        except psycopg.Error as error:
            raise PairError(f"{self.name}: {error}") from error

    async def one(self, statement: str, *values: Any, seconds: float = QUERY_S) -> tuple[Any, ...]:
        """The first row of an answer.

        Raises:
            PairError: it does not answer.
        """
        async with self.ask(seconds=seconds) as connection:
            row = await (await connection.execute(statement.encode(), values)).fetchone()
        if row is None:
            raise PairError(f"{self.name} answered nothing")
        return row

    def trouble(self) -> str:
        """What its log says last of something that is wrong, since it was started last; empty if nothing."""
        try:
            with (self.home / _FORMER_LOG).open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - LOG_TAIL_BYTES))
                text = file.read().decode(errors="replace")
        except OSError:
            return ""
        wrong = ("FATAL:", "PANIC:", "ERROR:")
        return clusters.explain(text) if any(word in text for word in wrong) or "No space left" in text else ""

    def free_mib(self) -> int:
        """What is free where its data are."""
        return shutil.disk_usage(self.cluster if self.has_data else self.home).free >> 20

    async def _await_end(self, seconds: float, otherwise: str) -> None:
        deadline = asyncio.get_running_loop().time() + seconds
        while self.runs:
            if asyncio.get_running_loop().time() > deadline:
                raise PairError(f"{self.name} {otherwise} within {seconds:.0f} s")
            await asyncio.sleep(POLL_S)

    async def _leave(self) -> None:
        if self._server is not None:
            await asyncio.to_thread(self._server.stop)
            self._server = None

    def _write_settings(self, waits_for: str) -> None:
        """Its own settings for the next start; those that somebody else made are left."""
        own = {WAITS_FOR: waits_for, "wal_keep_size": KEPT_LOG}
        path = self.cluster / OWN_SETTINGS
        before = path.read_text().splitlines() if path.exists() else []
        kept = [line for line in before if line.partition("=")[0].strip() not in own]
        self._write(path, "\n".join([*kept, *(f"{name} = '{value}'" for name, value in own.items()), ""]))

    async def _mark(self, name: str) -> None:
        try:
            self._write(self.cluster / name, "")
        except OSError as error:
            raise PairError(f"{self.name} cannot be made a standby: {error.strerror}") from error

    def _write(self, path: Path, text: str) -> None:
        fresh = path.with_name(f"{path.name}.pair")
        with fresh.open("w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        owner = self.cluster.stat()
        os.chown(fresh, owner.st_uid, owner.st_gid)
        fresh.chmod(0o600)
        fresh.replace(path)
        descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
