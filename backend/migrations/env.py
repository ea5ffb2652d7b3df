"""Alembic's entry point: one transaction per upgrade, one upgrade at a time, bounded waits."""

from alembic import context
from sqlalchemy import create_engine, text

from backend.tables import Base

_MIGRATION_LOCK_KEY = 0x5746_0002
"""Advisory lock: two backends starting at once migrate one after the other."""


def _run() -> None:
    engine = create_engine(context.config.attributes["url"])
    with engine.begin() as connection:
        connection.execute(text("SET LOCAL lock_timeout = '10s'"))
        connection.execute(text(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK_KEY})"))
        context.configure(connection=connection, target_metadata=Base.metadata, compare_type=True)
        context.run_migrations()
    engine.dispose()


_run()
