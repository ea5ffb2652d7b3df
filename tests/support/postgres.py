"""One throw-away PostgreSQL for a whole test run. Must never touch a server that holds real data.

The workers of a parallel run share it; it disappears with the last of them, also when they are killed.
"""

import functools
import os
import tempfile
from pathlib import Path

from watchfloor.embedded import EmbeddedPostgres

MEMORY_DISK = Path("/dev/shm")  # noqa: S108  twenty times faster than a disk for creating databases
ADMIN_DATABASE = "postgres"


def server_url() -> str:
    """The URL of the administrative database of a server that tests may fill and break."""
    return os.environ.get("WATCHFLOOR_TEST_DATABASE_URL") or _embedded().url(ADMIN_DATABASE)


@functools.cache
def _embedded() -> EmbeddedPostgres:
    base = MEMORY_DISK if os.access(MEMORY_DISK, os.W_OK) else Path(tempfile.gettempdir())
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID") or str(os.getpid())
    directory = base / f"wf-test-{os.geteuid()}-{run}"
    return EmbeddedPostgres(directory, fast=True, ephemeral=True).start()
