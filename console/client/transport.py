"""Owns how bytes reach a backend: which addresses are allowed, TLS, timeouts, and what each failure means.

Redirects are never followed (a token must not travel to another host) and environment proxies are used for TLS only.
"""

import ipaddress
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, TypeVar
from urllib.parse import unquote, urlsplit

import httpx
from pydantic import BaseModel, ValidationError

from console.client.errors import AddressRefused, ApiError, ClientError, NotUnderstood, TimedOut, Unreachable
from console.client.session import SessionError, normalise_url
from contract.errors import ErrorEnvelope
from contract.version import __version__

CONNECT_TIMEOUT_S: Final = 2.0
"""A line with a second of delay still connects; a dead host is told within the time a person waits."""
M = TypeVar("M", bound=BaseModel)

READ_TIMEOUT_S: Final = 10.0
"""Twice the backend's statement timeout: a slow answer arrives as its refusal rather than as silence here."""
_SOCKET_SCHEME: Final = "http+unix://"
_KEEPALIVE_S: Final = 4.0
"""Below the 5 s after which the backend closes an idle connection: a request never races with that."""
_MAX_CONNECTIONS: Final = 8
_LAST_SUCCESS: Final = 299
_FIRST_SERVER_ERROR: Final = 500


def open_http(url: str, token: str | None, transport: httpx.AsyncBaseTransport | None = None) -> httpx.AsyncClient:
    """An HTTP client bound to one backend.

    Raises:
        AddressRefused: not an address, or plain HTTP to another machine.
    """
    base, socket_path = _base_and_socket(url)
    secure = base.startswith("https://")
    if not secure and socket_path is None:
        _refuse_unless_loopback(base)
    headers = {"accept": "application/json", "user-agent": f"watchfloor/{__version__}"}
    if token:
        headers["authorization"] = f"Bearer {token}"
    return httpx.AsyncClient(
        base_url=base,
        headers=headers,
        transport=transport or (None if secure else _plain_transport(socket_path)),
        verify=_tls13() if secure else _no_tls(),
        trust_env=secure,
        follow_redirects=False,
        timeout=httpx.Timeout(READ_TIMEOUT_S, connect=CONNECT_TIMEOUT_S),
    )


def _base_and_socket(url: str) -> tuple[str, str | None]:
    try:
        address = normalise_url(url)
    except SessionError as error:
        raise AddressRefused(error.message, error.hint) from error
    if address.startswith(_SOCKET_SCHEME):
        return "http://localhost", unquote(address.removeprefix(_SOCKET_SCHEME))
    return address, None


def _refuse_unless_loopback(base: str) -> None:
    host = urlsplit(base).hostname or ""
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = host == "localhost" or host.endswith(".localhost")
    if not loopback:
        raise AddressRefused(
            f"Plain http to {host} would show your token to the network.",
            f"Use https, or forward the port: ssh -L 8420:127.0.0.1:8420 {host}",
        )


def _plain_transport(socket_path: str | None) -> httpx.AsyncHTTPTransport:
    limits = httpx.Limits(max_connections=_MAX_CONNECTIONS, keepalive_expiry=_KEEPALIVE_S)
    return httpx.AsyncHTTPTransport(verify=_no_tls(), uds=socket_path, limits=limits, trust_env=False)


def _tls13() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context


def _no_tls() -> ssl.SSLContext:
    """A context that trusts nobody: loading the system's certificates for plain loopback would cost 20 ms."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


@asynccontextmanager
async def failures_named(url: str) -> AsyncIterator[None]:
    """Turn the HTTP library's errors into ours: unreachable, or sent and not answered.

    Raises:
        Unreachable: no connection, or it broke.
        TimedOut: no answer within the time limit.
    """
    try:
        yield
    except (httpx.ConnectTimeout, httpx.ConnectError) as error:
        raise Unreachable(
            f"No backend answers at {url}.", "Start one with `watchfloor serve`, or give --url."
        ) from error
    except httpx.TimeoutException as error:
        raise TimedOut(f"{url} did not answer in time; whether the request took effect is not known.") from error
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        raise Unreachable(f"The connection to {url} broke.", "Try again in a moment.") from error


def refuse_unless_success(url: str, response: httpx.Response) -> None:
    """Raise what an unsuccessful answer says.

    Raises:
        ApiError: a refusal in the error envelope.
        Unreachable: an answer that no Watchfloor backend gives (a proxy's page, a redirect).
    """
    if response.status_code <= _LAST_SUCCESS:
        return
    try:
        envelope = ErrorEnvelope.model_validate_json(response.content)
    except ValidationError:
        raise _strange(url, response) from None
    raise ApiError(envelope.code, envelope.message, envelope.hint, envelope.request_id)


def _strange(url: str, response: httpx.Response) -> ClientError:
    if response.is_redirect:
        return Unreachable(
            f"{url} redirects elsewhere; redirects are not followed.", "Give the final address as --url."
        )
    if response.status_code >= _FIRST_SERVER_ERROR:
        return Unreachable(f"{url} answered HTTP {response.status_code} without a reason.", "Try again in a moment.")
    return NotUnderstood(
        f"{url} answered HTTP {response.status_code} in a form this version does not know.",
        "Is that address a Watchfloor backend, of this version or newer?",
    )


def parsed(url: str, model: type[M], content: bytes) -> M:
    """An answer as its type.

    Raises:
        NotUnderstood: it is not of that type.
    """
    try:
        return model.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the answer"
        raise NotUnderstood(
            f"{url} gave an answer this version does not understand ({where}: {first['msg']}).",
            "Use the console of the backend's version.",
        ) from error
