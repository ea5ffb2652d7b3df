"""Whose address a request comes from when trusted proxies stand in front. Owns the reading of `X-Forwarded-For`.

The header counts only from a peer that the installation names; then the right-most hop that is no trusted proxy is the
caller. What stands further left was written by the caller and is not looked at.
"""

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from backend.answers import envelope
from backend.errors import ConfigurationError
from contract.errors import ErrorCode

Networks = tuple[IPv4Network | IPv6Network, ...]
_HEADER: Final = b"x-forwarded-for"
MAX_HOPS: Final = 32
"""Trusted proxies in a row; a longer chain is an attack or a loop."""
_POLICY_VIOLATION: Final = 1008
"""The close code of a WebSocket that is refused for what it sent."""


class MalformedForwardingError(ValueError):
    """A trusted proxy sent a header that names no address where one has to be."""


def networks_of(text: str) -> Networks:
    """Read the networks of a setting, separated by spaces or commas.

    Raises:
        ConfigurationError: naming what is no network.
    """
    found = []
    for part in text.replace(",", " ").split():
        try:
            found.append(ip_network(part))
        except ValueError as error:
            raise ConfigurationError(f"WATCHFLOOR_TRUSTED_PROXIES: {part!r} is no network: {error}") from error
    return tuple(found)


def caller_address(peer: str, forwarded: Sequence[str], trusted: Networks) -> str:
    """The address of whoever calls: the peer, or what trusted proxies say of it.

    Raises:
        MalformedForwardingError: a trusted proxy names something that is no address, or there are too many of them.
    """
    here = _address(peer)
    hops = [hop.strip() for line in forwarded for hop in line.split(",")]
    for number, hop in enumerate(reversed(hops)):
        if not _is_one_of(here, trusted):
            break
        if number >= MAX_HOPS:
            raise MalformedForwardingError("too many hops")
        here = _address(hop)
    return str(here)


def _address(text: str) -> IPv4Address | IPv6Address:
    try:
        address = ip_address(text)
    except ValueError as error:
        raise MalformedForwardingError("a hop is no address") from error
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            raise MalformedForwardingError("a hop names an interface")
        return address.ipv4_mapped or address
    return address


def _is_one_of(address: IPv4Address | IPv6Address, networks: Iterable[IPv4Network | IPv6Network]) -> bool:
    return any(address in network for network in networks)


class ForwardedFor:
    """Puts the caller's address where the peer's stood, once, for everything behind it."""

    def __init__(self, app: ASGIApp, trusted: Networks) -> None:
        self._app = app
        self._trusted = trusted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: D102  the ASGI interface
        client = scope.get("client")
        if scope["type"] not in {"http", "websocket"} or not self._trusted or not client:
            await self._app(scope, receive, send)
            return
        lines = [value.decode("latin-1") for name, value in scope["headers"] if name == _HEADER]
        try:
            trusted = bool(lines) and _is_one_of(_address(client[0]), self._trusted)
        except MalformedForwardingError:  # the peer's own address is none: a test client's name
            trusted = False
        if not trusted:
            await self._app(scope, receive, send)
            return
        try:
            address = caller_address(client[0], lines, self._trusted)
        except MalformedForwardingError as error:
            await _refuse(scope, receive, send, f"X-Forwarded-For cannot be read: {error}.")
            return
        # the port belongs to the proxy's connection: what it was at the caller's is not known
        await self._app({**scope, "client": (address, 0)}, receive, send)


async def _refuse(scope: Scope, receive: Receive, send: Send, message: str) -> None:
    if scope["type"] == "http":
        hint = "Whoever runs the proxy has to have it send addresses only."
        await envelope(Request(scope), ErrorCode.INVALID_REQUEST, message, hint=hint)(scope, receive, send)
        return
    await receive()
    await send({"type": "websocket.close", "code": _POLICY_VIOLATION, "reason": "X-Forwarded-For cannot be read"})
