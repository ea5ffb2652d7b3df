"""The line to a provider of SSO: one question, one answer that is small, in time, and from where it was asked for.

Follows no redirect, reads no compressed answer, and sends secrets over TLS or to this machine itself only.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import httpx
from authlib.oauth2.auth import ClientAuth

from contract.version import __version__

MAX_ANSWER_BYTES: Final = 262_144
"""The longest answer of a provider is its key set: some ten thousand bytes."""
MAX_ADDRESS_CHARS: Final = 2_000
_HEADERS: Final = {
    "accept": "application/json",
    "accept-encoding": "identity",
    "user-agent": f"watchfloor/{__version__}",
}
_FORM: Final = "application/x-www-form-urlencoded"
_PLAIN: Final = frozenset({"", "identity"})
_MAX_ERROR_CHARS: Final = 50
"""The longest code of the protocol has half of it."""
_OK, _FIRST_SERVER_ERROR = 200, 500
_CLIENT_ERRORS: Final = frozenset({400, 401, 403})
"""With which an OAuth server says no and why (RFC 6749, 5.2; some say 403)."""


class ProviderError(Exception):
    """The provider did not help; the message says how, without anything that it wrote."""


class ProviderAwayError(ProviderError):
    """It cannot be reached, or has not answered in time, or says itself that it is out of order."""


class ProviderStrangeError(ProviderError):
    """It answered with what is not taken."""


class ProviderSaysNoError(ProviderError):
    """It refused, with one of the codes of OAuth."""

    def __init__(self, code: str) -> None:
        super().__init__(f"it refused: {code}")
        self.code = code


def is_safe(address: str) -> bool:
    """Whether something may be sent to an address: over TLS, or to this machine itself."""
    try:
        parts = urlsplit(address)
        host = parts.hostname or ""
        _ = parts.port
    except ValueError:
        return False
    if not host or len(address) > MAX_ADDRESS_CHARS or not address.isprintable() or " " in address:
        return False
    if parts.username is not None or parts.password is not None or parts.fragment:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(host))


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class _Bounded(httpx.AsyncByteStream):
    """The body of an answer, up to a limit."""

    def __init__(self, body: httpx.AsyncByteStream) -> None:
        self._body = body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        read = 0
        async for chunk in self._body:
            read += len(chunk)
            if read > MAX_ANSWER_BYTES:
                raise ProviderStrangeError("its answer is too long")
            yield chunk

    async def aclose(self) -> None:
        """End the connection's use."""
        await self._body.aclose()


class _Transport(httpx.AsyncHTTPTransport):
    """Connections whose answers are bounded."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """See `httpx.AsyncBaseTransport`."""
        answer = await super().handle_async_request(request)
        if answer.headers.get("content-encoding", "").lower() not in _PLAIN or not isinstance(
            answer.stream, httpx.AsyncByteStream
        ):
            await answer.aclose()
            raise ProviderStrangeError("its answer is compressed")
        answer.stream = _Bounded(answer.stream)
        return answer


class Line:
    """Asks one provider as one client."""

    def __init__(self, client_id: str, client_secret: str, *, limit_s: float) -> None:
        """Prepare; nothing is sent yet.

        An empty secret is that of a public client, which has none.
        """
        self._client_id, self._client_secret = client_id, client_secret
        self._limit_s = limit_s
        self._tls: ssl.SSLContext | None = None

    def __repr__(self) -> str:
        return f"Line({self._client_id!r})"

    @property
    def is_public(self) -> bool:
        """Whether the client has no secret to say who it is."""
        return not self._client_secret

    async def get(self, address: str) -> Mapping[str, Any]:
        """A document of the provider.

        Raises:
            ProviderError: one of its kinds.
        """
        return await self._ask("GET", address)

    async def post(self, address: str, form: Mapping[str, str], *, method: str) -> Mapping[str, Any]:
        """The answer to a form that is sent in the client's name; `method` is how the client says who it is.

        Raises:
            ProviderError: one of its kinds.
        """
        client, headers = ClientAuth(self._client_id, self._client_secret, method), {"content-type": _FORM}
        address, headers, body = client.prepare("POST", address, headers, urlencode(form))
        return await self._ask("POST", address, content=body, headers=headers)

    async def _ask(
        self,
        verb: str,
        address: str,
        *,
        content: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Mapping[str, Any]:
        if not is_safe(address):
            raise ProviderStrangeError("it names an address that is not safe")
        try:
            async with asyncio.timeout(self._limit_s), self._client() as client:
                answer = await client.request(verb, address, content=content, headers=headers)
        except (TimeoutError, httpx.TimeoutException) as error:
            raise ProviderAwayError("it does not answer in time") from error
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise ProviderAwayError("it cannot be reached") from error
        return _read(answer)

    def _client(self) -> httpx.AsyncClient:
        """A client for one question: sign-ins are rare, and nothing of one is left for the next."""
        if self._tls is None:
            self._tls = ssl.create_default_context()
        return httpx.AsyncClient(
            transport=_Transport(verify=self._tls, trust_env=False),
            headers=_HEADERS,
            follow_redirects=False,
            timeout=self._limit_s,
            trust_env=False,
        )


def _read(answer: httpx.Response) -> Mapping[str, Any]:
    if answer.status_code >= _FIRST_SERVER_ERROR:
        raise ProviderAwayError("it says that it is out of order")
    if answer.is_redirect:
        raise ProviderStrangeError("it sends elsewhere, which is not followed")
    try:
        body = answer.json()
    except (ValueError, RecursionError) as error:
        raise ProviderStrangeError("its answer cannot be read") from error
    if not isinstance(body, dict):
        raise ProviderStrangeError("its answer cannot be read")
    if answer.status_code in _CLIENT_ERRORS and isinstance(body.get("error"), str):
        raise ProviderSaysNoError(_code(body["error"]))
    if answer.status_code != _OK:
        raise ProviderStrangeError("its answer is not what the protocol says")
    return body


def _code(text: str) -> str:
    """A code of OAuth as it may be shown: a stranger wrote it."""
    plain = text.isascii() and text.replace("_", "").isalnum() and len(text) <= _MAX_ERROR_CHARS
    return text if plain else "for a reason of its own"
