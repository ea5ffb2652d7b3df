"""Directories for programs under test that run as other accounts: pytest's own are private to one user."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MEMORY_DISK = Path("/dev/shm")  # noqa: S108  directories of our own are made below it
ENOUGH_MEMORY_MIB = 2048  # containers often have 64, less than two databases


def fast_base() -> Path:
    """Where to put databases of tests: memory when there is enough of it, twenty times faster than a disk."""
    if not os.access(MEMORY_DISK, os.W_OK) or os.statvfs(MEMORY_DISK).f_flag & os.ST_NOEXEC:
        return Path(tempfile.gettempdir())
    enough = shutil.disk_usage(MEMORY_DISK).free >> 20 >= ENOUGH_MEMORY_MIB
    return MEMORY_DISK if enough else Path(tempfile.gettempdir())


@contextmanager
def public_directory() -> Iterator[Path]:
    """A temporary directory that every account may enter."""
    directory = Path(tempfile.mkdtemp(prefix="wf-place-", dir=fast_base())).resolve()
    directory.chmod(0o755)
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
