"""Where a signer and a witness listen: a Unix socket of its owner's, loopback, or any address under TLS."""

import os
import socket
from ipaddress import ip_address
from pathlib import Path
from typing import Final

SOCKET_NAME: Final = "signer.sock"
MAX_SOCKET_PATH_BYTES: Final = 103
"""What the shortest of the systems we know allows in the address of a Unix socket."""
_BACKLOG: Final = 64


class AddressError(ValueError):
    """An address that cannot be listened on."""


def short(path: Path) -> str:
    """Spell a socket's path so that it fits into an address: absolute, or relative to where we are.

    Raises:
        AddressError: neither fits.
    """
    for spelled in (str(path.absolute()), os.path.relpath(path)):
        if len(os.fsencode(spelled)) <= MAX_SOCKET_PATH_BYTES:
            return spelled
    raise AddressError(f"{path} is too long for a socket: choose a shorter one")


def unix_socket(path: Path) -> socket.socket:
    """Listen on a Unix socket that only its owner may use, in place of one that a dead process left.

    The caller has made sure that no live process listens there.

    Raises:
        AddressError: it cannot be listened on.
    """
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.unlink(missing_ok=True)
        before = os.umask(0o177)
        try:
            listening.bind(short(path))
        finally:
            os.umask(before)
    except OSError as error:
        listening.close()
        raise AddressError(f"cannot listen on {path}: {error.strerror}") from error
    listening.listen(_BACKLOG)
    return listening


def tcp_socket(address: str, *, encrypted: bool) -> socket.socket:
    """Listen on HOST:PORT; without TLS on this machine's own addresses only.

    Raises:
        AddressError: it is no such address, or cannot be listened on.
    """
    host, colon, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not port.isascii() or not port.isdigit():
        raise AddressError(f"{address} is not HOST:PORT")
    try:
        local = ip_address(host).is_loopback
    except ValueError:
        local = host == "localhost"
    if not local and not encrypted:
        raise AddressError(f"{host} is reachable from elsewhere: give --tls-certificate and --tls-key")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, int(port)))
    except (OSError, OverflowError) as error:
        listening.close()
        raise AddressError(f"cannot listen on {address}: {error}") from error
    listening.listen(_BACKLOG)
    return listening
