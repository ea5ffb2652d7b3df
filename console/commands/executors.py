"""`watchfloor executors list`."""

import click

from console.commands.base import Call, cell, command, glyph_set, paging
from console.commands.output import age, instant, now_of, outside, table
from console.widgets import words
from contract.executors import ExecutorState


@click.group()
def executors() -> None:
    """Executors: the trading bots that run under permits."""


@executors.command("list")
@click.option("--chain", default="", metavar="NAME", help="Only this chain.")
@click.option("--strategy", default="", metavar="NAME", help="Only this strategy.")
@click.option("--state", type=click.Choice(list(ExecutorState)), help="Only those in this state.")
@paging
@command("executors.list")
def list_executors(
    call: Call, *, chain: str, strategy: str, state: ExecutorState | None, limit: int, cursor: str | None
) -> None:
    """Executors by name: what each is doing, and when it was last heard of."""
    where = {"chain": chain, "strategy": strategy, "state": state or ""}
    page = call.ask(lambda api: api.executors(limit=limit, cursor=cursor, **where))
    now = now_of(page.as_of)

    def lines() -> list[str]:
        if not page.items:
            return [f"No executors. As of {instant(now)}."]
        rows = [
            (
                cell(words.executor(one.state, glyph_set())),
                outside(one.name, 30),
                outside(one.chain, 20),
                outside(one.strategy, 30),
                words.eth(one.position_eth, 3),
                age(one.last_seen_at, now),
            )
            for one in page.items
        ]
        return table(("state", "executor", "chain", "strategy", "ETH", "seen"), rows, right=(4, 5))

    call.answer_page(page, lines)
