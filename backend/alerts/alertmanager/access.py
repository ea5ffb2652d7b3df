"""How a backend shows an Alertmanager's API who it is: a bearer token, or a name and a password; and whom it trusts.

The file of `WATCHFLOOR_ALERTMANAGERS_FILE` names files, the secrets are in those; they are read for every question,
so that they can be replaced while a backend runs. A secret must never be kept, shown, logged, or put in an error.
"""

import base64
import ssl
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final
from urllib.parse import SplitResult

from backend.errors import ConfigurationError

MAX_SECRET_BYTES: Final = 16_384
"""A token with many claims has four thousand."""
_MAX_FILE_BYTES: Final = 262_144
_OTHERS: Final = 0o077
_KEYS: Final = frozenset({"bearer_token_file", "username", "password_file", "ca_file"})


@dataclass(frozen=True, slots=True)
class Access:
    """What one Alertmanager is shown and believed by."""

    bearer_token_file: Path | None = None
    username: str | None = None
    password_file: Path | None = None
    ca_file: Path | None = None

    @property
    def shows_secrets(self) -> bool:
        """Whether a secret goes over the line."""
        return self.bearer_token_file is not None or self.password_file is not None

    def headers(self) -> Mapping[str, str]:
        """What a question carries. Reads a file.

        Raises:
            ConfigurationError: the file cannot be used.
        """
        if self.bearer_token_file is not None:
            return {"authorization": f"Bearer {_secret(self.bearer_token_file)}"}
        if self.password_file is not None:
            pair = f"{self.username}:{_secret(self.password_file)}".encode()
            return {"authorization": f"Basic {base64.b64encode(pair).decode()}"}
        return {}

    def trust(self) -> ssl.SSLContext | bool:
        """Whose certificates count: those of the file alone, or what the system trusts. Reads a file.

        Raises:
            ConfigurationError: the file cannot be used.
        """
        if self.ca_file is None:
            return True
        try:
            return ssl.create_default_context(cafile=self.ca_file)
        except OSError as error:  # ssl.SSLError is one too
            raise ConfigurationError(f"{self.ca_file} holds no certificates that can be used.") from error


OPEN: Final = Access()
"""An Alertmanager that asks nobody who they are."""


def access_of(path: Path | None, urls: Mapping[str, SplitResult]) -> Mapping[str, Access]:
    """What the file states for each Alertmanager; every file that it names is tried once.

    Raises:
        ConfigurationError: it cannot be used; the message says where, and holds no secret.
    """
    if path is None:
        return {}
    stated = _stated(path)
    found: dict[str, Access] = {}
    for name, table in stated.items():
        if name not in urls:
            raise ConfigurationError(f"{path}: WATCHFLOOR_ALERTMANAGERS names no {name!r}.")
        found[name] = _access(f"{path}: [alertmanagers.{name}]", table, urls[name])
    return found


def _stated(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            data = tomllib.loads(file.read(_MAX_FILE_BYTES).decode())
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}.") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError):
        raise ConfigurationError(f"{path} is not TOML.") from None
    stated = data.pop("alertmanagers", {})
    if data or not isinstance(stated, dict):
        raise ConfigurationError(f"{path}: states Alertmanagers only, each as [alertmanagers.NAME].")
    return stated


def _access(where: str, table: Any, url: SplitResult) -> Access:
    if not isinstance(table, dict) or not _KEYS.issuperset(table) or not all(_is_text(one) for one in table.values()):
        raise ConfigurationError(f"{where} takes the texts {', '.join(sorted(_KEYS))}.")
    files = {name: Path(text) for name, text in table.items() if name != "username"}
    access = Access(username=table.get("username"), **files)
    if (access.username is None) is not (access.password_file is None):
        raise ConfigurationError(f"{where} needs username and password_file together.")
    if access.bearer_token_file is not None and access.password_file is not None:
        raise ConfigurationError(f"{where} takes either a token or a password.")
    if ":" in (access.username or "") or not (access.username or "x").isprintable():
        raise ConfigurationError(f"{where}: a username has no colon and no control characters.")
    if url.scheme != "https" and (access.ca_file is not None or (access.shows_secrets and not _is_here(url))):
        raise ConfigurationError(f"{where}: secrets leave this machine by https alone, and ca_file is for https.")
    access.headers()
    access.trust()
    return access


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value) and "\x00" not in value


def _is_here(url: SplitResult) -> bool:
    try:
        return ip_address(url.hostname or "").is_loopback
    except ValueError:
        return url.hostname == "localhost"


def _secret(path: Path) -> str:
    try:
        if stat.S_IMODE(path.stat().st_mode) & _OTHERS:
            raise ConfigurationError(f"{path} can be read by others: chmod 600.")
        with path.open("rb") as file:
            raw = file.read(MAX_SECRET_BYTES + 1)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}.") from error
    try:
        secret = raw.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        secret = ""
    if not secret or len(raw) > MAX_SECRET_BYTES or not secret.isprintable():
        raise ConfigurationError(f"{path} does not hold one line of text.")
    return secret
