"""Owns where sign-in tokens live: one private file of the operator, keyed by server address, or the system's keyring,
of which the file then holds the name of an entry.

Standard library only and light, because it is read before the first frame. A token must never reach a log, a message or
a command line from here.
"""

import json
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Final, NamedTuple

DEFAULT_URL: Final = "http://127.0.0.1:8420"
"""Where `watchfloor serve` and `watchfloor demo` listen unless told otherwise."""

URL_VARIABLE: Final = "WATCHFLOOR_URL"
TOKEN_VARIABLE: Final = "WATCHFLOOR_TOKEN"  # noqa: S105  the name of a variable, not a secret
FILE_NAME: Final = "sessions.json"

_LIMIT_BYTES: Final = 1_000_000
"""Some thousand sessions; a larger file is not one of ours."""
_PRIVATE_DIR: Final = 0o700
_PRIVATE_FILE: Final = 0o600
_OTHERS: Final = 0o077
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_UNIX_PREFIXES: Final = ("http+unix://", "unix://", "unix:")
_TOKEN, _ENTRY = "token", "keyring"
"""Fields of which a stored session has one: its token, or under which name the keyring has it."""


class SessionError(Exception):
    """The stored sessions or the server address cannot be used: one sentence, and what to do."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class Session(NamedTuple):
    """A token of one account on one server."""

    url: str
    username: str
    token: str
    expires_at: str
    """ISO 8601 with zone, as the server sent it."""

    def expired(self, now: datetime) -> bool:
        """Whether the server would refuse the token; an unreadable time counts as expired."""
        try:
            ends = datetime.fromisoformat(self.expires_at)
        except ValueError:
            return True
        return (ends if ends.tzinfo else ends.replace(tzinfo=UTC)) <= now

    def __repr__(self) -> str:
        return f"Session(url={self.url!r}, username={self.username!r}, expires_at={self.expires_at!r})"


class Target(NamedTuple):
    """Which server to speak to, and with which token (None: not signed in)."""

    url: str
    token: str | None

    def __repr__(self) -> str:
        return f"Target(url={self.url!r}, signed_in={self.token is not None})"


def state_dir(environ: Mapping[str, str]) -> str:
    """The operator's directory for Watchfloor's state, by the XDG rules (a relative XDG_STATE_HOME is ignored)."""
    base = environ.get("XDG_STATE_HOME", "")
    if not os.path.isabs(base):  # noqa: PTH117  as below
        base = os.path.join(environ.get("HOME") or os.path.expanduser("~"), ".local", "state")  # noqa: PTH111, PTH118
    return os.path.join(base, "watchfloor")  # noqa: PTH118  pathlib costs milliseconds before the first frame


def sessions_path(environ: Mapping[str, str]) -> str:
    """The file that holds the tokens."""
    return os.path.join(state_dir(environ), FILE_NAME)  # noqa: PTH118  as above


def normalise_url(url: str) -> str:
    """One spelling per server: lower-case scheme and host, no default port, no trailing slash, sockets by full path.

    Raises:
        SessionError: not an http, https or unix socket address, or one that carries a password, query or fragment.
    """
    text = url.strip()
    for prefix in _UNIX_PREFIXES:
        if text.lower().startswith(prefix):
            return _normalise_socket(url, text[len(prefix) :])
    return _normalise_http(url, text)


def _normalise_socket(url: str, rest: str) -> str:
    from urllib.parse import quote, unquote

    path = unquote(rest)
    if not path or "\x00" in path:
        raise SessionError(f"{url!r} names no socket.", "Write unix:/path/of/the/socket.")
    return "http+unix://" + quote(os.path.abspath(path), safe="")  # noqa: PTH100  as above


def _normalise_http(url: str, text: str) -> str:
    from urllib.parse import urlsplit

    hint = f"Write it like {DEFAULT_URL} or unix:/path/of/the/socket."
    if not text.isprintable() or " " in text:
        raise SessionError(f"{url!r} is not a server address.", hint)
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise SessionError(f"{url!r} is not a server address.", hint) from error
    if parts.scheme not in _DEFAULT_PORTS or not host:
        raise SessionError(f"{url!r} is not a server address.", hint)
    if parts.username is not None or parts.password is not None:
        raise SessionError("The server address contains a user name or password.", "Use `watchfloor login` instead.")
    if parts.query or parts.fragment:
        raise SessionError(f"{url!r} has a query or a fragment.", hint)
    shown_host = f"[{host}]" if ":" in host else host
    shown_port = "" if port in {None, _DEFAULT_PORTS[parts.scheme]} else f":{port}"
    return f"{parts.scheme}://{shown_host}{shown_port}{parts.path.rstrip('/')}"


def resolve(environ: Mapping[str, str], url: str | None = None) -> Target:
    """The server and token of this process: an explicit address, then the environment, then what was stored.

    A stored token is used whether or not it has expired: the server decides, and its refusal says so.

    Raises:
        SessionError: a wrong address, or a sessions file that others could read.
    """
    address = normalise_url(url or environ.get(URL_VARIABLE) or DEFAULT_URL)
    token = environ.get(TOKEN_VARIABLE, "").strip()
    if token:
        return Target(address, token)
    stored = load(environ, address)
    return Target(address, stored.token if stored else None)


def resolve_or_why(environ: Mapping[str, str], url: str | None = None) -> tuple[Target, str]:
    """As `resolve`, but nobody is signed in if only the stored session cannot be used, and why.

    Whoever opens a console then can still sign in, and freeze, where nobody can repair what is stored.

    Raises:
        SessionError: a wrong address.
    """
    address = normalise_url(url or environ.get(URL_VARIABLE) or DEFAULT_URL)
    try:
        return resolve(environ, url), ""
    except SessionError as error:
        return Target(address, None), f"The stored session cannot be used. {error.message}"


def load(environ: Mapping[str, str], url: str) -> Session | None:
    """The stored session of a server, or None.

    Raises:
        SessionError: the file is not private to this user, or not readable as sessions; the keyring refuses.
    """
    entry = _read(sessions_path(environ)).get(normalise_url(url))
    token = _token_of(entry) if entry is not None else None
    if entry is None or token is None:
        return None
    return Session(normalise_url(url), entry["username"], token, entry["expires_at"])


def _token_of(entry: Mapping[str, str]) -> str | None:
    if _ENTRY not in entry:
        return entry[_TOKEN]
    from console.client import os_keyring

    try:
        return os_keyring.read(entry[_ENTRY])
    except os_keyring.OsKeyringError as error:
        raise SessionError(
            f"The keyring does not give the session out: {error}.", "Unlock it, or log in again."
        ) from error


def save(environ: Mapping[str, str], session: Session) -> None:
    """Store a session, replacing the one of the same server: its token in the keyring, if one works here.

    Raises:
        SessionError: the directory cannot be made private or written.
    """
    from console.client import os_keyring

    url = normalise_url(session.url)
    name = os_keyring.keep(url, session.token)
    kept = {_TOKEN: session.token} if name is None else {_ENTRY: name}
    try:
        with _changing(environ) as entries:
            before = entries.get(url)
            entries[url] = {"username": session.username, "expires_at": session.expires_at, **kept}
    except SessionError:
        _forget_entry(kept)
        raise
    _forget_entry(before)


def forget(environ: Mapping[str, str], url: str) -> bool:
    """Remove the session of a server; says whether there was one.

    Raises:
        SessionError: as for `save`.
    """
    if normalise_url(url) not in _read(sessions_path(environ)):
        return False
    with _changing(environ) as entries:
        before = entries.pop(normalise_url(url), None)
    _forget_entry(before)
    return before is not None


def _forget_entry(entry: Mapping[str, str] | None) -> None:
    if entry is not None and _ENTRY in entry:
        from console.client import os_keyring

        os_keyring.forget(entry[_ENTRY])


def _read(path: str) -> dict[str, dict[str, str]]:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise SessionError(f"Cannot read {path}: {error.strerror}.", "Remove it and log in again.") from error
    with os.fdopen(descriptor, "rb") as file:
        _refuse_unless_private(path, os.fstat(descriptor))
        raw = file.read(_LIMIT_BYTES + 1)
    entries = _parse(raw)
    if entries is None:
        raise SessionError(f"{path} is not a list of sessions.", "Remove it and log in again.")
    return entries


def _parse(raw: bytes) -> dict[str, dict[str, str]] | None:
    if len(raw) > _LIMIT_BYTES:
        return None
    try:
        document = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    sessions = document.get("sessions") if isinstance(document, dict) else None
    if not isinstance(sessions, dict):
        return None
    for entry in sessions.values():
        if not isinstance(entry, dict):
            return None
        wanted = ("username", "expires_at", _ENTRY if _ENTRY in entry else _TOKEN)
        if not all(isinstance(entry.get(name), str) for name in wanted):
            return None
    return sessions


def _refuse_unless_private(path: str, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise SessionError(f"{path} is not a file.", "Remove it and log in again.")
    if status.st_uid != os.geteuid():
        raise SessionError(f"{path} belongs to another user.", "Log in as the user who runs this command.")
    if status.st_mode & _OTHERS:
        mode = stat.S_IMODE(status.st_mode)
        raise SessionError(
            f"{path} can be read by others (mode {mode:04o}).",
            f"Log out everywhere, then: chmod 600 {path}",
        )


@contextmanager
def _changing(environ: Mapping[str, str]) -> Iterator[dict[str, dict[str, str]]]:
    """Read, let the caller change, and replace the file in one step, alone among this user's processes."""
    import fcntl

    path = sessions_path(environ)
    directory = _private_directory(environ)
    try:
        lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, _PRIVATE_FILE)
    except OSError as error:
        raise SessionError(f"Cannot write in {directory}: {error.strerror}.") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        entries = _read(path)
        yield entries
        _replace(path, json.dumps({"version": 1, "sessions": entries}, indent=1).encode())
    except OSError as error:
        raise SessionError(f"Cannot write {path}: {error.strerror}.") from error
    finally:
        os.close(lock)


def _private_directory(environ: Mapping[str, str]) -> str:
    directory = state_dir(environ)
    try:
        os.makedirs(directory, mode=_PRIVATE_DIR, exist_ok=True)  # noqa: PTH103  as above
        status = os.stat(directory)  # noqa: PTH116  as above
        if status.st_uid != os.geteuid():
            raise SessionError(f"{directory} belongs to another user.", "Set XDG_STATE_HOME to a directory of yours.")
        if status.st_mode & _OTHERS:
            os.chmod(directory, _PRIVATE_DIR)  # noqa: PTH101  as above
    except OSError as error:
        raise SessionError(
            f"Cannot keep sessions in {directory}: {error.strerror}.", "Set XDG_STATE_HOME to a directory of yours."
        ) from error
    return directory


def _replace(path: str, content: bytes) -> None:
    temporary = f"{path}.{os.getpid()}.new"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, _PRIVATE_FILE)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, _PRIVATE_FILE)
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        os.replace(temporary, path)  # noqa: PTH105  as above
    except OSError:
        os.unlink(temporary)  # noqa: PTH108  as above
        raise
