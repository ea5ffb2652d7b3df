"""Where chains are asked, as people write it, pure. Owns what may be shown of an address: never more than its host."""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from contract.gate import MAX_NAME_CHARS
from watchers.node import MAX_ID

KNOWN_CHAINS: Final = {
    "ethereum": 1,
    "optimism": 10,
    "bsc": 56,
    "polygon": 137,
    "base": 8453,
    "arbitrum": 42161,
    "avalanche": 43114,
}
"""Ids of chains whose names say which they are: a node of another chain behind such a name is never believed."""


class PlaceError(ValueError):
    """Not a chain, or not an address of a node."""


@dataclass(frozen=True, slots=True)
class Address:
    """One node. Its path and query often carry a key of the provider: neither is ever shown."""

    url: str = field(repr=False)

    @property
    def shown(self) -> str:
        """What may be printed of it."""
        return urlsplit(self.url).netloc.rpartition("@")[2]


@dataclass(frozen=True, slots=True)
class ChainPlace:
    """One chain and the nodes that are asked about it."""

    name: str
    nodes: tuple[Address, ...]
    chain_id: int | None = None
    """None: learnt from the nodes once they agree, and then kept."""


def parse_node(text: str) -> tuple[Address, int | None]:
    """Read `https://node/path#chainid`.

    Raises:
        PlaceError: it is none. The text itself is not repeated, it may carry a key.
    """
    try:
        parts = urlsplit(text.strip())
        fits = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        fits = False
    if not fits or not text.strip().isprintable() or " " in text.strip():
        raise PlaceError("a node's address is http://HOST:PORT or https://HOST/…, with #CHAINID at the end if pinned")
    if parts.username is not None or parts.password is not None:
        raise PlaceError("a node's address has no user or password in it")
    pinned = None
    if parts.fragment:
        if not (parts.fragment.isascii() and parts.fragment.isdigit()) or not 0 < int(parts.fragment[:20]) <= MAX_ID:
            raise PlaceError(f"#{parts.fragment[:20]} is not a chain id")
        pinned = int(parts.fragment)
    return Address(urlunsplit(parts._replace(fragment=""))), pinned


def parse_chains(given: Sequence[tuple[str, str]], agree: int) -> list[ChainPlace]:
    """Gather names and addresses of nodes into chains; capitals of names never matter.

    Raises:
        PlaceError: an address is none, two ids contradict, or a chain has fewer nodes than have to agree.
    """
    nodes: dict[str, list[Address]] = {}
    pins: dict[str, int] = {}
    for name, text in given:
        key = name.strip().casefold()
        if not 0 < len(key) <= MAX_NAME_CHARS or not key.isprintable():
            raise PlaceError("a chain is written NAME=URL")
        node, pinned = parse_node(text)
        pinned = pinned or KNOWN_CHAINS.get(key)
        if pinned is not None and pins.setdefault(key, pinned) != pinned:
            raise PlaceError(f"{key} is given two chain ids: {pins[key]} and {pinned}")
        if node in nodes.setdefault(key, []):
            raise PlaceError(f"{key} names the same node twice")
        nodes[key].append(node)
    for key, some in nodes.items():
        if len(some) < agree:
            raise PlaceError(f"{agree} nodes have to agree and {key} has {len(some)}")
    return [ChainPlace(key, tuple(some), pins.get(key)) for key, some in nodes.items()]


def is_loopback(host: str) -> bool:
    """Whether what is sent there never leaves this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def parse_backend(text: str) -> str:
    """Read the address of a backend.

    Raises:
        PlaceError: it is none, or the token would travel in the clear.
    """
    try:
        parts = urlsplit(text.strip().rstrip("/"))
        fits = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        fits = False
    if not fits or parts.username is not None or parts.query or parts.fragment:
        raise PlaceError("a backend's address is https://HOST or, on this machine, http://127.0.0.1:PORT")
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        raise PlaceError("the token would travel in the clear: use https")
    return urlunsplit(parts)
