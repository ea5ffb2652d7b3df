"""One throw-away PostgreSQL for a whole test run. Must never touch a server that holds real data.

The workers of a parallel run share it; it disappears with the last of them, also when they are killed.
"""

import functools
import os

from tests.support.places import fast_base
from watchfloor.embedded import EmbeddedPostgres

ADMIN_DATABASE = "postgres"


def server_url() -> str:
    """The URL of the administrative database of a server that tests may fill and break."""
    return os.environ.get("WATCHFLOOR_TEST_DATABASE_URL") or _embedded().url(ADMIN_DATABASE)


@functools.cache
def _embedded() -> EmbeddedPostgres:
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID") or str(os.getpid())
    directory = fast_base() / f"wf-test-{os.geteuid()}-{run}"
    return EmbeddedPostgres(directory, fast=True, ephemeral=True).start()
