"""`watchfloor pair`: a primary and a standby of PostgreSQL on this machine, for trying out what is run on clusters."""

from pathlib import Path

import click

from backend.clock import SYSTEM_CLOCK
from backend.errors import ConfigurationError
from watchfloor.embedded import ConfigurationError as EmbeddedError
from watchfloor.pair import serving
from watchfloor.pair.lagging import LIMITS, Limits
from watchfloor.pair.state import ASYNCHRONOUS, SYNCHRONOUS

DEFAULT_NAME = "pair"


@click.group()
def command() -> None:
    """Run two PostgreSQL on this machine, a primary and a standby, and kill, promote and rejoin them on demand."""


@command.command("serve")
@click.option("--data-dir", required=True, type=click.Path(path_type=Path), help="Where both keep their data.")
@click.option("--socket", "path", required=True, type=click.Path(path_type=Path), help="The agent's Unix socket.")
@click.option(
    "--name", default=DEFAULT_NAME, show_default=True, help="What a person types before something destructive."
)
@click.option(
    "--replication", type=click.Choice([SYNCHRONOUS, ASYNCHRONOUS]), default=SYNCHRONOUS, show_default=True,
    help="Whether commits wait for the standby while one follows.",
)  # fmt: skip
@click.option(
    "--lose-seconds", type=click.IntRange(min=0), default=LIMITS.lost_seconds, show_default=True,
    help="Asynchronous: a standby that lacks more than so many seconds does not become primary.",
)  # fmt: skip
@click.option(
    "--lose-mib", type=click.IntRange(min=0), default=LIMITS.lost_mib, show_default=True,
    help="Likewise, in MiB of the log.",
)  # fmt: skip
def serve_pair(  # noqa: PLR0917  one for each option
    data_dir: Path, path: Path, name: str, replication: str, lose_seconds: int, lose_mib: int
) -> None:
    """Run a pair until SIGTERM or Ctrl-C. Both servers end with the agent, however it ends.

    For trying things out, not for production: both are on one machine. The backend finds it with
    WATCHFLOOR_CLUSTER=pair:SOCKET.
    """
    try:
        serving.serve(
            data_dir.expanduser().resolve(), path, name=name, synchronous=replication == SYNCHRONOUS,
            limits=Limits(lose_mib, lose_seconds), now=SYSTEM_CLOCK.now,
        )  # fmt: skip
    except EmbeddedError as error:
        raise ConfigurationError(str(error)) from error
