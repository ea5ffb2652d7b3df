"""Which Alertmanagers the settings name. Owns the form of that setting."""

from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import urlsplit

from backend.alerts.alertmanager.access import OPEN, Access, access_of
from backend.errors import ConfigurationError
from backend.settings import Settings
from contract.alertmanager import SOURCE_NAME

DEFAULT_SOURCE: Final = "default"
"""The source of deliveries to the address that names none."""
MAX_SOURCES: Final = 50
"""Each is asked by a task of its own."""


@dataclass(frozen=True, slots=True)
class Configured:
    """One Alertmanager whose API can be asked."""

    name: str
    url: str
    """Without a slash at its end; its API is at `/api/v2` below it."""
    access: Access = OPEN


def alertmanagers_of(settings: Settings) -> tuple[Configured, ...]:
    """The Alertmanagers of WATCHFLOOR_ALERTMANAGERS: NAME=URL, separated by blanks or commas.

    Raises:
        ConfigurationError: one is written wrongly, or named twice, or the file of how they are accessed is wrong.
    """
    found = [_one(part) for part in settings.alertmanagers.replace(",", " ").split()]
    names = [one.name for one in found]
    if len(set(names)) < len(names) or len(names) > MAX_SOURCES:
        raise ConfigurationError(f"WATCHFLOOR_ALERTMANAGERS names one twice, or more than {MAX_SOURCES}.")
    shown = access_of(settings.alertmanagers_file, {one.name: urlsplit(one.url) for one in found})
    return tuple(replace(one, access=shown.get(one.name, OPEN)) for one in found)


def _one(text: str) -> Configured:
    name, _, url = text.partition("=")
    try:
        parts = urlsplit(url)
        sound = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        sound = False
    if not SOURCE_NAME.fullmatch(name) or not sound:
        raise ConfigurationError(
            "WATCHFLOOR_ALERTMANAGERS has NAME=URL for each Alertmanager, as main=http://127.0.0.1:9093; a name has "
            "small letters, digits, dots and dashes."
        )
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise ConfigurationError("An address in WATCHFLOOR_ALERTMANAGERS has neither a password nor a query.")
    return Configured(name, url.rstrip("/"))
