"""Where a sidecar listens: loopback or a Unix socket of its owner's, never the network."""

import os
import socket
import stat
from pathlib import Path
from typing import Final

from gate.addresses import is_loopback

BACKLOG: Final = 64
_UNIX_PREFIX: Final = "unix:"


class AddressError(ValueError):
    """Not an address the sidecar may listen at."""


def listen(address: str) -> socket.socket:
    """Return a socket that listens at `127.0.0.1:PORT`, `[::1]:PORT` or `unix:/path`; this machine only.

    A Unix socket is for its owner only (0600). One that a dead process left behind is replaced.

    Raises:
        AddressError: it is none of these, or taken.
    """
    try:
        return (
            _listen_unix(Path(address.removeprefix(_UNIX_PREFIX)))
            if address.startswith(_UNIX_PREFIX)
            else _tcp(address)
        )
    except OSError as error:
        raise AddressError(f"cannot listen at {address}: {error.strerror or error}") from error


def _tcp(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not (port.isascii() and port.isdigit()) or not host:
        raise AddressError(f"{address!r} is not 127.0.0.1:PORT or unix:/path")
    if not is_loopback(host):
        raise AddressError(f"{host} is not loopback: anybody on the network could ask")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, int(port)), family=family, backlog=BACKLOG)


def _listen_unix(path: Path) -> socket.socket:
    if not path.is_absolute():
        raise AddressError("the path of a Unix socket is absolute: unix:/path")
    if path.exists():
        _remove_dead(path)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)  # from the first moment nobody else may connect
    try:
        listening.bind(str(path))
    except OSError:
        listening.close()
        raise
    finally:
        os.umask(before)
    listening.listen(BACKLOG)
    return listening


def _remove_dead(path: Path) -> None:
    if not stat.S_ISSOCK(path.lstat().st_mode):
        raise AddressError(f"{path} is there and not a socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
    raise AddressError(f"{path} is taken by a running process")
