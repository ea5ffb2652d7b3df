"""One HTTP connection past the door: says who is at its other end, and answers what is not HTTP in the one envelope.

Knows no route. What it refuses by itself never reached the application, so nothing of it is counted or logged there.
"""

import asyncio
from typing import Final

from backend.door import Door
from backend.middleware import ALWAYS_HEADERS
from backend.peer import STATE_KEY, peer_of

_MALFORMED: Final = b'{"code":"invalid_request","message":"This is not HTTP.","hint":null,"request_id":""}'


class Connection(Door):
    """A connection of a backend."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note who is there; every request of this connection carries it, a WebSocket that it turns into too."""
        peer = peer_of(transport)
        if peer is not None:
            self.app_state = {**self.app_state, STATE_KEY: peer}
        super().connection_made(transport)

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  the base's own words
        """Answer what is not HTTP in the one envelope, and hang up."""
        lines = [b"HTTP/1.1 400 Bad Request", b"content-type: application/json", b"connection: close"]
        lines += [name + b": " + value for name, value in ALWAYS_HEADERS]
        lines.append(b"content-length: %d" % len(_MALFORMED))
        self.transport.write(b"\r\n".join([*lines, b"", _MALFORMED]))
        self.transport.close()
