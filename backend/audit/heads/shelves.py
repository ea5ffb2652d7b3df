"""The shelves there are: a directory, S3-compatible storage, a table in another database."""

import asyncio
import os
import threading
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, Final, TypeVar

import psycopg

from backend.audit.heads.parties import ASK_LIMIT_S, PartyError
from witness.files import private_directory, sync_directory, write_new

T = TypeVar("T")
_LIST_AT_ONCE: Final = 50
"""Names asked for at a time where only the first is wanted."""


class DirectoryShelf:
    """Files that are made once; put the directory on another machine for it to be worth something."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._busy: threading.Thread | None = None

    async def put_new(self, key: str, data: bytes) -> bool:
        """See `Shelf`."""
        return await self._aside(partial(self._put_new, self._directory / key, data))

    async def get(self, key: str) -> bytes | None:
        """See `Shelf`."""
        return await self._aside(partial(_read, self._directory / key))

    async def first(self, prefix: str) -> str | None:
        """See `Shelf`."""
        return await self._aside(partial(self._first, prefix))

    async def folders(self, prefix: str) -> list[str]:
        """See `Shelf`."""
        return await self._aside(partial(_folder_names, self._directory / prefix))

    async def close(self) -> None:
        """See `Shelf`."""

    async def _aside(self, work: Callable[[], T]) -> T:
        """Work in a thread that nobody waits for when the disk hangs; there is never more than one."""
        if self._busy is not None and self._busy.is_alive():
            raise PartyError("It still hangs on an earlier request.")
        loop = asyncio.get_running_loop()
        result: asyncio.Future[T] = loop.create_future()

        def run() -> None:
            try:
                settle = partial(_set, result, work())
            except OSError as error:
                settle = partial(_fail, result, error)
            if not loop.is_closed():
                loop.call_soon_threadsafe(settle)

        self._busy = threading.Thread(target=run, name="directory witness", daemon=True)
        self._busy.start()
        try:
            return await asyncio.wait_for(result, ASK_LIMIT_S)
        except TimeoutError as error:
            raise PartyError(f"It does not answer within {ASK_LIMIT_S:.0f} s.") from error
        except OSError as error:
            raise PartyError(f"It cannot be used: {error.strerror}.") from error
        finally:
            if result.done() and not result.cancelled():
                self._busy.join()  # it has nothing left to do

    def _put_new(self, path: Path, data: bytes) -> bool:
        if not path.parent.is_dir():
            private_directory(path.parent)
            for parent in (path.parent.parent, path.parent.parent.parent):
                sync_directory(parent)
        return write_new(path, data)

    def _first(self, prefix: str) -> str | None:
        """Two levels, each read whole: folders are kept small by `head_key`."""
        folder = _first_name(self._directory / prefix)
        if folder is None:
            return None
        name = _first_name(self._directory / prefix / folder)
        return None if name is None else f"{prefix}{folder}/{name}"


def _set(result: "asyncio.Future[T]", value: T) -> None:
    if not result.done():
        result.set_result(value)


def _fail(result: "asyncio.Future[Any]", error: OSError) -> None:
    if not result.done():
        result.set_exception(error)


def _first_name(directory: Path) -> str | None:
    try:
        with os.scandir(directory) as entries:
            return min((entry.name for entry in entries if not entry.name.startswith(".")), default=None)
    except FileNotFoundError:
        return None


def _folder_names(directory: Path) -> list[str]:
    try:
        with os.scandir(directory) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir())
    except FileNotFoundError:
        return []


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


class ObjectShelf:
    """S3-compatible storage; a bucket with object lock keeps even its owner from changing what lies there."""

    def __init__(self, url: str) -> None:
        """Point at `s3://BUCKET/PREFIX`; credentials and endpoint come from the AWS_* environment.

        Raises:
            PartyError: the package `obstore` is not installed.
        """
        try:
            self._api = import_module("obstore")
            store: Any = import_module("obstore.store")
        except ModuleNotFoundError as error:
            raise PartyError("s3:// needs the extra `s3` (the package obstore).") from error
        self._exceptions: Any = import_module("obstore.exceptions")
        plain = os.environ.get("AWS_ALLOW_HTTP", "").lower() in {"true", "1"}
        client = {"timeout": f"{ASK_LIMIT_S:.0f}s", "allow_http": plain}
        # an AWS_CONDITIONAL_PUT of the environment must not turn "only if the name is free" off
        config = {"conditional_put": "etag"}
        self._store = store.S3Store.from_url(url, config=config, client_options=client, retry_config={"max_retries": 0})
        self._taken = (self._exceptions.AlreadyExistsError, self._exceptions.PreconditionError)

    async def put_new(self, key: str, data: bytes) -> bool:
        """See `Shelf`."""
        try:
            await self._within(self._api.put_async(self._store, key, data, mode="create", use_multipart=False))
        except self._taken:
            return False
        return True

    async def get(self, key: str) -> bytes | None:
        """See `Shelf`."""
        try:
            found = await self._within(self._api.get_async(self._store, key))
            return bytes(await self._within(found.bytes_async()))
        except (self._exceptions.NotFoundError, FileNotFoundError):
            return None

    async def first(self, prefix: str) -> str | None:
        """See `Shelf`; the storage lists names in their order."""
        listing = self._api.list(self._store, prefix, chunk_size=_LIST_AT_ONCE)
        try:
            names = await self._within(listing.__anext__())
        except StopAsyncIteration:
            return None
        return min((str(one["path"]) for one in names), default=None)

    async def folders(self, prefix: str) -> list[str]:
        """See `Shelf`."""
        found = await self._within(self._api.list_with_delimiter_async(self._store, prefix))
        return sorted(str(one).rstrip("/").rpartition("/")[2] for one in found["common_prefixes"])

    async def close(self) -> None:
        """See `Shelf`."""

    async def _within(self, work: Any) -> Any:
        known = (*self._taken, self._exceptions.NotFoundError, FileNotFoundError)
        try:
            return await asyncio.wait_for(work, ASK_LIMIT_S)
        except TimeoutError as error:
            raise PartyError(f"It does not answer within {ASK_LIMIT_S:.0f} s.") from error
        except (StopAsyncIteration, *known):
            raise
        except (self._exceptions.BaseError, OSError) as error:
            raise PartyError(f"It refuses ({type(error).__name__}).") from error


_TABLE = """
CREATE TABLE IF NOT EXISTS watchfloor_witness (
    key text COLLATE "C" PRIMARY KEY, data bytea NOT NULL, stored_at timestamptz NOT NULL DEFAULT now())
