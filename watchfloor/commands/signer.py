"""`watchfloor signer`: the process that signs the ledger's heads. Reads no database address and opens no database."""

import os
from pathlib import Path

import click

from backend.clock import SYSTEM_CLOCK
from backend.errors import ConfigurationError
from backend.settings import state_directory
from witness.asgi import SignerService, application, serve
from witness.files import DirectoryTakenError, take_directory
from witness.heads import DamagedHeadError
from witness.signer import DamagedKeyError, Signer
from witness.sockets import SOCKET_NAME, AddressError, unix_socket

DIRECTORY_NAME = "signer"
"""Where the key and the heads lie, below the data directory."""


@click.group()
def command() -> None:
    """Sign the heads of the audit ledger, in a process of its own without access to the database."""


@command.command("serve")
@click.option("--data-dir", type=click.Path(path_type=Path), help="Parent of its directory (WATCHFLOOR_DATA_DIR).")
@click.option("--socket", "path", type=click.Path(path_type=Path), help="Its Unix socket (WATCHFLOOR_SIGNER_SOCKET).")
def serve_signer(data_dir: Path | None, path: Path | None) -> None:
    """Run the signer until SIGTERM or Ctrl-C.

    The first ledger whose backend asks is the one it signs for. Its directory is worth as much as the ledger: whoever
    removes it ends the chain of keys.
    """
    data_dir = data_dir or Path(os.environ.get("WATCHFLOOR_DATA_DIR") or state_directory())
    path = path or Path(os.environ.get("WATCHFLOOR_SIGNER_SOCKET") or data_dir / SOCKET_NAME)
    directory = data_dir / DIRECTORY_NAME
    try:
        lock = take_directory(directory)
        signer = Signer(directory, SYSTEM_CLOCK.now, SYSTEM_CLOCK.random_bytes)
        listening = unix_socket(path)
    except (DirectoryTakenError, DamagedKeyError, DamagedHeadError, AddressError) as error:
        raise ConfigurationError(f"{error}.") from error
    except OSError as error:
        raise ConfigurationError(f"{directory} cannot be used: {error.strerror}.") from error
    try:
        app = application(SignerService(signer))
        serve(app, listening, lambda: click.echo(f"The signer listens on {path}"))
    finally:
        os.close(lock)
