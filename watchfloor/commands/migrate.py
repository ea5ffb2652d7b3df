"""`watchfloor migrate`: the database's schema."""

import click

from backend.migrate import current_revision, head_revision, upgrade
from backend.settings import Settings


@click.command()
def command() -> None:
    """Bring the database of WATCHFLOOR_DATABASE_URL to the schema of this version; does nothing if it is there."""
    url = Settings().database_url  # comes from the environment
    before = current_revision(url)
    upgrade(url)
    after = head_revision()
    click.echo(f"Schema {after}: nothing to do." if before == after else f"Schema {before or 'none'} → {after}.")
