"""Who may freeze while the database is away: what a process last knew of keys, people, ended sessions and machines.

Kept in one sealed file beside the journal of freezes. Holds public keys and hashes of tokens, never a private key, a
password or a token; names of people only sealed. Good for one thing: a token that the database cannot be asked about.
"""

import asyncio
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from backend.diskthread import DiskThread
from backend.errors import ConfigurationError
from ledger.seal import NONCE_BYTES

CALLERS_FILE_NAME: Final = "callers"
ANSWER_S: Final = 2.0
"""A disk that takes longer to answer is not waited for."""
MAX_BYTES: Final = 8 * 1024 * 1024
"""Tens of thousands of sessions; what is larger is not ours."""
_PURPOSE: Final = b"known callers 1 "


@dataclass(frozen=True, slots=True)
class KnownKey:
    """A key that signs session tokens."""

    public: bytes
    retired_at: datetime | None


@dataclass(frozen=True, slots=True)
class KnownPerson:
    """An account."""

    role: str
    disabled: bool
    windows: tuple[tuple[datetime, datetime], ...] | None = None
    """When they may come in; None if that is not asked of their role, or not known."""
    elevations: tuple[tuple[str, datetime], ...] = ()
    """Permissions beyond their role, and until when."""


@dataclass(frozen=True, slots=True)
class KnownMachine:
    """A machine's token that may freeze."""

    subject: str
    expires_at: datetime
    certificate: str | None = None
    """The certificate that the token works over, by its fingerprint."""


@dataclass(frozen=True, slots=True)
class Known:
    """What was known at one time."""

    keys: Mapping[str, KnownKey] = field(default_factory=dict)
    people: Mapping[str, KnownPerson] = field(default_factory=dict)
    ended: frozenset[str] = frozenset()
    """Sessions that were ended before their tokens expire."""
    machines: Mapping[str, KnownMachine] = field(default_factory=dict)
    """By the hash of their token."""


@dataclass
class KnownCallers:
    """The latest of it, and the file that survives the process. One event loop uses it."""

    path: Path
    key: bytes
    place: str
    """Names the database: nobody is known to another one."""
    known: Known = field(default_factory=Known)
    stale: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when this process has changed something of it."""
    _written: Known | None = None
    _disk: DiskThread = field(default_factory=lambda: DiskThread("known callers"))

    async def load(self) -> None:
        """Take up what an earlier process knew; nothing if there is no file.

        Raises:
            ConfigurationError: the file is not one that a holder of the master key wrote for this database.
            OSError: the disk refuses or does not answer in time.
        """
        raw = await self._disk.do(self._read, ANSWER_S)
        if raw is not None:
            self.known = self._written = self._opened(raw)

    async def keep(self, nonce: bytes) -> None:
        """Write what is known down if it has changed.

        Raises:
            OSError: the disk refuses or does not answer in time.
        """
        known = self.known
        if known != self._written:
            raw = nonce + AESGCM(self.key).encrypt(nonce, _told(known), self._bound)
            await self._disk.do(lambda: _replace(self.path, raw), ANSWER_S)
            self._written = known

    def end(self) -> None:
        """Let go of the thread."""
        self._disk.end()

    @property
    def _bound(self) -> bytes:
        return _PURPOSE + self.place.encode()

    def _read(self) -> bytes | None:
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except FileNotFoundError:
            return None
        with os.fdopen(descriptor, "rb") as file:
            return file.read(MAX_BYTES)

    def _opened(self, raw: bytes) -> Known:
        try:
            return _read_told(AESGCM(self.key).decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], self._bound))
        except (InvalidTag, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ConfigurationError(f"{self.path} was not written by a holder of the master key.") from error


def _told(known: Known) -> bytes:
    whole = {
        "keys": {kid: [one.public.hex(), _iso(one.retired_at)] for kid, one in known.keys.items()},
        "people": {name: _told_person(one) for name, one in known.people.items()},
        "ended": sorted(known.ended),
        "machines": {
            digest: [one.subject, one.expires_at.isoformat(), one.certificate] for digest, one in known.machines.items()
        },
    }
    return orjson.dumps(whole)


def _told_person(one: KnownPerson) -> list[object]:
    windows = None if one.windows is None else [[_iso(start), _iso(end)] for start, end in one.windows]
    return [one.role, one.disabled, windows, [[name, _iso(until)] for name, until in one.elevations]]


def _read_person(told: list[Any]) -> KnownPerson:
    role, disabled, windows, elevations = told
    instant = datetime.fromisoformat
    return KnownPerson(
        role,
        disabled,
        None if windows is None else tuple((instant(start), instant(end)) for start, end in windows),
        tuple((name, instant(until)) for name, until in elevations),
    )


def _iso(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()


def _read_told(raw: bytes) -> Known:
    whole = orjson.loads(raw)
    instant = datetime.fromisoformat
    return Known(
        keys={
            kid: KnownKey(bytes.fromhex(public), instant(retired) if retired else None)
            for kid, (public, retired) in whole["keys"].items()
        },
        people={name: _read_person(told) for name, told in whole["people"].items()},
        ended=frozenset(whole["ended"]),
        machines={
            digest: KnownMachine(subject, instant(until), certificate)
            for digest, (subject, until, certificate) in whole["machines"].items()
        },
    )


def _replace(path: Path, raw: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(raw)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
