"""The journal of a drill: one file, each line on the disk before what it says is done.

Lines are sealed with a key that derives from the master key, bound to the database, the drill and their place in the
file: what somebody else wrote, changed, moved or took out of the middle is refused, never guessed at. The beginning of
a line that a crash cut off was promised to nobody. One process writes; must never block the event loop.
"""

import fcntl
import os
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic import ValidationError

from backend.continuity.lines import LINES, Line
from backend.db import place_of
from backend.diskthread import DiskThread
from backend.settings import Settings
from ledger.seal import NONCE_BYTES
from witness.files import sync_directory

T = TypeVar("T")

DIRECTORY: Final = "recovery"
"""Below the data directory: in it one directory a database."""
SUFFIX: Final = ".journal"
REFUSED: Final = ".refused"
"""Of a file that is none of ours."""
GIVEN_UP: Final = ".given-up"
"""Of the journal of a drill that was given up elsewhere: the database may lack some of it."""
LOCK: Final = "running.lock"
"""Held by the process that runs a drill with this data directory."""
ANSWER_S: Final = 2.0
"""A disk that takes longer to answer counts as broken."""
MAX_BYTES: Final = 64 * 1024 * 1024
"""A plan of fifty steps with everything they may print, several times over."""
_VERSION: Final = b"recovery journal 1 "
_FLAGS: Final = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


class JournalError(Exception):
    """The disk does not take a line, or the journal is another process's."""


class JournalBusyError(JournalError):
    """A process that lives holds it."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a file held."""

    lines: tuple[Line, ...]
    refused: int = 0
    """Lines that are none of ours, or not where we wrote them."""


@dataclass(frozen=True, slots=True)
class Seal:
    """What the lines of one drill at one database are sealed with. Its `repr` does not show the key."""

    key: bytes = field(repr=False)
    place: str
    ref: str
    random_bytes: Callable[[int], bytes] = field(repr=False)

    def _bound(self, number: int) -> bytes:
        return _VERSION + f"{self.place} {self.ref} {number}".encode()

    def close(self, line: Line, number: int) -> bytes:
        """Write a line down, newline included."""
        nonce = self.random_bytes(NONCE_BYTES)
        sealed = AESGCM(self.key).encrypt(nonce, LINES.dump_json(line), self._bound(number))
        return b64encode(nonce + sealed) + b"\n"

    def open(self, raw: bytes, number: int) -> Line | None:
        """Read a line; None if it is none of ours or belongs elsewhere."""
        try:
            sealed = b64decode(raw, validate=True)
            told = AESGCM(self.key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], self._bound(number))
            return LINES.validate_json(told)
        except (InvalidTag, ValidationError, ValueError):
            return None

    def read(self, raw: Iterable[bytes]) -> Found:
        """Tell our lines from others; never raises."""
        mine: list[Line] = []
        refused = 0
        for one in raw:
            line = self.open(one, len(mine) + 1)
            if line is None:
                refused += 1
            else:
                mine.append(line)
        return Found(tuple(mine), refused)


@dataclass
class _File:
    """The file itself. Every method may wait for the disk."""

    path: Path
    _descriptor: int | None = None

    def opened(self) -> int:
        if self._descriptor is None:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self.path, _FLAGS, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                sync_directory(self.path.parent)  # a power cut that takes the file's name takes its lines
            except OSError:
                os.close(descriptor)
                raise
            self._descriptor = descriptor
        return self._descriptor

    def append(self, line: bytes, keep: Callable[[], bool]) -> None:
        descriptor = self.opened()
        before = os.fstat(descriptor).st_size
        if before + len(line) > MAX_BYTES:
            raise JournalError(f"the journal is full: {before:,} bytes")
        kept = False
        try:
            if os.write(descriptor, line) == len(line):
                os.fsync(descriptor)
                kept = keep()
        finally:
            if not kept:
                os.ftruncate(descriptor, before)
        if not kept:
            raise JournalError("the disk took half a line, or took too long")

    def lines(self) -> list[bytes]:
        """Every whole line; what a crash has left of one is cut off, so that the next one stands alone."""
        descriptor = self.opened()
        raw = os.pread(descriptor, MAX_BYTES, 0)
        *whole, torn = raw.split(b"\n")
        if torn:
            os.ftruncate(descriptor, len(raw) - len(torn))
            os.fsync(descriptor)
        return whole

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def set_aside(self, suffix: str) -> Path:
        aside = self.path.with_suffix(suffix)
        self.path.replace(aside)
        sync_directory(aside.parent)
        self.close()
        return aside

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)
        self.close()


