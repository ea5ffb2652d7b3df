"""`watchfloor gate sidecar`: the gate, and the check at a choke point, for bots and signers not written in Python."""

import signal
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import click

from backend.errors import ConfigurationError
from gate import Checker, Gate
from gate.listening import AddressError, listen
from gate.sidecar import Serving, Sidecar, read_permit_keys


@click.group()
def command() -> None:
    """Ask for permits, or check them, on behalf of programs in other languages."""


@command.command("sidecar")
@click.option("--url", "urls", required=True, multiple=True, help="Address of a backend; several are tried in turn.")
@click.option(
    "--token-file", required=True, type=click.Path(path_type=Path), help="File with a service token for executors."
)
@click.option("--listen", "address", required=True, metavar="ADDRESS", help="127.0.0.1:PORT or unix:/path (mode 0600).")
@click.option("--executor", help="Name of the executor; with chain, strategy and wallet it runs a gate.")
@click.option("--chain", help="Chain it trades on.")
@click.option("--strategy", help="Strategy it follows.")
@click.option("--wallet", help="Wallet it signs with.")
@click.option("--check", "checks", is_flag=True, help="Check permits, for a signer or an egress proxy.")
@click.option(
    "--permit-keys",
    type=click.Path(path_type=Path),
    help="JSON file of the backend's public keys by name; else those are trusted that it names itself.",
)
def sidecar(
    *,
    urls: Sequence[str],
    token_file: Path,
    address: str,
    executor: str | None,
    chain: str | None,
    strategy: str | None,
    wallet: str | None,
    checks: bool,
    permit_keys: Path | None,
) -> None:
    """Answer on this machine whether a send is allowed, until SIGTERM or Ctrl-C."""
    given = {"--executor": executor, "--chain": chain, "--strategy": strategy, "--wallet": wallet}
    missing = [name for name, value in given.items() if not value]
    if 0 < len(missing) < len(given):
        raise click.UsageError(f"A gate needs {', '.join(missing)} as well.")
    if missing and not checks:
        raise click.UsageError("Name an executor with its chain, strategy and wallet, or give --check.")
    gate = checker = None
    try:
        token = token_file.read_text().strip()
        keys = None if permit_keys is None else read_permit_keys(permit_keys.read_text())
        if executor and chain and strategy and wallet:
            gate = Gate(urls, token, executor=executor, chain=chain, strategy=strategy, wallet=wallet, permit_keys=keys)
        if checks:
            checker = Checker(keys, urls, token)
        listening = listen(address)
    except OSError as error:
        raise ConfigurationError(f"{error.filename} cannot be read: {error.strerror}.") from error
    except (AddressError, ValueError) as error:
        raise ConfigurationError(f"{error}.") from error
    over = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: over.set())
    with ExitStack() as stack:
        for part in (gate, checker):
            if part is not None:
                stack.enter_context(part)
        stack.enter_context(Serving(Sidecar(gate, checker), listening))
        click.echo(f"The sidecar answers at {_shown(address, listening.getsockname())}")
        over.wait()


def _shown(address: str, bound: object) -> str:
    if isinstance(bound, tuple):
        return f"http://{address.rpartition(':')[0]}:{bound[1]}"
    return address
