"""Directories for programs under test that run as other accounts: pytest's own are private to one user."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def public_directory() -> Iterator[Path]:
    """A temporary directory that every account may enter."""
    directory = Path(tempfile.mkdtemp(prefix="wf-place-")).resolve()
    directory.chmod(0o755)
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
