"""The shells that speak HTTP: to one node, and to the backend. Own every bound: time, bytes, no redirect, no proxy.

A line never raises anything but `LineError`, and never takes longer than its limit.
"""

import asyncio
from collections.abc import Sequence
from typing import Final, Self, TypeVar

import httpx
from pydantic import ValidationError

from contract.observing import ObservationRequest, Observed, ToWatch
from watchers.places import Address
from watchers.wire import MAX_CALLS, Call, MalformedError, Outcome, decode, encode

MAX_NODE_BYTES: Final = 8 * 1024 * 1024
"""A block of the busiest chains names ten thousand transactions, 66 characters each."""
MAX_BACKEND_BYTES: Final = 16 * 1024 * 1024
BACKEND_LIMIT_S: Final = 10.0
"""A freeze in full use of the database may take some seconds; nothing else waits for the backend here."""
T = TypeVar("T", ToWatch, Observed)
_NO_MORE: Final = frozenset({401, 403})
_PLAIN: Final = {"accept-encoding": "identity", "user-agent": "watchfloor"}


class LineError(Exception):
    """No usable answer; the text says why and holds nothing secret."""


class RefusedError(LineError):
    """The backend does not take this token, or not for this."""


class _Line:
    def __init__(self, headers: dict[str, str], limit_s: float, max_bytes: int) -> None:
        self._limit_s, self._max_bytes = limit_s, max_bytes
        self._http = httpx.AsyncClient(
            headers={**_PLAIN, **headers}, timeout=limit_s, follow_redirects=False, trust_env=False
        )

    async def close(self) -> None:
        """Drop the connection."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _exchange(self, method: str, url: str, body: bytes | None) -> tuple[int, bytes]:
        """One request within the limit, however slowly the other side drips."""
        headers = {"content-type": "application/json"} if body is not None else {}
        try:
            async with asyncio.timeout(self._limit_s):
                async with self._http.stream(method, url, content=body, headers=headers) as response:
                    if response.headers.get("content-encoding", "identity") != "identity":
                        raise LineError("a compressed answer, which was not asked for")
                    return response.status_code, await self._read(response)
        except TimeoutError as error:
            raise LineError(f"no answer within {self._limit_s:g} s") from error
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError, ValueError) as error:
            raise LineError(_words(error)) from error

    async def _read(self, response: httpx.Response) -> bytes:
        parts, size = [], 0
        async for part in response.aiter_raw():
            size += len(part)
            if size > self._max_bytes:
                raise LineError(f"more than {self._max_bytes:,} bytes")
            parts.append(part)
        return b"".join(parts)


def _words(error: Exception) -> str:
    """What went wrong, without the address: it may carry a key."""
    match error:
        case httpx.TimeoutException():
            return "no answer in time"
        case httpx.ConnectError():
            return "cannot be reached"
        case httpx.ProtocolError():
            return "does not speak HTTP"
        case _:
            return f"the connection failed ({type(error).__name__})"


class NodeLine(_Line):
    """JSON-RPC to one node."""

    def __init__(self, node: Address, limit_s: float) -> None:
        super().__init__({}, limit_s, MAX_NODE_BYTES)
        self._url = node.url

    async def ask(self, calls: Sequence[Call]) -> list[Outcome]:
        """Ask everything, in as few batches as nodes take.

        Raises:
            LineError: no usable answer to one of the batches.
        """
        outcomes: list[Outcome] = []
        for start in range(0, len(calls), MAX_CALLS):
            some = calls[start : start + MAX_CALLS]
            status, raw = await self._exchange("POST", self._url, encode(some))
            if status != httpx.codes.OK:
                raise LineError(f"HTTP status {status}")
            try:
                outcomes += decode(raw, len(some))
            except MalformedError as error:
                raise LineError(str(error)) from error
        return outcomes


class BackendLine(_Line):
    """The public interface of a backend, as far as second sources use it."""

    def __init__(self, url: str, token: str, limit_s: float = BACKEND_LIMIT_S) -> None:
        super().__init__({"authorization": f"Bearer {token}"}, limit_s, MAX_BACKEND_BYTES)
        self._url = f"{url}/v1/freezes"

    async def to_watch(self) -> ToWatch:
        """What to look at now.

        Raises:
            LineError: no answer, or not that one; RefusedError where the token is not taken.
        """
        return self._parsed(ToWatch, *await self._exchange("GET", f"{self._url}/to-watch", None))

    async def report(self, seen: ObservationRequest) -> Observed:
        """Report one look.

        Raises:
            LineError: it was not taken; RefusedError where the token is not.
        """
        body = seen.model_dump_json().encode()
        return self._parsed(Observed, *await self._exchange("POST", f"{self._url}/observations", body))

    @staticmethod
    def _parsed(kind: type[T], status: int, raw: bytes) -> T:
        if status in _NO_MORE:
            raise RefusedError(f"the backend refuses the token (HTTP status {status})")
        if status != httpx.codes.OK:
            raise LineError(f"HTTP status {status}")
        try:
            return kind.model_validate_json(raw)
        except ValidationError as error:
            raise LineError("the backend's answer is not understood") from error
