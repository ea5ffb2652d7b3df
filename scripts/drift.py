"""Says whether the migrations build exactly the tables in code. Uses a throw-away database, never a real one."""

import secrets
import sys
import tempfile
from pathlib import Path

from backend import migrate
from watchfloor.embedded import EmbeddedPostgres


def problems() -> list[str]:
    """Migrate an empty database and list how it differs from the tables in code."""
    home = Path(tempfile.gettempdir()) / f"wf-drift-{secrets.token_hex(4)}"
    with EmbeddedPostgres(home, fast=True, ephemeral=True) as server:
        url = server.database_url.replace("postgresql://", "postgresql+psycopg://", 1)
        migrate.upgrade(url)
        return migrate.drift(url)


if __name__ == "__main__":
    found = problems()
    for difference in found:
        print(difference)
    sys.exit(1 if found else 0)
