"""Owns how entries leave and foreign audit logs come in over HTTP: the parts of `Api` that stream or send much."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, BinaryIO, Final, TypeVar
from urllib.parse import quote

import httpx
from pydantic import BaseModel

from console.client.transport import failures_named, parsed, refuse_unless_success
from contract.audit import ForeignChunk, ForeignResult

M = TypeVar("M", bound=BaseModel)
Query = Mapping[str, str | int | Sequence[str] | None]

_BYTES: Final = "application/octet-stream"
_PIECE_TIMEOUT_S: Final = 60.0
"""Longest silence within an export: a rare word in a large log."""
_STORE_TIMEOUT_S: Final = 120.0
"""A chunk of records is one transaction."""
_BUNDLE_TIMEOUT_S: Final = 600.0
"""A bundle of a million entries is put together before its first byte is sent."""


class Exchange:
    """What an `Api` can do with many entries at once."""

    url: str
    _http: httpx.AsyncClient

    if TYPE_CHECKING:

        async def _send(
            self,
            method: str,
            path: str,
            *,
            query: Query | None = None,
            content: bytes | None = None,
            media_type: str = "",
            timeout_s: float | None = None,
        ) -> bytes: ...

    @asynccontextmanager
    async def export(self, form: str, where: Mapping[str, str]) -> AsyncIterator[AsyncIterator[bytes]]:
        """Every entry that matches, in a format; yields its bytes, and fails if they end too early.

        Raises:
            ApiError: the backend refused.
            Unreachable: no connection, or it broke.
        """
        query = {"format": form, **where}
        async with (
            failures_named(self.url),
            self._http.stream("GET", "/v1/audit/export", params=query, timeout=_PIECE_TIMEOUT_S) as answer,
        ):
            if not answer.is_success:
                await answer.aread()
                refuse_unless_success(self.url, answer)
            yield answer.aiter_bytes()

    async def import_audit(self, name: str, chunk: ForeignChunk) -> ForeignResult:
        """Take records of a foreign audit log in.

        Raises:
            ApiError: the backend refused.
            Unreachable: no connection, or it broke.
        """
        path = f"/v1/audit/import/{quote(name, safe='')}"
        headers = {"content-type": "application/json"}
        content = chunk.model_dump_json().encode()
        async with failures_named(self.url):
            answer = await self._http.post(path, content=content, headers=headers, timeout=_STORE_TIMEOUT_S)
        refuse_unless_success(self.url, answer)
        return ForeignResult.model_validate_json(answer.content)

    async def bundle(self, since: str, until: str, into: BinaryIO) -> None:
        """Write the ledger's bundle of a time into a file, as a tar file."""
        timeout = httpx.Timeout(_BUNDLE_TIMEOUT_S, connect=self._http.timeout.connect)
        times = {"from": since, "to": until}
        async with (
            failures_named(self.url),
            self._http.stream("GET", "/v1/ledger/bundle", params=times, timeout=timeout) as answer,
        ):
            if not answer.is_success:
                await answer.aread()
                refuse_unless_success(self.url, answer)
            async for part in answer.aiter_raw():
                into.write(part)

    async def change(self, path: str, model: type[M], body: BaseModel, *, method: str = "PATCH") -> M:
        """Change something of which another module knows the route; `PUT` puts all of it in place."""
        content = body.model_dump_json(exclude_unset=method == "PATCH").encode()
        return parsed(self.url, model, await self._send(method, f"/v1/{path}", content=content))

    async def attach(self, path: str, model: type[M], content: bytes, query: Query) -> M:
        """Send a file to a route that another module knows."""
        answer = await self._send(
            "POST", f"/v1/{path}", query=query, content=content, media_type=_BYTES, timeout_s=_STORE_TIMEOUT_S
        )
        return parsed(self.url, model, answer)

    async def fetch(self, path: str, query: Query | None = None) -> bytes:
        """Read a file from a route that another module knows."""
        return await self._send("GET", f"/v1/{path}", query=query, timeout_s=_STORE_TIMEOUT_S)

    async def drop(self, path: str) -> None:
        """Delete something that leaves no answer."""
        await self._send("DELETE", f"/v1/{path}")
