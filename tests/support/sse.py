"""A minimal reader of the event stream for tests, independent of the console's."""

import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import httpx

READ_LIMIT_S = 20.0
_NO_AUTHORITIES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Nothing here speaks TLS; loading the trusted authorities for every client would take 20 ms each."""


@dataclass
class Received:
    """One event as it came over the wire."""

    topic: str
    data: Any
    id: int | None = None


@dataclass
class Reader:
    """An open stream."""

    response: httpx.Response
    _lines: AsyncIterator[str] = field(init=False)

    def __post_init__(self) -> None:
        self._lines = self.response.aiter_lines()

    async def next(self, *, beats: bool = False) -> Received:
        """The next event; beats only if asked for.

        Raises:
            EOFError: the server ended the stream.
        """
        fields: dict[str, str] = {}
        async for line in self._lines:
            if line:
                name, _, value = line.partition(": ")
                assert name not in fields, "an event spreads over more lines than expected"
                fields[name] = value
                continue
            received = Received(
                fields["event"], json.loads(fields["data"]), int(fields["id"]) if "id" in fields else None
            )
            if beats or received.topic != "beat":
                return received
            fields = {}
        raise EOFError

    async def end(self) -> None:
        """Read on until the server ends the stream; waiting is bounded by the client's time-out."""
        with suppress(EOFError):
            while True:
                await self.next(beats=True)

    async def take(self, count: int) -> list[Received]:
        """The next events."""
        return [await self.next() for _ in range(count)]


@asynccontextmanager
async def open_stream(
    url: str, token: str, *, after: int | None = None, last_event_id: str | None = None
) -> AsyncIterator[Reader]:
    """Open the event stream of a served backend."""
    headers = {"authorization": f"Bearer {token}"}
    if last_event_id is not None:
        headers["last-event-id"] = last_event_id
    params = {} if after is None else {"after": str(after)}
    async with (
        httpx.AsyncClient(base_url=url, timeout=READ_LIMIT_S, verify=_NO_AUTHORITIES) as client,
        client.stream("GET", "/v1/stream", headers=headers, params=params) as response,
    ):
        yield Reader(response)
