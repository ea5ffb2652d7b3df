"""Owns the master key: one file that the database never sees. Everything else secret about the ledger derives from it.

Must never write a key anywhere but into that file, and never replace one that exists.
"""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from uuid import UUID

from backend.clock import Clock
from backend.errors import ConfigurationError
from backend.settings import Settings
from ledger.seal import derive

MASTER_KEY_BYTES: Final = 32
"""AES-256."""
_FILE_NAME: Final = "master.key"


@dataclass(frozen=True, slots=True)
class Keyring:
    """What this process can derive from the master key. Its `repr` shows no key."""

    key_id: str
    """Public name of the master key: the beginning of its hash."""
    outbox: bytes
    """Authenticates outbox rows."""
    wrapping: bytes
    """Wraps the data keys of subjects."""
    blinding: bytes
    """Makes the search hashes of sealed values."""
    verification: bytes
    """Authenticates what a verification keeps for the next."""

    def __repr__(self) -> str:
        return f"Keyring({self.key_id})"


@dataclass(frozen=True, slots=True)
class DataKey:
    """The key of one subject, unwrapped. Its `repr` does not show it."""

    id: UUID
    key: bytes

    def __repr__(self) -> str:
        return f"DataKey({self.id})"


def keyring_of(master: bytes) -> Keyring:
    """Derive every key from the master key (HKDF-SHA256, one purpose each)."""
    return Keyring(
        key_id=hashlib.sha256(b"watchfloor master key\0" + master).hexdigest()[:16],
        outbox=derive(master, "outbox"),
        wrapping=derive(master, "wrap"),
        blinding=derive(master, "blind"),
        verification=derive(master, "verification"),
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
        if path.stat().st_mode & 0o077:
            raise ConfigurationError(f"{path} can be read by others: chmod 600 it, it opens personal data.")
        text = path.read_text().strip()
    except OSError as error:
        raise ConfigurationError(f"The master key {path} cannot be used: {error.strerror}.") from error
    try:
        master = bytes.fromhex(text)
    except ValueError:
        master = b""
    if len(master) != MASTER_KEY_BYTES:
        raise ConfigurationError(f"{path} is not a master key: it should hold {MASTER_KEY_BYTES * 2} hex digits.")
    return keyring_of(master)


def _create(path: Path, master: bytes) -> None:
    """Make the file whole or not at all; of two processes that try at once the first one wins."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(master.hex() + "\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)
        except FileExistsError:
            return
    finally:
        draft.unlink()
