"""Reads the file with the channels' addresses. An address is a secret: it must never be shown, logged, or put in an
error, and is asked for by what sends alone.
"""

import re
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import structlog

from backend.errors import ConfigurationError
from backend.notifications.sending import is_pages_own, services
from backend.policy.mistakes import did_you_mean
from backend.settings import Settings
from contract.alerts import Severity

log = structlog.get_logger(__name__)

MAX_CHANNELS: Final = 100
"""People are told in a handful of places; each is asked about once a second."""
_MAX_FILE_BYTES: Final = 262_144
_OTHERS: Final = 0o077
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_.-]{0,62}")
_KEYS: Final = frozenset({"url", "severities"})
_OF_PAGES: Final = frozenset({"http", "https"})
"""Schemes of addresses that are copied from a service's own pages; apprise takes some of them as they are."""
_SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]{0,39}")


@dataclass(frozen=True, slots=True)
class ChannelEntry:
    """One channel as the file states it."""

    name: str
    service: str
    """The address's scheme."""
    url: str = field(repr=False)
    severities: frozenset[Severity] | None
    """None: as the policy says."""


Channels = Mapping[str, ChannelEntry]
NONE: Final[Channels] = {}


def configured_channels(settings: Settings) -> Channels:
    """The channels by name; read again when the file has changed. None without a file.

    Raises:
        ConfigurationError: the file cannot be used; the message says which entry is wrong, and holds no address.
    """
    return NONE if settings.notifications_file is None else channels_in(settings.notifications_file)


def channels_in(path: Path) -> Channels:
    """The channels of a file, by name.

    Raises:
        ConfigurationError: as `configured_channels`.
    """
    try:
        found = path.stat()
        if stat.S_IMODE(found.st_mode) & _OTHERS:
            raise ConfigurationError(f"{path} can be read by others: chmod 600")
        return _read(path, (found.st_ino, found.st_mtime_ns, found.st_size))
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from error


def channels_now(settings: Settings) -> Channels:
    """The same for something that runs on: a file spoilt meanwhile is complained of once, and counts as before."""
    held = _held_of(settings.notifications_file)
    complaint = None
    try:
        held.channels = configured_channels(settings)
    except ConfigurationError as error:
        complaint = str(error)
        if complaint != held.complaint:
            log.warning("channels_unreadable", error=complaint)
    held.complaint = complaint
    return held.channels


@dataclass
class _Held:
    channels: Channels = field(default_factory=dict)
    complaint: str | None = None


@lru_cache(maxsize=8)
def _held_of(_path: Path | None) -> _Held:
    return _Held()


@lru_cache(maxsize=8)
def _read(path: Path, _version: tuple[int, int, int]) -> Channels:
    with path.open("rb") as file:
        raw = file.read(_MAX_FILE_BYTES + 1)
    if len(raw) > _MAX_FILE_BYTES:
        raise ConfigurationError(f"{path} is larger than {_MAX_FILE_BYTES:,} bytes")
    try:
        data = tomllib.loads(raw.decode())
    except UnicodeDecodeError:
        raise ConfigurationError(f"{path} is not UTF-8 text") from None
    except tomllib.TOMLDecodeError as error:  # its text may quote a line, and with it an address
        where = re.search(r"\(at (line \d+, column \d+|end of document)\)$", str(error))
        raise ConfigurationError(f"{path} is not TOML{f', {where[1]}' if where else ''}") from None
    return _channels(path, data)


def _channels(path: Path, data: dict[str, Any]) -> Channels:
    stated = data.pop("channels", {})
    if data or not isinstance(stated, dict):
        raise ConfigurationError(f"{path}: states channels only, each as [channels.NAME]")
    if len(stated) > MAX_CHANNELS:
        raise ConfigurationError(f"{path}: has more than {MAX_CHANNELS} channels")
    return {name: _entry(path, name, table) for name, table in stated.items()}


def _entry(path: Path, name: str, table: Any) -> ChannelEntry:
    if not _NAME.fullmatch(name):
        raise ConfigurationError(
            f"{path}: the name of a channel has up to 63 of the characters a-z 0-9 . _ - and begins with a-z or 0-9"
        )
    if not isinstance(table, dict) or not _KEYS.issuperset(table):
        raise ConfigurationError(f"{path}: [channels.{name}] takes url and severities")
    url = table.get("url")
    if not isinstance(url, str) or "\x00" in url or not (service := _service(url)):
        raise ConfigurationError(f"{path}: [channels.{name}] needs url, an address of apprise such as mailtos://…")
    known = services()
    if service not in known and not (
        service in _OF_PAGES and is_pages_own(url)
    ):  # it may be anything that was put in the wrong place: not quoted
        meant = did_you_mean(service, known)
        raise ConfigurationError(f"{path}: [channels.{name}] has a url that begins as none of apprise's does{meant}")
    return ChannelEntry(name, service, url, _severities(path, name, table.get("severities")))


def _service(url: str) -> str:
    try:
        scheme = urlsplit(url.strip()).scheme.lower()
    except ValueError:
        return ""
    return scheme if "://" in url and _SCHEME.fullmatch(scheme) else ""


def _severities(path: Path, name: str, stated: Any) -> frozenset[Severity] | None:
    if stated is None:
        return None
    try:
        return frozenset(Severity(one) for one in stated)
    except (TypeError, ValueError):
        known = ", ".join(Severity)
        raise ConfigurationError(f"{path}: [channels.{name}] severities is a list of {known}") from None
