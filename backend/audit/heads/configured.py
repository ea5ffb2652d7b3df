"""Reads WATCHFLOOR_WITNESSES and WATCHFLOOR_SIGNER_SOCKET: who is asked. Connects to nobody."""

import functools
import shlex
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from backend.audit.heads.http import HttpWitness, SignerClient
from backend.audit.heads.parties import PartyError, Witness
from backend.audit.heads.shelf import ShelfWitness
from backend.audit.heads.shelves import DirectoryShelf, ObjectShelf, TableShelf
from backend.errors import ConfigurationError
from backend.settings import Settings
from ledger.note import KeyType, NoteError, VerifierKey
from witness.sockets import SOCKET_NAME

_SETTING = "WATCHFLOOR_WITNESSES"


def signer_of(settings: Settings) -> SignerClient:
    """The signer, whether it runs or not.

    Raises:
        ConfigurationError: its socket's path is too long.
    """
    try:
        return SignerClient(settings.signer_socket or settings.data_dir / SOCKET_NAME)
    except PartyError as error:
        raise ConfigurationError(f"WATCHFLOOR_SIGNER_SOCKET: {error}") from error


def witnesses_of(settings: Settings) -> list[Witness]:
    """The witnesses, whether they can be reached or not.

    Raises:
        ConfigurationError: one is written wrongly, or two have one name.
    """
    found = _parsed(settings.witnesses)
    names = [one.name for one in found]
    if len(set(names)) < len(names):
        raise ConfigurationError(f"{_SETTING} names one witness twice.")
    return found


@functools.cache
def witness_names(setting: str) -> tuple[str, ...]:
    """What the witnesses of a setting are called."""
    return tuple(one.name for one in _parsed(setting))


def _parsed(setting: str) -> list[Witness]:
    try:
        words = iter(shlex.split(setting))
    except ValueError as error:
        raise ConfigurationError(f"{_SETTING}: {error}.") from error
    return [_witness(word, words) for word in words]


def _witness(word: str, rest: Iterator[str]) -> Witness:
    kind, _, place = word.partition(":")
    if kind == "dir" and place:
        return ShelfWitness(word, DirectoryShelf(Path(place).expanduser().absolute()))
    if kind == "s3":
        try:
            return ShelfWitness(word, ObjectShelf(word))
        except (PartyError, ValueError) as error:
            raise ConfigurationError(f"{_SETTING}: {word}: {error}") from error
    if kind in {"postgresql", "postgres"}:
        return ShelfWitness(_without_password(word), TableShelf(word))
    if kind in {"http", "https"}:
        return _http(word, next(rest, ""))
    raise ConfigurationError(f"{_SETTING}: {word} is none of dir:, s3:, postgresql:, https:.")


def _http(url: str, vkey: str) -> Witness:
    try:
        key = VerifierKey.parse(vkey)
    except NoteError as error:
        raise ConfigurationError(f"{_SETTING}: {url} must be followed by the key its witness printed.") from error
    if key.kind is not KeyType.COSIGNATURE:
        raise ConfigurationError(f"{_SETTING}: the key after {url} is not a witness's.")
    if url.startswith("http:") and not _is_loopback(urlsplit(url).hostname or ""):
        raise ConfigurationError(f"{_SETTING}: {url} must be https: it is not on this machine.")
    return HttpWitness(url, key)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _without_password(url: str) -> str:
    """A name that alerts may show."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(scheme="postgresql", netloc=host, query="", fragment=""))
