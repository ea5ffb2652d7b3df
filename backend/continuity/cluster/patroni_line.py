"""The line to Patroni's REST API on every node: bounded in time and length, follows nothing, names no secret.

Knows nothing of what the answers mean. Must never send the credentials in the clear to another machine.
"""

import asyncio
import json
import ssl
import stat
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from backend.continuity.cluster.port import ClusterError
from backend.errors import ConfigurationError

if TYPE_CHECKING:
    import httpx  # at first need: it would cost every start of a backend a twentieth of a second

ASK_LIMIT_S: Final = 3.0
"""One question: a node answers in milliseconds, or after the few seconds in which its own store does not."""
ORDER_LIMIT_S: Final = 90.0
"""One order: Patroni itself waits for a switchover for twenty rounds of at least a second."""
MAX_ANSWER_BYTES: Final = 1024 * 1024
"""Fifty nodes with their tags, or ten years of monthly failovers, are a tenth of it."""
MAX_NODES: Final = 20
_MAX_SECRET_BYTES: Final = 4_096
_OTHERS: Final = 0o077
_SHOWN_CHARS: Final = 200
_REFUSED_FROM: Final = 400
_NOT_NOW: Final = 503
_NOT_YOU: Final = frozenset({401, 403})


class AwayError(Exception):
    """A node did not answer, or not in time: what was ordered may have been done all the same."""


def addresses_of(text: str) -> tuple[str, ...]:
    """The nodes' addresses as the setting lists them.

    Raises:
        ConfigurationError: one of them is none, or carries what belongs into a file.
    """
    found = tuple(part.strip().rstrip("/") for part in text.split(",") if part.strip())
    if not found or len(found) > MAX_NODES or len(set(found)) != len(found):
        raise ConfigurationError(f"WATCHFLOOR_CLUSTER names no node, one twice, or more than {MAX_NODES}")
    for number, address in enumerate(found, 1):
        if not _is_address(address):  # by its number: it may hold a password
            raise ConfigurationError(
                f"WATCHFLOOR_CLUSTER: node {number} is no address as https://HOST:8008, without user, password and path"
            )
    return found


def _is_address(address: str) -> bool:
    try:
        parts = urlsplit(address)
        _ = parts.port
    except ValueError:
        return False
    plain = not (parts.path or parts.query or parts.fragment or "@" in address or "\\" in address)
    return plain and parts.scheme in {"http", "https"} and bool(parts.hostname) and address.isprintable()


def shown(raw: str, longest: int = _SHOWN_CHARS) -> str:
    """Text of a node in a line that may be shown."""
    plain = "".join(char if char.isprintable() else " " for char in raw[: 4 * longest])
    return " ".join(plain.split())[:longest]


class PatroniLine:
    """Asks the nodes of one cluster."""

    def __init__(
        self,
        addresses: Sequence[str],
        *,
        user_file: Path | None = None,
        ca: Path | None = None,
        transport: "httpx.AsyncBaseTransport | None" = None,
    ) -> None:
        """Prepare; nothing is sent yet.

        Raises:
            ConfigurationError: a file cannot be used, or the credentials would go over the network in the clear.
        """
        self.addresses = tuple(addresses)
        self._login = None if user_file is None else _login(user_file)
        self._transport = transport
        if self._login and not all(_is_safe(address) for address in addresses):
            raise ConfigurationError(
                "WATCHFLOOR_CLUSTER_USER_FILE is set, and a node is asked without TLS: its password would be readable"
            )
        self._tls = _authorities(ca) if any(address.startswith("https:") for address in addresses) else False

    async def get(self, address: str, path: str) -> Any:
        """What one node answers.

        Raises:
            AwayError: it does not.
        """
        status, body = await self._ask("GET", address, path, None, ASK_LIMIT_S)
        if status >= _REFUSED_FROM and path != "/patroni":  # which says so of a node that is not well, and says it all
            raise AwayError(f"it answers {status}")
        try:
            return json.loads(body)
        except (ValueError, RecursionError) as error:
            raise AwayError("its answer cannot be read") from error

    async def order(self, address: str, path: str, wanted: dict[str, Any]) -> str:
        """Have one node do something; answers with what it says of it.

        Raises:
            ClusterError: it refuses.
            AwayError: nobody knows whether it did.
        """
        status, body = await self._ask("POST", address, path, wanted, ORDER_LIMIT_S)
        said = shown(body.decode(errors="replace")) or "nothing"
        if status in _NOT_YOU:
            raise ClusterError(f"Patroni lets nobody give orders without a password ({said}): see patroni.md.")
        if status == _NOT_NOW and "unknown" in said:  # its own patience was over first
            raise AwayError(said)
        if status >= _REFUSED_FROM:
            raise ClusterError(f"Patroni refuses ({status}): {said}")
        return said

    async def _ask(
        self, verb: str, address: str, path: str, sent: dict[str, Any] | None, limit_s: float
    ) -> tuple[int, bytes]:
        import httpx

        client = httpx.AsyncClient(
            transport=self._transport, timeout=limit_s, trust_env=False, follow_redirects=False, verify=self._tls,
            headers={"accept-encoding": "identity"}, auth=self._login if verb == "POST" else None,
        )  # fmt: skip
        try:
            async with (
                asyncio.timeout(limit_s),
                client,
                client.stream(verb, f"{address}{path}", json=sent) as answer,
            ):
                return answer.status_code, await _bounded(answer)
        except TimeoutError as error:
            raise AwayError("it does not answer in time") from error
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise AwayError(f"it does not answer ({type(error).__name__})") from error


async def _bounded(answer: "httpx.Response") -> bytes:
    if answer.headers.get("content-encoding", "identity") != "identity":  # a short one may become a long one
        raise AwayError("its answer is compressed")
    parts: list[bytes] = []
    length = 0
    async for part in answer.aiter_bytes():
        length += len(part)
        if length > MAX_ANSWER_BYTES:
            raise AwayError("it answers at impossible length")
        parts.append(part)
    return b"".join(parts)


def _is_safe(address: str) -> bool:
    parts = urlsplit(address)
    if parts.scheme == "https" or parts.hostname == "localhost":
        return True
    try:
        return ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return False


def _authorities(ca: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=None if ca is None else str(ca))
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(f"{ca} holds no certificates of authorities that can be read") from error


def _login(path: Path) -> tuple[str, str]:
    try:
        if stat.S_IMODE(path.stat().st_mode) & _OTHERS:
            raise ConfigurationError(f"{path} can be read by others: chmod 600")
        with path.open("rb") as file:
            raw = file.read(_MAX_SECRET_BYTES)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from error
    user, colon, password = raw.split(b"\n", 1)[0].strip().partition(b":")
    if not (user and colon and password):
        raise ConfigurationError(f"{path} holds no USER:PASSWORD in its first line")
    try:
        return user.decode(), password.decode()
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path} is not UTF-8") from error
