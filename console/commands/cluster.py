"""`watchfloor cluster`: who is primary of the database's cluster, and who follows."""

import click

from console.client import recovery as client
from console.commands import drill_words as words
from console.commands.base import Call, command, finish
from contract.errors import ExitCode


@click.command()
@command("cluster")
def cluster(call: Call) -> None:
    """Who is primary, who follows and how far behind. Exit code 1 when there is a problem, or no single primary."""
    found = call.ask(client.cluster)
    call.answer(found, lambda: words.topology(found))
    finish(ExitCode.CHECK_FAILED if found.problem or found.primary is None else ExitCode.OK)
