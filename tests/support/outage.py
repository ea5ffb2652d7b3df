"""Takes one database of the test server away and gives it back, as a restart of the server looks to its clients."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from tests.support import databases

_ALLOW = sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}")


@contextmanager
def outage(database_url: str) -> Iterator[None]:
    """End every connection to the database and refuse new ones meanwhile."""
    name = str(conninfo_to_dict(database_url)["dbname"])
    with psycopg.connect(databases.admin_url(), autocommit=True) as admin:
        admin.execute(_ALLOW.format(sql.Identifier(name), sql.SQL("false")))
        try:
            admin.execute("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s", (name,))
            yield
        finally:
            admin.execute(_ALLOW.format(sql.Identifier(name), sql.SQL("true")))
