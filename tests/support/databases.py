"""Fresh databases for tests: one migrated template per worker, cloned for each test."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

from backend import migrate
from tests.support import postgres


def _with_database(url: str, name: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=f"/{name}"))


def admin_url() -> str:
    """A URL on which databases can be created: the one given, or a throw-away embedded server's."""
    return os.environ.get("WATCHFLOOR_TEST_DATABASE_URL") or postgres.server_url()


def _execute(statement: sql.Composed) -> None:
    with psycopg.connect(admin_url(), autocommit=True) as connection:
        connection.execute(statement)


def create_database(template: str | None = None) -> tuple[str, str]:
    """Create a database and return (name, url)."""
    name = f"wf_test_{secrets.token_hex(6)}"
    statement = sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name))
    if template:
        statement += sql.SQL(" TEMPLATE {}").format(sql.Identifier(template))
        with psycopg.connect(admin_url()) as connection:
            if connection.info.server_version >= 150000:
                # wal_log, the default, is twice as slow for a small template on tmpfs
                statement += sql.SQL(" STRATEGY file_copy")
    _execute(statement)
    return name, _with_database(admin_url(), name)


def drop_database(name: str) -> None:
    """Drop a database, ending connections that a test left open."""
    _execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


@contextmanager
def migrated_template() -> Iterator[str]:
    """A database at the newest schema to clone from."""
    name, url = create_database()
    try:
        migrate.upgrade(url.replace("postgresql://", "postgresql+psycopg://", 1))
        yield name
    finally:
        drop_database(name)
