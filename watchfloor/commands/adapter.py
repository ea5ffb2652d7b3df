"""`watchfloor adapter`: executors of ours that stop, under a freeze, what has no gate of its own."""

import asyncio
import shlex
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import click

from adapters.pausable.contract import Parties
from adapters.pausable.deciding import GWEI, Limits
from adapters.pausable.process import Options, Pauser
from adapters.pausable.signing import CommandSigner, KeySigner, Signer
from backend.errors import ConfigurationError
from contract.gate import MAX_NAME_CHARS
from contract.scope import Scope, ScopeKind
from gate import AsyncGate
from watchers.line import NodeLine
from watchers.places import KNOWN_CHAINS, PlaceError, parse_node
from watchers.running import read_secret, run_until_stopped
from watchers.status import Board, parse_listen
from watchers.wire import is_address
from watchfloor.commands.adapter_software import freqtrade, run_commands, webhook
from watchfloor.commands.watch import health_told

NO_STRATEGY = "contracts"
"""Where the scope names none: a contract that several strategies use stops with its chain."""
PAUSABLE_DESCRIPTION = """\
Pauses one OpenZeppelin Pausable contract while a freeze that stops (halt or cancel-all, not reduce-only) covers its
scope. It stops every function that the contract guards with whenNotPaused, for everybody, cancels and withdrawals too
if they are guarded. It acknowledges the freeze, signed, once paused() has been read back as true at a block made
public by its node; the watcher of its wallet is the second source. It bids more for a transaction that is not mined
after --bump-after seconds, shows as late after --timeout, and never gives up. It cannot know whether its node lies or
a reorganisation will undo the block, nor stop functions without whenNotPaused. A freeze drill is left alone, said so,
and shown as not exercised, unless --in-drills is given: pausing for practice costs its users the contract. It never
unpauses by itself: best practice is that the pausing key cannot. With --unpause it lifts, while a living permit says
that nothing is held, a pause that this very process made; whoever gets hold of that key or of this machine can then
unpause as well.
"""


@click.group()
def command() -> None:
    """Stop, under a freeze, what has no gate of its own."""


for _one in (freqtrade, webhook, run_commands):
    command.add_command(_one)


