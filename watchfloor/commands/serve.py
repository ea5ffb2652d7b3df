"""`watchfloor serve`: one backend process."""

import click

from backend.errors import ConfigurationError
from backend.settings import Settings


@click.command()
@click.option("--host", help="Address to listen on (WATCHFLOOR_HOST).")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on, 0 for a free one (WATCHFLOOR_PORT).")
def command(host: str | None, port: int | None) -> None:
    """Run the backend on the database of WATCHFLOOR_DATABASE_URL until SIGTERM or Ctrl-C.

    It listens on loopback; elsewhere only with a certificate (WATCHFLOOR_TLS_CERTIFICATE, WATCHFLOOR_TLS_KEY). SIGHUP
    has it read the certificate again. WATCHFLOOR_SOCKET is a Unix socket to listen on as well.
    """
    given = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    settings = Settings(**given)  # type: ignore[arg-type]  # the rest comes from the environment
    refuse_unmigrated(settings.database_url)
    from backend.server import serve  # the whole product: not for a help text, nor for a refusal

    if not serve(settings, on_ready=lambda url: click.echo(f"Watchfloor answers at {url}")):
        raise ConfigurationError("The backend could not start; the log above says why.")


def refuse_unmigrated(database_url: str) -> None:
    """Look at the database before anything listens, so that what is wrong with it is one clear line.

    Raises:
        ConfigurationError: it cannot be reached, or is not at the schema of this version.
    """
    from backend.migrate import current_revision, head_revision  # every table

    current = current_revision(database_url)
    if current is None:
        raise ConfigurationError("The database is empty: run `watchfloor migrate` first.")
    if current != head_revision():
        raise ConfigurationError(
            f"The database is at schema {current}, this version needs {head_revision()}: run `watchfloor migrate`."
        )
