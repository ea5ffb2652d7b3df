"""Bringing a database to the current schema. Configured in code, so that an installed wheel needs no ini file."""

from pathlib import Path
from typing import Any

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine
from sqlalchemy.exc import OperationalError

from backend.audit.tables import LedgerEntry, is_made_by_hand
from backend.errors import ConfigurationError
from backend.tables import Base

_SCRIPTS = Path(__file__).with_name("migrations")


def alembic_config(url: str) -> Config:
    """Alembic's configuration for one database; `url` is a SQLAlchemy URL (postgresql+psycopg://…)."""
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    config.attributes["url"] = url
    return config


def head_revision() -> str:
    """The newest revision this version of Watchfloor knows."""
    head = ScriptDirectory.from_config(alembic_config("")).get_current_head()
    if head is None:
        raise ConfigurationError("This installation has no migrations; install it again.")
    return head


def current_revision(url: str) -> str | None:
    """The revision a database is at; None for an empty one.

    Raises:
        ConfigurationError: the database cannot be reached.
    """
    engine = create_engine(url, connect_args={"connect_timeout": 5})
    try:
        with engine.connect() as connection:
            return MigrationContext.configure(connection).get_current_revision()
    except OperationalError as error:
        raise ConfigurationError(f"The database cannot be reached: {str(error.orig).splitlines()[0]}") from error
    finally:
        engine.dispose()


def upgrade(url: str) -> None:
    """Migrate to the newest schema; does nothing when it is already there.

    Raises:
        ConfigurationError: the database is unreachable, or newer than this installation.
    """
    current = current_revision(url)
    if current == head_revision():
        return
    known = {script.revision for script in ScriptDirectory.from_config(alembic_config(url)).walk_revisions()}
    if current is not None and current not in known:
        raise ConfigurationError(
            f"The database is at schema {current}, which this version does not know: it was written by a newer "
            "Watchfloor. Install that version or use another data directory."
        )
    command.upgrade(alembic_config(url), "head")


def _is_compared(thing: Any, _name: str | None, kind: str, _reflected: bool, _other: Any) -> bool:  # noqa: FBT001
    """Leave out what migrations make with SQL of their own: views, the partitioned ledger and its partitions."""
    table = thing if kind == "table" else getattr(thing, "table", None)
    if table is None:
        return True
    return not (is_made_by_hand(table) or str(table.name).startswith(LedgerEntry.__tablename__))


def drift(url: str) -> list[str]:
    """Differences between the migrated database and the tables in code; empty when they agree."""
    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            opts = {"compare_type": True, "include_object": _is_compared}
            context = MigrationContext.configure(connection, opts=opts)
            return [repr(difference) for difference in compare_metadata(context, Base.metadata)]
    finally:
        engine.dispose()