@command.command("pausable")
@click.option("--url", default="http://127.0.0.1:8420", show_default=True, help="The backend.")
@click.option("--token-file", type=click.Path(path_type=Path), help="A service token that holds renew_permit.")
@click.option("--name", help="Name of the executor that the contract is shown as.")
@click.option("--scope", metavar="chain:NAME[+strategy:NAME]", help="Where the contract belongs.")
@click.option("--rpc", metavar="URL[#ID]|@FILE", help="A node of its chain, pinned to a chain id.")
@click.option("--contract", metavar="0x…", help="Its address.")
@click.option("--key-file", type=click.Path(path_type=Path), help="The pausing key, in a file of mode 0600.")
@click.option("--sign-with", metavar="COMMAND", help="Or a command that signs: fields on stdin, {raw, hash} on stdout.")
@click.option("--from", "sender", metavar="0x…", help="The address that command signs for.")
@click.option("--every", type=click.FloatRange(0.1, 60), default=1.0, show_default=True, help="Seconds between looks.")
@click.option("--call-timeout", type=click.FloatRange(0.1, 60), default=5.0, show_default=True, help="Of a call, s.")
@click.option("--stale-after", type=click.IntRange(2, 3600), default=60, show_default=True, help="Age of a head, s.")
@click.option("--bump-after", type=click.FloatRange(0.5, 600), default=15.0, show_default=True, help="Bid more, s.")
@click.option("--max-fee", type=click.IntRange(1, 1_000_000), default=500, show_default=True, help="Of gas, gwei.")
@click.option("--timeout", type=click.FloatRange(1, 3600), default=60.0, show_default=True, help="Then it is late, s.")
@click.option("--in-drills", is_flag=True, help="Pause it for drills too; without this a drill is left alone.")
@click.option("--unpause", is_flag=True, help="Lift what this process paused. Dangerous: see --describe.")
@click.option("--listen", metavar="127.0.0.1:PORT", help="Answer GET /healthz there.")
@click.option("--describe", is_flag=True, help="Say what this stops and can prove, and end.")
def pausable(
    *,
    url: str,
    token_file: Path | None,
    name: str | None,
    scope: str | None,
    rpc: str | None,
    contract: str | None,
    key_file: Path | None,
    sign_with: str | None,
    sender: str | None,
    every: float,
    call_timeout: float,
    stale_after: int,
    bump_after: float,
    max_fee: int,
    timeout: float,
    in_drills: bool,
    unpause: bool,
    listen: str | None,
    describe: bool,
) -> None:
    """Pause a contract under a freeze until SIGTERM or Ctrl-C; a JSON line on stdout at each change."""
    if describe:
        click.echo(PAUSABLE_DESCRIPTION, nl=False)
        return
    if token_file is None or name is None or scope is None or rpc is None or contract is None:
        raise click.UsageError("--token-file, --name, --scope, --rpc and --contract are needed.")
    try:
        chain, strategy = place_of(scope)
        node, chain_id = parse_node(read_secret(Path(rpc[1:])) if rpc.startswith("@") else rpc)
        signer = _signer(key_file, sign_with, sender)
        token = read_secret(token_file)
        health = parse_listen(listen) if listen else None
    except PlaceError as error:
        raise ConfigurationError(f"{error}.") from error
    if not is_address(contract) or not 0 < len(name) <= MAX_NAME_CHARS:
        raise click.UsageError("--contract is an address, and --name has 1 to 100 characters.")
    options = Options(
        every_s=every,
        stale_after_s=stale_after,
        late_after_s=timeout,
        unpause=unpause,
        limits=Limits(bump_after_s=bump_after, max_fee_wei=max_fee * GWEI),
        chain_id=chain_id or KNOWN_CHAINS.get(chain.casefold()),
    )
    parties = Parties(contract.lower(), signer.sender)
    line = NodeLine(node, call_timeout)
    pauser = Pauser(parties, line, signer, Board(lambda: datetime.now(UTC)), options)
    try:
        gate = AsyncGate(
            url, token, executor=name, chain=chain, strategy=strategy, wallet=signer.sender, on_halt=pauser.wake,
            bounded=False, in_drills=in_drills,
        )  # fmt: skip
    except ValueError as error:  # the gate's words for an address or a token that is none
        raise ConfigurationError(f"{error}.") from error
    asyncio.run(_keep(pauser, gate, line, health))


async def _keep(pauser: Pauser, gate: AsyncGate, line: NodeLine, health: tuple[str, int] | None) -> None:
    async with health_told(pauser.board, health), line, gate:
        await run_until_stopped([partial(pauser.keep_going, gate)])


def _signer(key_file: Path | None, sign_with: str | None, sender: str | None) -> Signer:
    if (key_file is None) == (sign_with is None):
        raise click.UsageError("Either --key-file or --sign-with is needed.")
    if key_file is not None:
        return KeySigner(key_file)
    try:
        return CommandSigner(shlex.split(sign_with or ""), sender or "")
    except ValueError as error:
        raise PlaceError(f"--sign-with is not a command: {error}") from error


def place_of(scope: str) -> tuple[str, str]:
    """Chain and strategy of a contract.

    Raises:
        PlaceError: the scope names no chain, or more than these.
    """
    try:
        terms = {term.kind: term.name for term in Scope.parse(scope).terms}
    except ValueError as error:
        raise PlaceError(str(error)) from error
    chain = terms.pop(ScopeKind.CHAIN, None)
    strategy = terms.pop(ScopeKind.STRATEGY, NO_STRATEGY)
    if chain is None or terms:
        raise PlaceError("a contract's scope is chain:NAME or chain:NAME+strategy:NAME; its wallet is the sender's")
    return chain, strategy
