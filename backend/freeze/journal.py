"""The local journal of freezes that the database has not taken: one file a process run, each line on the disk first.

Lines are sealed with a key that derives from the master key, for one database: what somebody else wrote, what was
changed, and what belongs to another database is refused, never guessed at. The beginning of a line that a crash cut off
was promised to nobody. A file whose process has ended is taken over by the next. Must never block the event loop, and
never wait for a disk longer than `backend.spool.ANSWER_S`.
"""

import os
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Final
from uuid import UUID

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from backend.context import STORED_OF_CALLER, Caller
from backend.db import place_of
from backend.diskthread import DiskThread
from backend.latched import JOURNAL_DIRECTORY
from backend.settings import Settings
from backend.spool import Spool, SpoolFile
from contract.freeze import FreezeRequest
from ledger.seal import NONCE_BYTES

SUFFIX: Final = ".journal"
MAX_BYTES: Final = 1024 * 1024
"""Hundreds of freezes; whoever has latched that many has stopped everything long ago."""
MAX_LINE_BYTES: Final = 64 * 1024
"""Several times the longest reason with every character escaped."""
_VERSION: Final = b"freeze journal 1 "


class KnownBy(StrEnum):
    """How it was known who froze."""

    DATABASE = "database"
    """Their session was looked up; only the freeze itself could not be stored."""
    TOKEN = "token"  # noqa: S105  a word, no secret
    """By the signature of their token alone: whether it had been revoked could not be looked up."""


class ForeignLineError(ValueError):
    """Not a line that a process with this master key wrote for this database."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One freeze that waits for the database."""

    id: UUID
    """The hold's; nothing is put into the database twice under it."""
    at: datetime
    """When it was latched, by the clock of the process."""
    caller: Caller
    """Without permissions: what they may do was decided when they froze."""
    request: FreezeRequest
    """As it was asked for."""
    known_by: KnownBy
    node: str
    """The process that latched it."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a file held."""

    entries: tuple[Entry, ...]
    refused: tuple[bytes, ...]
    """Lines that are none of ours."""


def seal_line(entry: Entry, *, key: bytes, place: str, nonce: bytes) -> bytes:
    """Write an entry down as one line, newline included."""
    whole = {
        "id": str(entry.id),
        "at": entry.at.isoformat(),
        "caller": {name: getattr(entry.caller, name) for name in STORED_OF_CALLER},
        "request": entry.request.model_dump(mode="json"),
        "known_by": entry.known_by.value,
        "node": entry.node,
    }
    return b64encode(nonce + AESGCM(key).encrypt(nonce, orjson.dumps(whole), _VERSION + place.encode())) + b"\n"


def open_line(line: bytes, *, key: bytes, place: str) -> Entry:
    """Read one line.

    Raises:
        ForeignLineError: it is none of ours.
    """
    if len(line) > MAX_LINE_BYTES:
        raise ForeignLineError("longer than any line of ours")
    try:
        raw = b64decode(line, validate=True)
        whole = orjson.loads(AESGCM(key).decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], _VERSION + place.encode()))
    except (InvalidTag, ValueError) as error:
        raise ForeignLineError("not written for this database by a process that holds the master key") from error
    try:
        return Entry(
            id=UUID(whole["id"]),
            at=datetime.fromisoformat(whole["at"]),
            caller=Caller(permissions=frozenset(), **whole["caller"]),
            request=FreezeRequest.model_validate(whole["request"]),
            known_by=KnownBy(whole["known_by"]),
            node=str(whole["node"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ForeignLineError("written by another version of the backend") from error


def read_lines(lines: Iterable[bytes], *, key: bytes, place: str) -> Found:
    """Tell our lines from others; never raises."""
    entries, refused = [], []
    for line in lines:
        try:
            entries.append(open_line(line, key=key, place=place))
        except ForeignLineError:
            refused.append(line)
    return Found(tuple(entries), tuple(refused))


@dataclass
class Journal:
    """One file as the event loop uses it."""

    spool: Spool
    key: bytes
    place: str
    random_bytes: Callable[[int], bytes]
    _lines: int = field(default=0)
    """How many lines the file held when it was read last, and what was kept since."""

    @property
    def path(self) -> Path:
        """Where it lies."""
        return self.spool.file.path

    async def keep(self, entry: Entry) -> None:
        """Put an entry on the disk.

        Raises:
            SpoolError: it is not certain that it is there.
        """
        line = seal_line(entry, key=self.key, place=self.place, nonce=self.random_bytes(NONCE_BYTES))
        await self.spool.append(line)
        self._lines += 1

    async def read(self) -> Found:
        """What the file holds; makes it if it is not there.

        Raises:
            SpoolError: it cannot be read, or its process lives.
        """
        lines = await self.spool.lines()
        self._lines = len(lines)
        return read_lines(lines, key=self.key, place=self.place)

    async def clear(self) -> None:
        """Forget every line: all of them are in the database, or refused and set aside.

        Raises:
            SpoolError: the disk refuses.
        """
        await self.spool.clear(self._lines)
        self._lines = 0

    async def others(self) -> list["Journal"]:
        """Journals of other processes of this database, ended or alive.

        Raises:
            SpoolError: the directory cannot be read.
        """
        return [_journal(one.file.path, self.key, self.place, self.random_bytes) for one in await self.spool.others()]

    async def elsewhere(self) -> int:
        """How many journals wait in this data directory for other databases, or for this one under another address.

        Raises:
            SpoolError: the directory cannot be read.
        """
        return await self.spool.beside(lambda: _elsewhere(self.path.parent))

    async def set_aside(self, lines: Iterable[bytes]) -> None:
        """Keep lines that are none of ours where nobody takes them for freezes.

        Raises:
            SpoolError: the disk refuses.
        """
        held = b"".join(line[:MAX_LINE_BYTES] + b"\n" for line in lines)
        await self.spool.beside(lambda: _add(self.path.with_suffix(".refused"), held))

    async def let_go(self) -> None:
        """Let go of the file and of the thread, as they are."""
        await self.spool.let_go()

    async def close(self) -> None:
        """Let go of the file and of the thread; an empty file is taken away, what waits stays."""
        self.spool.waiting = self._lines
        await self.spool.close()
        await self.spool.let_go()


def _elsewhere(own: Path) -> int:
    found = own.parent.glob(f"*/*{SUFFIX}")
    return sum(path.parent != own and _holds_something(path) for path in found)


def _holds_something(path: Path) -> bool:
    try:
        return path.stat().st_size > 0
    except FileNotFoundError:  # its process has just taken it away
        return False


def _add(path: Path, held: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
    try:
        if os.fstat(descriptor).st_size + len(held) <= MAX_BYTES:
            os.write(descriptor, held)
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _journal(path: Path, key: bytes, place: str, random_bytes: Callable[[int], bytes]) -> Journal:
    # a freeze may take the last bytes of the disk
    file = SpoolFile(path, max_bytes=MAX_BYTES, reserve_bytes=0)
    return Journal(Spool(file, _disk=DiskThread("freeze journal")), key, place, random_bytes)


def journal_of(settings: Settings, key: bytes, boot: str, random_bytes: Callable[[int], bytes]) -> Journal:
    """The journal of one run of one process."""
    place = place_of(settings.database_url)
    return _journal(settings.data_dir / JOURNAL_DIRECTORY / place / f"{boot}{SUFFIX}", key, place, random_bytes)
