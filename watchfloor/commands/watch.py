"""`watchfloor watch`: second sources, which look at chains while a freeze holds. They act on nothing."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import click

from backend.errors import ConfigurationError
from watchers.evm import Chain, Pace, Watcher
from watchers.line import BackendLine
from watchers.node import Rules
from watchers.places import ChainPlace, PlaceError, parse_backend, parse_chains
from watchers.running import read_secret, run_until_stopped
from watchers.status import Board, parse_listen, serve_health

EVM_DESCRIPTION = """\
Looks at the wallets of executors under a freeze through JSON-RPC nodes of their chains, and reports how many
transactions each wallet has, how many wait, for how many blocks made since it began to look that has been so, and
what became of transactions in flight. It stops nothing. It proves that a wallet's nonce stood still as far as its
nodes say; --agree makes several nodes have to say so. It cannot know of transactions in private pools or handed to
builders, nor of anything a node hides; a node that is stale, goes back or is of another chain proves nothing.
"""


@click.group()
def command() -> None:
    """Look, as a second source, at what executors do while they should be halted."""


@command.command("evm")
@click.option("--url", default="http://127.0.0.1:8420", show_default=True, help="The backend.")
@click.option("--token-file", type=click.Path(path_type=Path), help="A service token that holds observe_halts only.")
@click.option(
    "--chain",
    "chains",
    multiple=True,
    metavar="NAME=URL[#ID]",
    help="A chain and a node of it, pinned to its chain id; again for more. NAME=@FILE reads the address from a file.",
)
@click.option("--agree", type=click.IntRange(1, 16), default=1, show_default=True, help="Nodes that have to agree.")
@click.option("--every", type=click.FloatRange(0.1, 60), default=1.0, show_default=True, help="Seconds between looks.")
@click.option("--timeout", type=click.FloatRange(0.1, 60), default=3.0, show_default=True, help="Of a call, seconds.")
@click.option("--stale-after", type=click.IntRange(2, 3600), default=60, show_default=True, help="Age of a head, s.")
@click.option("--depth", type=click.IntRange(1, 1000), default=2, show_default=True, help="Blocks before a fate.")
@click.option("--no-pool", multiple=True, metavar="NAME", help="A chain whose nodes show no pending transactions.")
@click.option("--listen", metavar="127.0.0.1:PORT", help="Answer GET /healthz there.")
@click.option("--describe", is_flag=True, help="Say what this can prove, and end.")
def evm(
    *,
    url: str,
    token_file: Path | None,
    chains: Sequence[str],
    agree: int,
    every: float,
    timeout: float,
    stale_after: int,
    depth: int,
    no_pool: Sequence[str],
    listen: str | None,
    describe: bool,
) -> None:
    """Watch wallets on EVM chains until SIGTERM or Ctrl-C; a JSON line on stdout at each change."""
    if describe:
        click.echo(EVM_DESCRIPTION, nl=False)
        return
    if token_file is None or not chains:
        raise click.UsageError("--token-file and at least one --chain are needed.")
    try:
        places = parse_chains([split_chain(text) for text in chains], agree)
        backend, token = parse_backend(url), read_secret(token_file)
        health = parse_listen(listen) if listen else None
    except PlaceError as error:
        raise ConfigurationError(f"{error}.") from error
    pace = Pace(every_s=every, limit_s=timeout, agree=agree)
    blind = {name.casefold() for name in no_pool}
    board = Board(lambda: datetime.now(UTC))
    made = [Chain(place, _rules(place, stale_after, depth, blind), pace, board) for place in places]
    asyncio.run(watch((backend, token), made, pace, board, health))


def _rules(place: ChainPlace, stale_after: int, depth: int, blind: set[str]) -> Rules:
    return Rules(stale_after_s=stale_after, depth=depth, pool=place.name not in blind)


def split_chain(text: str) -> tuple[str, str]:
    """Read `NAME=URL` or `NAME=@FILE`.

    Raises:
        PlaceError: it is neither, or the file is not its owner's only.
    """
    name, equals, address = text.partition("=")
    if not equals or not address:
        raise PlaceError("a chain is written NAME=URL")
    return name, read_secret(Path(address[1:])) if address.startswith("@") else address


async def watch(
    backend: tuple[str, str], chains: list[Chain], pace: Pace, board: Board, health: tuple[str, int] | None
) -> None:
    """Run the watcher on a backend's address and token until it is stopped.

    Raises:
        ConfigurationError: the address for /healthz is taken.
    """
    async with health_told(board, health), BackendLine(*backend) as asking, BackendLine(*backend) as reporting:
        loops: list[Callable[[], Coroutine[Any, Any, None]]] = [Watcher(asking, chains, pace, board).keep_asking]
        for chain in chains:
            loops += [partial(chain.keep_looking, node) for node in chain.nodes]
            loops.append(partial(chain.keep_reporting, reporting))
        await run_until_stopped(loops)


@asynccontextmanager
async def health_told(board: Board, address: tuple[str, int] | None) -> AsyncIterator[None]:
    """Answer /healthz meanwhile, if an address is given.

    Raises:
        ConfigurationError: the address is taken.
    """
    if address is None:
        yield
        return
    try:
        server = await serve_health(board, *address)
    except OSError as error:
        raise ConfigurationError(f"--listen: {error.strerror}.") from error
    try:
        yield
    finally:
        server.close()
