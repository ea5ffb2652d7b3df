"""Places outside the database where files are kept for years: a local directory, or S3-compatible storage.

A file is stored once and never replaced or deleted by us. Knows nothing of what is in the files.
"""

import asyncio
import os
import secrets
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import urlsplit

from backend.errors import ConfigurationError
from witness.files import PRIVATE_FILE, private_directory, sync_directory

if TYPE_CHECKING:
    from obstore.store import ObjectStore

CHUNK_BYTES: Final = 2**20
"""A file is read in pieces: an archive need not fit into memory."""
REQUEST_LIMIT_S: Final = 300
"""One file of an archive has tens of megabytes; a place that takes longer is not reachable."""


class StoreError(Exception):
    """The place did not do what was asked; whether something was stored is not known."""


class NotStoredError(Exception):
    """There is no file of this name in the place."""


class Store(Protocol):
    """One place."""

    place: str
    """As the settings name it."""

    async def put_new(self, name: str, source: Path) -> bool:
        """Store a file under a name that must be free, whole and durable; False when the name is taken.

        Raises:
            StoreError: it could not be stored, e.g. because the place is full.
        """

    def read(self, name: str) -> AsyncIterator[bytes]:
        """Give a file piece by piece.

        Raises:
            NotStoredError: there is none.
            StoreError: it could not be read.
        """


class ListedStore(Store, Protocol):
    """One whose files can be listed: by a person who looks for something, never by what keeps them."""

    def names(self, ending: str) -> AsyncIterator[str]:
        """Names of the files whose names end so, in no particular order.

        Raises:
            StoreError: the place does not answer.
        """


class DirectoryStore:
    """A directory of this machine, or one mounted from elsewhere."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.place = f"dir:{root}"

    async def put_new(self, name: str, source: Path) -> bool:
        """See `Store`."""
        try:
            return await asyncio.to_thread(self._put, self._root / name, source)
        except OSError as error:
            raise StoreError(f"{self.place}: {error.strerror or error}") from error

    def _put(self, path: Path, source: Path) -> bool:
        if path.exists():
            return False
        private_directory(path.parent)
        draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}.draft")  # process ids repeat between containers
        try:
            self._copy(source, draft)
            try:
                os.link(draft, path)  # unlike a rename it never replaces anything
            except FileExistsError:
                return False
        finally:
            draft.unlink(missing_ok=True)
        for directory in (path.parent, *path.parent.parents):
            sync_directory(directory)
            if directory == self._root:
                break
        return True

    @staticmethod
    def _copy(source: Path, draft: Path) -> None:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, PRIVATE_FILE)
        with source.open("rb") as given, os.fdopen(descriptor, "wb") as copy:
            shutil.copyfileobj(given, copy, CHUNK_BYTES)
            copy.flush()
            os.fsync(copy.fileno())

    async def read(self, name: str) -> AsyncIterator[bytes]:
        """See `Store`."""
        try:
            with (self._root / name).open("rb") as file:
                while piece := await asyncio.to_thread(file.read, CHUNK_BYTES):
                    yield piece
        except FileNotFoundError as error:
            # a directory that is not mounted says nothing about its files
            if self._root.is_dir():
                raise NotStoredError(f"{self.place}: there is no {name}") from error
            raise StoreError(f"{self.place}: the directory is not there") from error
        except OSError as error:
            raise StoreError(f"{self.place}: {error.strerror or error}") from error

    async def names(self, ending: str) -> AsyncIterator[str]:
        """See `ListedStore`."""

        def found() -> list[str]:
            if not self._root.is_dir():
                raise StoreError(f"{self.place}: the directory is not there")
            files = (path for path in self._root.rglob(f"*{ending}") if path.is_file())
            return sorted(path.relative_to(self._root).as_posix() for path in files)

        try:
            listed = await asyncio.to_thread(found)
        except OSError as error:
            raise StoreError(f"{self.place}: {error.strerror or error}") from error
        for name in listed:
            yield name


class ObjectStorage:
    """A bucket of S3-compatible storage. Credentials and endpoint come from the AWS_* environment variables.

    Whether objects can be deleted early is the bucket's business: a default retention (Object Lock) keeps them.
    """

    def __init__(self, place: str, store: "ObjectStore") -> None:
        self.place = place
        self._store = store

    async def put_new(self, name: str, source: Path) -> bool:
        """See `Store`."""
        import obstore
        from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError

        try:
            # in one request: only such a one can insist on a free name
            async with asyncio.timeout(REQUEST_LIMIT_S):
                await obstore.put_async(self._store, name, source, mode="create", use_multipart=False)
        except (AlreadyExistsError, PreconditionError):
            return False
        except (BaseError, OSError, TimeoutError) as error:
            raise StoreError(f"{self.place}: {_line(error)}") from error
        return True

    async def read(self, name: str) -> AsyncIterator[bytes]:
        """See `Store`."""
        import obstore
        from obstore.exceptions import BaseError

        try:
            async with asyncio.timeout(REQUEST_LIMIT_S):
                found = await obstore.get_async(self._store, name)
                async for piece in found.stream(CHUNK_BYTES):
                    yield bytes(piece)
        except FileNotFoundError as error:
            raise NotStoredError(f"{self.place}: there is no {name}") from error
        except (BaseError, OSError, TimeoutError) as error:
            raise StoreError(f"{self.place}: {_line(error)}") from error

    async def names(self, ending: str) -> AsyncIterator[str]:
        """See `ListedStore`."""
        import obstore
        from obstore.exceptions import BaseError

        try:
            async for objects in obstore.list(self._store):
                for one in objects:
                    if one["path"].endswith(ending):
                        yield one["path"]
        except (BaseError, OSError, TimeoutError) as error:
            raise StoreError(f"{self.place}: {_line(error)}") from error


def _line(error: BaseException) -> str:
    """The first line of what a library says: the rest is its own innards."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


def open_store(spec: str, **options: Any) -> ListedStore:
    """Open one place of a setting; connects to nothing. `options` go to the S3 client, e.g. an endpoint.

    Raises:
        ConfigurationError: it names no place, or the extra it needs is not installed.
    """
    kind, _, rest = spec.partition(":")
    if kind == "dir" and rest.startswith("/"):
        return DirectoryStore(Path(rest))
    parts = urlsplit(spec)
    if kind == "s3" and parts.netloc:
        return ObjectStorage(spec, _s3(parts.netloc, parts.path.strip("/"), options))
    raise ConfigurationError(f"{spec!r} names no place: write dir:/PATH or s3://BUCKET/PREFIX")


def _s3(bucket: str, prefix: str, options: dict[str, Any]) -> "ObjectStore":
    try:
        from obstore.store import S3Store
    except ImportError as error:
        raise ConfigurationError("s3:// places need the extra: pip install 'watchfloor[s3]'") from error
    # an AWS_CONDITIONAL_PUT of the environment must not turn "only if the name is free" off
    return S3Store(bucket, prefix=prefix or None, conditional_put="etag", **options)


def open_stores(setting: str) -> tuple[Store, ...]:
    """Open every place of a setting, separated by spaces; one named twice counts once.

    Raises:
        ConfigurationError: as `open_store`.
    """
    return tuple(open_store(spec) for spec in dict.fromkeys(setting.split()))
