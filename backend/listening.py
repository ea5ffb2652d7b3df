"""Where a backend listens: loopback, any address under TLS, a Unix socket. Takes the place before anything starts."""

import fcntl
import os
import socket
import stat
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from backend.errors import ConfigurationError

NO_HOST: Final = "none"
"""As the host: the Unix socket alone."""
SOCKET_MODE: Final = 0o660
"""For the account that runs the backend and its group."""
MAX_SOCKET_PATH_BYTES: Final = 103
"""What the shortest of the systems we know allows in the address of a Unix socket."""
_BACKLOG: Final = 2_048
"""A thousand executors that come back at once are all heard; the kernel may keep fewer."""


def listening_socket(host: str, port: int, *, encrypted: bool = False) -> socket.socket:
    """Take the port before anything else starts, so that a taken one is one clear line.

    Raises:
        ConfigurationError: the address cannot be bound, or could be reached from elsewhere in the clear.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # connections inherit it; asyncio sets it only on sockets made with the protocol named, and without it the second
    # part of every answer waits up to 40 ms for the client to acknowledge the first
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        sock.bind((host, port))
    except OSError as error:
        sock.close()
        raise ConfigurationError(f"Cannot listen on {host}:{port}: {error.strerror}.") from error
    bound: str = sock.getsockname()[0]  # what a name stood for, not the name
    if not encrypted and not ip_address(bound.partition("%")[0]).is_loopback:
        sock.close()
        raise ConfigurationError(
            f"{host} can be reached from other machines: set WATCHFLOOR_TLS_CERTIFICATE and WATCHFLOOR_TLS_KEY, or "
            "listen on 127.0.0.1."
        )
    sock.listen(_BACKLOG)
    sock.set_inheritable(False)
    return sock


def url_of(sock: socket.socket, *, encrypted: bool = False) -> str:
    """The base URL under which a listening socket is reached."""
    if sock.family == socket.AF_UNIX:
        return f"unix:{sock.getsockname()}"
    host, port = sock.getsockname()[:2]
    scheme = "https" if encrypted else "http"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


class UnixSocket:
    """A Unix socket of this process, from its first moment for the owner and the group alone.

    A lock beside it tells a socket that is served from one that a killed process left behind: asking the socket itself
    would let two processes that start together remove each other's.
    """

    def __init__(self, path: Path) -> None:
        """Listen.

        Raises:
            ConfigurationError: the path cannot be used, or another process serves it.
        """
        if not path.is_absolute() or len(os.fsencode(path)) > MAX_SOCKET_PATH_BYTES:
            raise ConfigurationError(
                f"WATCHFLOOR_SOCKET must be an absolute path of at most {MAX_SOCKET_PATH_BYTES} bytes, not {path}."
            )
        self._path = path
        self._lock = _locked(path.with_name(f"{path.name}.lock"))
        try:
            self.sock = _bound(path)
        except (OSError, ConfigurationError):
            os.close(self._lock)
            raise
        self._made = path.lstat()

    def close(self) -> None:
        """Remove it, unless somebody has put another in its place."""
        with suppress(FileNotFoundError):
            there = self._path.lstat()
            if (there.st_dev, there.st_ino) == (self._made.st_dev, self._made.st_ino):
                self._path.unlink()
        self.sock.close()
        os.close(self._lock)


def _locked(path: Path) -> int:
    try:
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ConfigurationError(f"Cannot listen beside {path}: {error.strerror}.") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        raise ConfigurationError(f"Another backend listens on {path.with_suffix('')}.") from error
    return lock


def _bound(path: Path) -> socket.socket:
    _remove_dead(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o777 & ~SOCKET_MODE)
    try:
        sock.bind(str(path))
    except OSError as error:
        sock.close()
        raise ConfigurationError(f"Cannot listen on {path}: {error.strerror}.") from error
    finally:
        os.umask(before)
    sock.listen(_BACKLOG)
    sock.set_inheritable(False)
    return sock


def _remove_dead(path: Path) -> None:
    with suppress(FileNotFoundError):
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise ConfigurationError(f"{path} is there and not a socket.")
        path.unlink()
