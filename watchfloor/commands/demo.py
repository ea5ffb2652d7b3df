"""`watchfloor demo`: everything on this machine."""

from pathlib import Path

import click

from simulator.scenario import Scenario
from watchfloor.demo.run import DEFAULT_SEED, REAL_TIME, DemoOptions, run_demo
from watchfloor.demo.workspace import DEFAULT_DIRECTORY
from watchfloor.pair.state import ASYNCHRONOUS, SYNCHRONOUS


@click.command()
@click.option("--headless", is_flag=True, help="All but the console; prints one JSON line when ready.")
@click.option(
    "--port", type=click.IntRange(0, 65535),
    help="Port of the backend, 0 for a free one; refused when taken. Default: 8420, or a free one when that is taken.",
)  # fmt: skip
@click.option(
    "--data-dir", type=click.Path(path_type=Path), default=Path(DEFAULT_DIRECTORY), show_default=True,
    help="Where the database and the demo's users are kept.",
)  # fmt: skip
@click.option("--scenario", type=click.Choice([each.value for each in Scenario]), help="A scripted crisis.")
@click.option("--seed", type=int, default=DEFAULT_SEED, show_default=True, help="Seed of the simulated trading.")
@click.option(
    "--with-standby", is_flag=True, help="A primary and a standby that follows it, to try recovery drills on."
)
@click.option(
    "--replication", type=click.Choice([SYNCHRONOUS, ASYNCHRONOUS]), default=SYNCHRONOUS, show_default=True,
    help="Whether commits wait for that standby.",
)  # fmt: skip
@click.option("--speed", type=float, default=REAL_TIME, show_default=True, help="How much faster than life.")
def command(
    *,
    headless: bool,
    port: int | None,
    data_dir: Path,
    scenario: str | None,
    seed: int,
    speed: float,
    with_standby: bool,
    replication: str,
) -> int:
    """Run database, backend, simulated executors and the console until the console is closed or SIGTERM.

    WATCHFLOOR_DATABASE_URL names a PostgreSQL to use instead of the embedded one.
    """
    options = DemoOptions(
        headless=headless,
        port=port,
        data_dir=data_dir,
        scenario=scenario,
        seed=seed,
        speed=speed,
        replication=replication if with_standby else None,
    )
    return run_demo(options)
