"""Owns how entries leave and foreign audit logs come in over HTTP: the parts of `Api` that stream or send much."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import BinaryIO, Final
from urllib.parse import quote

import httpx

from console.client.transport import failures_named, refuse_unless_success
from contract.audit import ForeignChunk, ForeignResult

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
