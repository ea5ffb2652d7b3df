"""Owns the master key: one file that the database never sees. Everything else secret about the ledger derives from it.

`MasterKeys` is all that the rest needs of it, so that a key service can stand in for the file: it would hold the master
keys itself and keep the two calls. Must never write a key anywhere but into that file, and never lose one in use.
"""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol
from uuid import UUID

from backend.clock import Clock
from backend.errors import ConfigurationError
from backend.settings import Settings
from ledger.seal import derive, unwrap_key, wrap_key

MASTER_KEY_BYTES: Final = 32
"""AES-256."""
_FILE_NAME: Final = "master.key"
_ROOT, _RETIRING = "root", "retiring"
"""Names of the further lines of the file, which it has once its first key was replaced."""


class UnknownMasterKeyError(Exception):
    """A data key is wrapped under a master key that this process does not have."""


class MasterKeys(Protocol):
    """What wraps the data keys of subjects: a file, or a key service."""

    @property
    def current(self) -> str:
        """Public name of the newest master key."""

    def knows(self, name: str) -> bool:
        """Whether data keys under this master key can be opened."""

    async def wrap(self, key: bytes, nonce: bytes, *, under: str, subject: str, key_id: str) -> bytes:
        """Encrypt a data key for a subject.

        Raises:
            UnknownMasterKeyError: `under` names no key.
        """

    async def unwrap(self, wrapped: bytes, *, under: str, subject: str, key_id: str) -> bytes:
        """Decrypt a data key.

        Raises:
            UnknownMasterKeyError: `under` names no key.
            SealError: another subject or key id, or changed bytes.
        """


@dataclass(frozen=True, slots=True)
class KeyFile:
    """The lines of a master key file, read."""

    current: bytes
    root: bytes
    """Derived from the first key the file held: what is not replaced with a master key derives from it."""
    retiring: tuple[bytes, ...] = ()

    def to_text(self) -> str:
        """The file as it lies on disk."""
        further = [f"{_ROOT} {self.root.hex()}", *(f"{_RETIRING} {key.hex()}" for key in self.retiring)]
        return "\n".join([self.current.hex(), *further]) + "\n"

    def __repr__(self) -> str:
        return f"KeyFile({name_of(self.current)})"


