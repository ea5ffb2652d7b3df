"""The places of a pair on disk: where its sockets lie. Must never follow a path it did not make."""

import os
import secrets
import stat
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

from watchfloor.embedded.errors import ConfigurationError
from watchfloor.embedded.server import LONGEST_SOCKET_PATH_BYTES, SOCKET_NAME
from watchfloor.pair.state import NODES, Kept

PREFIX: Final = "wf-pair-"


def sockets(kept: Kept) -> Path:
    """The directory of both servers' socket directories: the one of last time, as long as it can be ours.

    Raises:
        ConfigurationError: there is no place for it.
    """
    former = Path(kept.now.sockets) if kept.now.sockets else None
    if former is not None and _take(former):
        return former
    for base in (Path(tempfile.gettempdir()), Path("/tmp")):  # noqa: S108  a directory of our own is made below it
        directory = base / f"{PREFIX}{secrets.token_hex(5)}"
        longest = directory / max(NODES, key=len) / SOCKET_NAME
        if len(os.fsencode(longest)) <= LONGEST_SOCKET_PATH_BYTES and _take(directory):
            kept.change(sockets=str(directory))
            return directory
    raise ConfigurationError("no writable temporary directory with a short path for the sockets: set TMPDIR")


def leave(kept: Kept) -> None:
    """Remove the directory; its name is kept for the next time."""
    with suppress(OSError):
        Path(kept.now.sockets).rmdir()


def _take(directory: Path) -> bool:
    """Make it, or make sure that it is ours and that nobody else can put anything into it."""
    # The server's account has to walk through to its own directory, which nobody else may enter.
    mode = 0o711 if os.geteuid() == 0 else 0o700
    try:
        directory.mkdir(mode=mode, exist_ok=True)
        found = directory.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            return False
        directory.chmod(mode)
    except OSError:
        return False
    return True
