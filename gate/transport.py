"""Carrying a renewal to the backend and its answer back, over one kept-alive connection. Knows nothing of permits."""

import http.client
import ipaddress
import json
import ssl
from typing import Any, Protocol
from urllib.parse import urlsplit

RENEW_PATH = "/v1/gate/renew"
MAX_ANSWER_BYTES = 65_536
"""A permit with hundreds of holds fits; anything larger is not a permit."""
_TRY_AGAIN = frozenset({408, 425, 429})
"""Client errors that say "later", not "no"."""


class TransportError(Exception):
    """The backend could not be asked or gave no usable answer; the permit in hand runs out by itself."""


class Refused(Exception):  # noqa: N818  reads as what happened
    """The backend was asked and says no: the permit in hand ends now."""


class Transport(Protocol):
    """How renewals travel; tests bring their own."""

    def renew(self, body: dict[str, Any], *, timeout_s: float) -> Any:
        """Send one renewal and return the decoded answer.

        Raises:
            TransportError: no usable answer.
            Refused: the backend says no.
        """

    def close(self) -> None:
        """Drop the connection."""


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class HttpTransport:
    """HTTP with the standard library; TLS 1.3 for any address but loopback. Used by one thread."""

    def __init__(self, url: str, token: str, *, tls: ssl.SSLContext | None = None) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError(f"{url!r} is not an http or https address")
        if parts.scheme == "http" and not _is_loopback(parts.hostname):
            raise ValueError(f"{url!r} would carry the token in the clear: use https")
        self._host, self._port, self._secure = parts.hostname, parts.port, parts.scheme == "https"
        self._path = parts.path.rstrip("/") + RENEW_PATH
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self._tls = tls
        self._connection: http.client.HTTPConnection | None = None

    def renew(self, body: dict[str, Any], *, timeout_s: float) -> Any:
        """Send one renewal and return the decoded answer; a connection that went stale is opened again once."""
        payload = json.dumps(body).encode()
        reused = self._connection is not None
        try:
            return self._exchange(payload, timeout_s)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            stale = isinstance(error, http.client.RemoteDisconnected | ConnectionResetError | BrokenPipeError)
            if not (reused and stale):
                raise TransportError(str(error) or type(error).__name__) from error
        try:
            return self._exchange(payload, timeout_s)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise TransportError(str(error) or type(error).__name__) from error

    def _exchange(self, payload: bytes, timeout_s: float) -> Any:
        connection = self._connection or self._open(timeout_s)
        connection.request("POST", self._path, body=payload, headers=self._headers)
        response = connection.getresponse()
        raw = response.read(MAX_ANSWER_BYTES + 1)
        if not response.isclosed():
            self.close()
        try:
            answer = json.loads(raw)
        except ValueError as error:
            raise TransportError(f"status {response.status} without JSON") from error
        if response.status == http.client.OK:
            return answer
        message = str(answer.get("message", "")) if isinstance(answer, dict) else ""
        if response.status // 100 == 4 and response.status not in _TRY_AGAIN:  # noqa: PLR2004  client errors
            raise Refused(message or f"status {response.status}")
        raise TransportError(message or f"status {response.status}")

    def _open(self, timeout_s: float) -> http.client.HTTPConnection:
        if self._secure:
            context = self._tls or ssl.create_default_context()
            context.minimum_version = ssl.TLSVersion.TLSv1_3
            self._connection = http.client.HTTPSConnection(self._host, self._port, timeout=timeout_s, context=context)
        else:
            self._connection = http.client.HTTPConnection(self._host, self._port, timeout=timeout_s)
        return self._connection

    def close(self) -> None:
        """Drop the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