"""
_REFUSE = """
CREATE OR REPLACE FUNCTION watchfloor_witness_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'a witness forgets nothing: % refused', TG_OP USING ERRCODE = 'insufficient_privilege'; END $$
"""
_TRIGGER = """
CREATE OR REPLACE TRIGGER watchfloor_witness_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON watchfloor_witness
FOR EACH STATEMENT EXECUTE FUNCTION watchfloor_witness_refuse()
"""
_AFTER_SLASH: Final = chr(ord("/") + 1)
"""Sorts right after everything in a folder."""
_MOST_FOLDERS: Final = 10_000
"""Logs and generations of all ledgers that share the table."""
_LOCK: Final = 0x5746_0003
"""Advisory lock: two backends that set the table up at once do it one after the other."""


class TableShelf:
    """An append-only table in another PostgreSQL, under somebody else's administration."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: psycopg.AsyncConnection[tuple[Any, ...]] | None = None

    async def put_new(self, key: str, data: bytes) -> bool:
        """See `Shelf`."""
        rows = await self._run(
            "INSERT INTO watchfloor_witness (key, data) VALUES (%s, %s) ON CONFLICT DO NOTHING RETURNING 1", (key, data)
        )
        return bool(rows)

    async def get(self, key: str) -> bytes | None:
        """See `Shelf`."""
        rows = await self._run("SELECT data FROM watchfloor_witness WHERE key = %s", (key,))
        return bytes(rows[0][0]) if rows else None

    async def first(self, prefix: str) -> str | None:
        """See `Shelf`."""
        rows = await self._run(
            "SELECT key FROM watchfloor_witness WHERE key >= %s AND starts_with(key, %s) ORDER BY key LIMIT 1",
            (prefix, prefix),
        )
        return str(rows[0][0]) if rows else None

    async def folders(self, prefix: str) -> list[str]:
        """See `Shelf`; one look into the index a folder, however much lies in it."""
        found: list[str] = []
        while len(found) < _MOST_FOLDERS:
            after = f"{prefix}{found[-1]}{_AFTER_SLASH}" if found else prefix
            rows = await self._run(
                "SELECT key FROM watchfloor_witness WHERE key >= %s AND starts_with(key, %s) ORDER BY key LIMIT 1",
                (after, prefix),
            )
            if not rows:
                return found
            found.append(str(rows[0][0]).removeprefix(prefix).partition("/")[0])
        raise PartyError(f"It holds more than {_MOST_FOLDERS:,} logs.")

    async def close(self) -> None:
        """See `Shelf`."""
        if self._connection is not None:
            await self._connection.close()
            self._connection = None

    async def _run(self, statement: str, values: tuple[object, ...]) -> list[tuple[Any, ...]]:
        try:
            async with asyncio.timeout(ASK_LIMIT_S):
                connection = self._connection or await self._connect()
                cursor = await connection.execute(statement.encode(), values)
                return await cursor.fetchall()
        except (psycopg.Error, OSError, TimeoutError) as error:
            if self._connection is not None:
                broken, self._connection = self._connection, None
                await broken.close()
            raise PartyError(
                f"It cannot be used: {str(error).strip().partition(chr(10))[0] or 'no answer'}."
            ) from error

    async def _connect(self) -> psycopg.AsyncConnection[tuple[Any, ...]]:
        connection = await psycopg.AsyncConnection.connect(
            self._url, autocommit=True, connect_timeout=2, application_name="watchfloor witness"
        )
        try:
            await connection.execute("SET synchronous_commit = on")
            async with connection.transaction():
                await connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
                for statement in (_TABLE, _REFUSE, _TRIGGER):
                    await connection.execute(statement)
        except BaseException:
            await connection.close()
            raise
        self._connection = connection
        return connection
