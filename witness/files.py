"""Files that are there whole or not at all, whenever the process or the machine dies."""

import fcntl
import os
import secrets
from pathlib import Path
from typing import Final

PRIVATE_FILE: Final = 0o600
PRIVATE_DIRECTORY: Final = 0o700


class DirectoryTakenError(Exception):
    """Another process works in the directory."""


def write_whole(path: Path, data: bytes) -> None:
    """Replace a file so that after a crash it holds the old bytes or the new ones; durable on return."""
    draft = path.with_name(f".{path.name}.draft")
    _write_synced(draft, data, os.O_TRUNC)
    draft.replace(path)
    sync_directory(path.parent)


def write_new(path: Path, data: bytes) -> bool:
    """Make a file that must not exist yet, whole and durable; False when it exists. Never replaces anything."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}.draft")  # process ids repeat between containers
    _write_synced(draft, data, os.O_TRUNC)
    try:
        os.link(draft, path)
    except FileExistsError:
        return False
    finally:
        draft.unlink()
    sync_directory(path.parent)
    return True


def _write_synced(path: Path, data: bytes, flags: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | flags, PRIVATE_FILE)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def sync_directory(path: Path) -> None:
    """Make the directory's names durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def private_directory(path: Path) -> None:
    """Make a directory nobody else can look into, unless it exists."""
    path.mkdir(mode=PRIVATE_DIRECTORY, parents=True, exist_ok=True)


def take_directory(path: Path) -> int:
    """Keep a second process out of a directory for as long as the returned descriptor is open.

    Raises:
        DirectoryTakenError: one is in it.
    """
    private_directory(path)
    descriptor = os.open(path / "lock", os.O_RDWR | os.O_CREAT, PRIVATE_FILE)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise DirectoryTakenError(f"another process works in {path}") from None
    return descriptor
