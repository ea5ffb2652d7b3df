"""One HTTP connection as it lies on the transport: says who is at its other end, and lets no head grow without end.

Knows no route. What it refuses by itself never reached the application, so nothing of it is counted or logged there.
"""

import asyncio
from typing import Any, Final

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from backend.middleware import ALWAYS_HEADERS
from backend.peer import STATE_KEY, is_local, peer_of

MAX_HEAD_BYTES: Final = 64 * 1024
"""Ten times what a client of ours sends; the parser itself takes any number of headers."""
HEAD_LIMIT_S: Final = 30.0
"""A head that takes longer comes from nobody who wants an answer, and holds a connection that others could use."""
_MALFORMED: Final = b'{"code":"invalid_request","message":"This is not HTTP.","hint":null,"request_id":""}'


class Connection(HttpToolsProtocol):
    """A connection of a backend."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._head_bytes = 0
        self._head_limit: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as the base does
        """Note who is there; every request of this connection carries it, a WebSocket that it turns into too."""
        super().connection_made(transport)
        if self.client is None and not is_local(transport):
            # gone before it could be asked for its address: what it sent would pass for a local caller's
            self.transport.abort()
            return
        peer = peer_of(transport)
        if peer is not None:
            self.app_state = {**self.app_state, STATE_KEY: peer}
        self._head_limit = self.loop.call_later(HEAD_LIMIT_S, self.transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        """End the timer with the connection."""
        self._head_is_whole()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what was read, as long as a head comes to its end; what was read with its first byte is not counted."""
        self._head_bytes += len(data)
        super().data_received(data)
        if self._head_limit is not None and self._head_bytes > MAX_HEAD_BYTES:
            self.transport.abort()

    def on_message_begin(self) -> None:
        """Begin to count a head; one follows the other on a connection that is kept."""
        super().on_message_begin()
        self._head_bytes = 0
        if self._head_limit is None:
            self._head_limit = self.loop.call_later(HEAD_LIMIT_S, self.transport.abort)

    def on_headers_complete(self) -> None:
        """Stop counting."""
        self._head_is_whole()
        super().on_headers_complete()

    def _head_is_whole(self) -> None:
        if self._head_limit is not None:
            self._head_limit.cancel()
            self._head_limit = None

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  the base's own words
        """Answer what is not HTTP in the one envelope, and hang up."""
        lines = [b"HTTP/1.1 400 Bad Request", b"content-type: application/json", b"connection: close"]
        lines += [name + b": " + value for name, value in ALWAYS_HEADERS]
        lines.append(b"content-length: %d" % len(_MALFORMED))
        self.transport.write(b"\r\n".join([*lines, b"", _MALFORMED]))
        self.transport.close()
