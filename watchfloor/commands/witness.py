"""`watchfloor witness`: a witness of somebody else's ledger, to be run by whoever does not want to have to believe."""

import os
from collections.abc import Sequence
from pathlib import Path

import click

from backend.clock import SYSTEM_CLOCK
from backend.errors import ConfigurationError
from backend.listening import url_of
from witness.asgi import WitnessService, application, serve
from witness.cosigner import Cosigner, WrongKeyError
from witness.files import DirectoryTakenError, take_directory
from witness.heads import DamagedHeadError
from witness.sockets import AddressError, tcp_socket


@click.group()
def command() -> None:
    """Witness the heads of an audit ledger that runs elsewhere."""


@command.command("serve")
@click.option("--listen", required=True, metavar="HOST:PORT", help="Loopback, or any address with TLS; port 0: any.")
@click.option("--data-dir", required=True, type=click.Path(path_type=Path), help="Its key and the heads it has seen.")
@click.option("--key", "keys", required=True, multiple=True, metavar="VKEY", help="First key of a ledger to watch.")
@click.option("--name", required=True, help="Name to cosign under, such as auditor.example/watchfloor.")
@click.option("--tls-certificate", type=click.Path(exists=True, dir_okay=False), help="Certificate chain (PEM).")
@click.option("--tls-key", type=click.Path(exists=True, dir_okay=False), help="Key of that certificate (PEM).")
def serve_witness(
    *,
    listen: str,
    data_dir: Path,
    keys: Sequence[str],
    name: str,
    tls_certificate: str | None,
    tls_key: str | None,
) -> None:
    """Run a witness until SIGTERM or Ctrl-C (C2SP tlog-witness).

    A ledger's first key is what `watchfloor audit key` prints there; take it from a person, not from a network.
    """
    tls = (tls_certificate, tls_key) if tls_certificate and tls_key else None
    try:
        lock = take_directory(data_dir)
        cosigner = Cosigner(data_dir, name, keys, SYSTEM_CLOCK.now, SYSTEM_CLOCK.random_bytes)
        listening = tcp_socket(listen, encrypted=tls is not None)
    except (DirectoryTakenError, DamagedHeadError, AddressError, WrongKeyError) as error:
        raise ConfigurationError(f"{error}.") from error
    except OSError as error:
        raise ConfigurationError(f"{data_dir} cannot be used: {error.strerror}.") from error
    url = url_of(listening).replace("http:", "https:") if tls else url_of(listening)

    def ready() -> None:
        click.echo(f"The witness answers at {url}")
        click.echo(f"Its key: {cosigner.vkey}")

    try:
        serve(application(WitnessService(cosigner)), listening, ready, tls=tls)
    finally:
        os.close(lock)
