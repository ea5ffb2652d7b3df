"""The WebSocket of one executor as it lies on the transport: what is pushed is written at once, without a task between.

A freeze reaches a thousand connections in one turn of the event loop that way, before the first acknowledgement is
read. Knows no message; never blocks; what a client does not read goes back to whoever wanted it sent.
"""

from collections.abc import Callable
from typing import Final

from fastapi import WebSocket
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request

_EXTENSION: Final = "watchfloor.wire"


class Wire(WebSocketsSansIOProtocol):
    """One connection. A route that does not listen to it is served by tasks, like any other WebSocket."""

    _take: Callable[[str | None], float] | None = None
    _held: tuple[str | None, ...] = ()
    _pausing = False

    def handle_connect(self, event: Request) -> None:
        """Start the application for a connection that asks to be upgraded, and hand it this wire."""
        super().handle_connect(event)
        scope = getattr(self, "scope", None)  # there is none if the request was refused
        if scope is not None:
            scope["extensions"][_EXTENSION] = self

    def listen(self, take: Callable[[str | None], float]) -> None:
        """Hand messages to `take` as they are read, None for one that is not text; it says how long to read no more.

        Of what was read with a message that came too early, the newest alone is handed on.
        """
        self._take = take

    def write(self, text: bytes) -> bool:
        """Send a message now; False when the client does not read, or the connection is ending."""
        if not self.handshake_complete or self.close_sent or self.transport.is_closing() or not self.writable.is_set():
            return False
        self.conn.send_text(text)
        self.transport.write(b"".join(self.conn.data_to_send()))
        return True

    def cut(self) -> None:
        """Drop the connection: to close it in order would wait for the client."""
        self.transport.abort()

    def send_receive_event_to_app(self) -> None:
        """Take a whole message in."""
        if self._take is None:
            super().send_receive_event_to_app()
            return
        raw, self.frames = b"".join(self.frames), []
        if self.close_sent:
            return
        text = _decoded(raw) if self.curr_msg_data_type == "text" else None
        if self._pausing:
            self._held = (text,)
        else:
            self._hand_on(text)

    def _hand_on(self, text: str | None) -> None:
        assert self._take is not None  # noqa: S101  asked by the callers
        pause_s = self._take(text)
        if pause_s > 0:
            self._pausing = True
            self.transport.pause_reading()
            self.loop.call_later(pause_s, self._go_on)

    def _go_on(self) -> None:
        self._pausing = False
        held, self._held = self._held, ()
        if self.transport.is_closing():
            return
        for text in held:
            self._hand_on(text)
        if not self._pausing:
            self.transport.resume_reading()


def _decoded(raw: bytes) -> str | None:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return None


def wire_of(websocket: WebSocket) -> Wire:
    """The wire under a connection of this server."""
    wire: Wire = websocket.scope["extensions"][_EXTENSION]
    return wire