@dataclass
class Journal:
    """One drill's journal as the event loop uses it."""

    seal: Seal
    _file: _File
    count: int = 0
    """How many lines are on the disk."""
    _disk: DiskThread = field(default_factory=lambda: DiskThread("recovery journal"))

    @property
    def path(self) -> Path:
        """Where it lies."""
        return self._file.path

    async def append(self, line: Line) -> None:
        """Put a line on the disk.

        Raises:
            JournalError: it is not certain that it is there.
        """
        sealed = self.seal.close(line, self.count + 1)
        try:
            await self._disk.do_or_undo(lambda keep: self._file.append(sealed, keep), ANSWER_S)
        except OSError as error:
            raise _told(error) from error
        self.count += 1

    async def read(self) -> Found:
        """What the file holds; makes it if it is not there.

        Raises:
            JournalError: it cannot be read, or its process lives.
        """
        found = self.seal.read(await self._do(self._file.lines))
        self.count = len(found.lines)
        return found

    async def remove(self) -> None:
        """Take the file away: the database has every line.

        Raises:
            JournalError: the disk refuses.
        """
        await self._do(self._file.remove)
        self._disk.end()

    async def set_aside(self, suffix: str) -> Path:
        """Keep the file where nobody goes on from it; says where.

        Raises:
            JournalError: the disk refuses.
        """
        aside = await self._do(lambda: self._file.set_aside(suffix))
        self._disk.end()
        return aside

    async def let_go(self) -> None:
        """Let go of the file as it is, and of the thread.

        Raises:
            JournalError: the disk refuses.
        """
        try:
            await self._do(self._file.close)
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Let go of the file as soon as the disk does, however long that takes: nobody uses this journal any more.

        The file's lock is this process's. Left open, it would keep out whoever opens the journal next, here too.
        """
        self._disk.end(self._file.close)

    async def _do(self, job: Callable[[], T]) -> T:
        try:
            return await self._disk.do(job, ANSWER_S)
        except OSError as error:
            raise _told(error) from error


def _told(error: OSError) -> JournalError:
    if isinstance(error, BlockingIOError):
        return JournalBusyError("another process has it")
    return JournalError(str(error))


@dataclass
class Shelf:
    """The journals of one database in one data directory, and the lock that makes one process run a drill at a time."""

    directory: Path
    key: bytes = field(repr=False)
    place: str
    random_bytes: Callable[[int], bytes] = field(repr=False)
    _lock: _File = field(init=False)
    _disk: DiskThread = field(default_factory=lambda: DiskThread("recovery journals"))

    def __post_init__(self) -> None:
        self._lock = _File(self.directory / LOCK)

    def journal(self, ref: str) -> Journal:
        """The journal of a drill."""
        seal = Seal(self.key, self.place, ref, self.random_bytes)
        return Journal(seal, _File(self.directory / f"{ref}{SUFFIX}"))

    async def claim(self) -> None:
        """Be the process that runs a drill with this data directory.

        Raises:
            JournalBusyError: another one is.
            JournalError: the disk refuses.
        """
        try:
            await self._disk.do(self._lock.opened, ANSWER_S)
        except OSError as error:
            raise _told(error) from error

    async def release(self) -> None:
        """Let others run one.

        Raises:
            JournalError: the disk does not answer.
        """
        try:
            await self._disk.do(self._lock.close, ANSWER_S)
        except OSError as error:
            self._disk.end(self._lock.close)
            raise _told(error) from error
        self._disk.end()

    async def refs(self) -> list[str]:
        """Drills of which a journal is there.

        Raises:
            JournalError: the directory cannot be read.
        """
        try:
            found = await self._disk.do(lambda: sorted(self.directory.glob(f"*{SUFFIX}")), ANSWER_S)
        except OSError as error:
            raise _told(error) from error
        return [path.stem for path in found]

    def end(self) -> None:
        """Let go of the thread."""
        self._disk.end()


def shelf_of(settings: Settings, key: bytes, random_bytes: Callable[[int], bytes]) -> Shelf:
    """Where the journals of a backend's drills are."""
    place = place_of(settings.database_url)
    return Shelf(settings.data_dir / DIRECTORY / place, key, place, random_bytes)
