"""`watchfloor status` by the full client: TLS, refusals and unreachable backends, each named."""

import click

from console.commands.base import Call, command
from console.commands.status import as_lines


@click.command()
@command("status")
def status(call: Call) -> None:
    """One glance: alerts, freezes, executors, age of the last assessment."""
    answer = call.ask(lambda api: api.status())
    body = answer.model_dump(mode="json")
    call.answer(body, lambda: as_lines(body))