class FileMasterKeys:
    """Master keys in a file of this machine. Reads the file again when it meets a name it does not know."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._take(read_file(path))

    def __repr__(self) -> str:
        return f"FileMasterKeys({self.current})"

    def _take(self, held: KeyFile) -> None:
        self._current = name_of(held.current)
        self._wrapping = {name_of(key): derive(key, "wrap") for key in (held.current, *held.retiring)}

    @property
    def current(self) -> str:
        """See `MasterKeys`."""
        return self._current

    def knows(self, name: str) -> bool:
        """See `MasterKeys`."""
        if name not in self._wrapping:
            self.reload()
        return name in self._wrapping

    @property
    def wrapping(self) -> Mapping[str, bytes]:
        """The wrapping key of each master key, by its name."""
        return self._wrapping

    async def wrap(self, key: bytes, nonce: bytes, *, under: str, subject: str, key_id: str) -> bytes:
        """See `MasterKeys`."""
        return wrap_key(self._named(under), nonce, key, subject=subject, key_id=key_id)

    async def unwrap(self, wrapped: bytes, *, under: str, subject: str, key_id: str) -> bytes:
        """See `MasterKeys`."""
        return unwrap_key(self._named(under), wrapped, subject=subject, key_id=key_id)

    def _named(self, under: str) -> bytes:
        if not self.knows(under):
            raise UnknownMasterKeyError(under)
        return self._wrapping[under]

    def reload(self) -> None:
        """Read the file again: its key may have been replaced meanwhile."""
        self._take(read_file(self._path))

    def add(self, master: bytes) -> str:
        """Make a new key the current one and keep the others until `retire`; returns its name. Durable on return."""
        held = read_file(self._path)
        replace_file(self._path, KeyFile(master, held.root, (held.current, *held.retiring)))
        self.reload()
        return self.current

    def retire(self) -> int:
        """Remove every key but the current one from the file; returns how many those were."""
        held = read_file(self._path)
        replace_file(self._path, KeyFile(held.current, held.root))
        self.reload()
        return len(held.retiring)


@dataclass(frozen=True, slots=True)
class Keyring:
    """What this process can do with the master key. Its `repr` shows no key."""

    master: MasterKeys
    outbox: bytes
    """Authenticates outbox rows."""
    blinding: bytes
    """Makes the search hashes of sealed values."""
    verification: bytes
    """Authenticates what a verification keeps for the next."""
    revocations: bytes
    """Authenticates the list of erased subjects that is kept outside the database."""
    permits: bytes
    """The seed of the Ed25519 key that signs permits."""
    freezes: bytes
    """Seals freezes that wait in a local journal, and what is known there of callers."""
    limits: bytes
    """Hides whose accounts of requests are whose."""
    recovery: bytes
    """Seals the journals of recovery drills."""

    def __repr__(self) -> str:
        return f"Keyring({self.master.current})"


@dataclass(frozen=True, slots=True)
class DataKey:
    """The key of one subject, unwrapped. Its `repr` does not show it."""

    id: UUID
    key: bytes

    def __repr__(self) -> str:
        return f"DataKey({self.id})"


def name_of(master: bytes) -> str:
    """Public name of a master key: the beginning of its hash."""
    return hashlib.sha256(b"watchfloor master key\0" + master).hexdigest()[:16]


def keyring_of(master: MasterKeys, root: bytes) -> Keyring:
    """Derive what outlives a master key from the root (HKDF-SHA256, one purpose each)."""
    return Keyring(
        master=master,
        outbox=derive(root, "outbox"),
        blinding=derive(root, "blind"),
        verification=derive(root, "verification"),
        revocations=derive(root, "revocations"),
        permits=derive(root, "permits 1"),
        freezes=derive(root, "freezes"),
        limits=derive(root, "limits"),
        recovery=derive(root, "recovery"),
    )


def load_keyring(settings: Settings, clock: Clock) -> Keyring:
    """Read the master key, making one where there is none yet.

    Raises:
        ConfigurationError: the file cannot be read or made, is open to others, or is not a key.
    """
    path = settings.master_key_file or settings.data_dir / _FILE_NAME
    try:
        if not path.exists():
            _create(path, clock.random_bytes(MASTER_KEY_BYTES))
    except OSError as error:
        raise ConfigurationError(f"The master key {path} cannot be made: {error.strerror}.") from error
    return keyring_of(FileMasterKeys(path), read_file(path).root)


def read_file(path: Path) -> KeyFile:
    """Read a master key file: a key, then what was kept of earlier ones.

    Raises:
        ConfigurationError: the file cannot be read, is open to others, or is not a key.
    """
    try:
        if path.stat().st_mode & 0o077:
            raise ConfigurationError(f"{path} can be read by others: chmod 600 it, it opens personal data.")
        first, *further = path.read_text().split("\n")
    except OSError as error:
        raise ConfigurationError(f"The master key {path} cannot be used: {error.strerror}.") from error
    named = [line.partition(" ")[::2] for line in further if line.strip()]
    current = _key(path, first)
    roots = [_key(path, text) for name, text in named if name == _ROOT]
    retiring = tuple(_key(path, text) for name, text in named if name == _RETIRING)
    if len(roots) > 1 or len(roots) + len(retiring) != len(named) or (retiring and not roots):
        raise ConfigurationError(f"{path} is not a master key: it has lines of another kind.")
    return KeyFile(current, roots[0] if roots else derive(current, _ROOT), retiring)


def _key(path: Path, text: str) -> bytes:
    try:
        key = bytes.fromhex(text.strip())
    except ValueError:
        key = b""
    if len(key) != MASTER_KEY_BYTES:
        raise ConfigurationError(f"{path} is not a master key: it should hold {MASTER_KEY_BYTES * 2} hex digits.")
    return key


def replace_file(path: Path, held: KeyFile) -> None:
    """Replace the file as a whole: whoever reads it sees the old or the new, also after a crash."""
    draft = _draft(path, held.to_text())
    draft.replace(path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _create(path: Path, master: bytes) -> None:
    """Make the file whole or not at all; of two processes that try at once the first one wins."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = _draft(path, master.hex() + "\n")
    try:
        os.link(draft, path)
    except FileExistsError:
        return
    finally:
        draft.unlink()


def _draft(path: Path, text: str) -> Path:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    return draft
