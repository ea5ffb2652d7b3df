"""Keeps sign-in tokens in the keyring of the operating system, where there is one that works; never in a weaker place.

Needs the optional library `keyring`, which costs a tenth of a second to import: nobody imports it who keeps no token
there. A token must never reach a log, a message or a command line from here.
"""

import secrets
import threading
from collections.abc import Callable
from typing import Any, Final, TypeVar

T = TypeVar("T")

SERVICE: Final = "watchfloor"
"""What the keyring's own window shows in front of an entry."""
LIMIT_S: Final = 30.0
"""How long a person may take to unlock it; on a line without a desktop nobody ever answers."""
_STRONG: Final = 1
"""Priority from which on the library recommends a backend; files in clear text are below it."""


class OsKeyringError(Exception):
    """The keyring is locked, away, or refuses; the message is the reason."""


def keep(url: str, token: str) -> str | None:
    """Put a token into the keyring; returns under which name, or None where no keyring works."""
    name = f"{url}#{secrets.token_hex(8)}"

    def put_in() -> bool:
        backend = _backend()
        if backend is None:
            return False
        backend.set_password(SERVICE, name, token)
        return bool(backend.get_password(SERVICE, name) == token)

    try:
        return name if _in_time(put_in) else None
    except OsKeyringError:
        return None


def read(name: str) -> str | None:
    """The token kept under a name; None if it is no longer there.

    Raises:
        OsKeyringError: the keyring cannot be asked.
    """

    def look_up() -> str | None:
        backend = _backend()
        if backend is None:
            raise OsKeyringError("there is no keyring here")
        found: str | None = backend.get_password(SERVICE, name)
        return found

    return _in_time(look_up)


def forget(name: str) -> None:
    """Take a token out of the keyring, if it can be asked: the server has ended the session, or will."""

    def take_out() -> None:
        backend = _backend()
        if backend is not None:
            backend.delete_password(SERVICE, name)

    try:
        _in_time(take_out)
    except OsKeyringError:
        return


def _backend() -> Any:
    """The keyring of this desktop; None where there is none, or only one that is no better than a private file."""
    try:
        import keyring
    except ImportError:
        return None
    backend: Any = keyring.get_keyring()
    every = list(getattr(backend, "backends", [backend]))
    return backend if every and all(one.priority >= _STRONG for one in every) else None


def _in_time(work: Callable[[], T]) -> T:
    """Do something that may wait for a person, and for no longer than a person takes."""
    outcome: list[T] = []
    failure: list[str] = ["it does not answer"]

    def run() -> None:
        try:
            outcome.append(work())
        # boundary to a library whose backends raise whatever their desktop raises; a text of theirs may hold the token
        except Exception as error:  # noqa: BLE001  the boundary above
            failure[0] = str(error) if isinstance(error, OsKeyringError) else type(error).__name__

    thread = threading.Thread(target=run, name="keyring", daemon=True)
    thread.start()
    thread.join(LIMIT_S)
    if not outcome:
        raise OsKeyringError(failure[0])
    return outcome[0]
