"""A conversation carried over a WebSocket by threads of its own. Knows nothing of permits; never blocks who asks.

The lock is held while messages are read and made, never while anything is sent or awaited.
"""

import http
import logging
import os
import secrets
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from gate.addresses import Address, Addresses

SUBPROTOCOL = Subprotocol("watchfloor.gate.1")
USER_AGENT = "watchfloor-gate"
MAX_MESSAGE_BYTES = 65_536
OPEN_TIMEOUT_S = 2.0
"""A permit's life: there is another backend that may be quicker."""
LONELY_OPEN_TIMEOUT_S = 10.0
"""With one address, giving up only puts the bot at the end of a queue that its first try has made longer."""
SEND_TIMEOUT_S = 1.0
CLOSE_TIMEOUT_S = 0.5
JOIN_TIMEOUT_S = 2.0
"""A little more than a close may take."""
ANSWER_LIMIT_S = 1.0
"""Half a permit's life: a connection that hangs leaves time to ask elsewhere before the permit runs out."""
LONELY_ANSWER_LIMIT_S = 5.0
"""With one address there is nobody else to ask, and connecting anew to a backend that is slow makes it slower."""
SHORTEST_WAIT_S, LONGEST_WAIT_S = 0.001, 0.5
"""Between two looks at the clock, which runs on while the machine sleeps as waiting does not."""
REFUSING_STATUS = frozenset({http.HTTPStatus.UNAUTHORIZED, http.HTTPStatus.FORBIDDEN, http.HTTPStatus.CONFLICT})
REFUSING_CLOSE_CODES = frozenset({4401, 4403})
_BOOTTIME = getattr(time, "CLOCK_BOOTTIME", None)
log = logging.getLogger("gate")
wire_log = logging.getLogger("gate.wire")
"""What the WebSocket library writes to: at its most talkative it writes headers, and one of them is the token."""
wire_log.setLevel(logging.WARNING)


def monotonic_s() -> float:
    """Seconds on a clock that nobody can set and that, where the system has one, runs on while the machine sleeps."""
    return time.monotonic() if _BOOTTIME is None else time.clock_gettime(_BOOTTIME)


def jitter() -> float:
    """Return a number from 0 to 1 by which pauses differ from process to process."""
    return secrets.randbelow(1000) / 1000


class Conversation(Protocol):
    """What is said over the line. Called under the line's lock only."""

    path: str
    last_error: str | None

    @property
    def due_at(self) -> float:
        """When there is something to send."""

    @property
    def answered(self) -> bool:
        """Whether this connection has brought anything of use."""

    def opened(self, now: float) -> None:
        """A connection stands."""

    def closed(self, why: str | None) -> None:
        """It is gone."""

    def refused(self, why: str) -> None:
        """The backend says no."""

    def overdue_since(self) -> float:
        """When the oldest unanswered message was sent."""

    def outgoing(self, now: float) -> str | None:
        """What to send now."""

    def received(self, now: float, text: str | bytes) -> None:
        """Take a message in."""


class HungError(Exception):
    """The other side has not answered for too long."""


class RefusedError(Exception):
    """The other side hung up because it will not have this executor."""


def authorization(token: str) -> dict[str, str]:
    """Return the header that carries the token, which is in no address and no log.

    Raises:
        ValueError: it is no token.
    """
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise ValueError("the token is empty or not a token")
    return {"Authorization": f"Bearer {token}"}


def is_refusal(error: Exception) -> bool:
    """Whether the backend was reached and said no; anything else may pass."""
    if isinstance(error, InvalidStatus):
        return error.response.status_code in REFUSING_STATUS
    if isinstance(error, ConnectionClosed):
        return error.rcvd is not None and error.rcvd.code in REFUSING_CLOSE_CODES
    return isinstance(error, RefusedError)


def describe(error: Exception) -> str:
    """Return what went wrong in a few words."""
    if isinstance(error, InvalidStatus):
        return f"status {error.response.status_code}"
    if is_refusal(error):
        return ""  # said in a message before the connection was closed
    return str(error) or type(error).__name__


def connected_socket(address: Address, timeout_s: float) -> socket.socket:
    """Return a socket connected to a backend: with one of its own the library follows no redirect with the token.

    Raises:
        OSError: nobody answers there.
    """
    plain = socket.create_connection((address.host, address.port), timeout=timeout_s)
    if os.name == "posix":  # so that a peer that stops reading cannot hold the writer up for good
        limit = struct.pack("ll", int(SEND_TIMEOUT_S), int(SEND_TIMEOUT_S % 1 * 1e6))
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
    return plain


def lost(conversation: Conversation, why: str, *, refused: bool) -> str:
    """Tell a conversation that its connection is gone; returns why, in the backend's own words where it gave any."""
    if refused:
        conversation.refused(why or conversation.last_error or "refused")
    conversation.closed(None if refused else why)
    return conversation.last_error or why


def tls_context(given: ssl.SSLContext | None) -> ssl.SSLContext:
    """Return the settings of an encrypted line: TLS 1.3, certificates checked unless the caller's own say otherwise."""
    context = given or ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context


class Line:
    """Keeps one conversation going over whatever connection can be had. Made and used by one process."""

    def __init__(
        self,
        conversation: Conversation,
        urls: str | Sequence[str],
        token: str,
        *,
        name: str,
        told: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = monotonic_s,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """`told` is called, outside the lock, after each message; it must return soon."""
        self._conversation = conversation
        self._addresses = Addresses(urls, jitter)
        self._headers = authorization(token)
        self._name = name
        self._told = told
        self._clock = clock
        self._tls = tls
        alone = self._addresses.only_one
        self._limit_s = LONELY_ANSWER_LIMIT_S if alone else ANSWER_LIMIT_S
        self._open_s = LONELY_OPEN_TIMEOUT_S if alone else OPEN_TIMEOUT_S
        self.lock = threading.Condition()
        self._stopping = False
        self._shown: str | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin in the background."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._keep_going, name=f"gate {self._name}", daemon=True)
            self._thread.start()

    def close(self, *, wait: bool) -> None:
        """Hang up for good."""
        with self.lock:
            self._stopping = True
            self.lock.notify_all()
        if wait and self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(JOIN_TIMEOUT_S)

    def _keep_going(self) -> None:
        while self._wait_for_next_try():
            refused = False
            try:
                self._converse(self._addresses.current)
                why = "the connection was closed"
            except Exception as error:  # noqa: BLE001  boundary: whatever ends a connection, the next one is tried
                why, refused = describe(error), is_refusal(error)
            self._lost(why, refused=refused)

    def _wait_for_next_try(self) -> bool:
        with self.lock:
            while not self._stopping and (wait_s := self._addresses.next_try_at - self._clock()) > 0:
                self.lock.wait(min(wait_s, LONGEST_WAIT_S))
            return not self._stopping

    def _lost(self, why: str, *, refused: bool) -> None:
        with self.lock:
            if self._conversation.answered:
                self._addresses.worked()
            before, self._shown = self._shown, lost(self._conversation, why, refused=refused)
            self._addresses.failed(self._clock(), refused=refused)
            news = not self._stopping and self._shown != before
        if news:
            log.warning("no connection for %s: %s", self._name, self._shown)
        self._told()

    def _converse(self, address: Address) -> None:
        with self._connected(address) as connection:
            with self.lock:
                self._conversation.opened(self._clock())
            over = threading.Event()
            reader = threading.Thread(
                target=self._read, args=(connection, over), name=f"gate {self._name} reader", daemon=True
            )
            reader.start()
            try:
                self._write(connection, over)
            finally:
                over.set()
        reader.join(CLOSE_TIMEOUT_S)
        if connection.close_code in REFUSING_CLOSE_CODES:
            raise RefusedError

    def _write(self, connection: ClientConnection, over: threading.Event) -> None:
        while (text := self._next_message(over)) is not None:
            connection.send(text)

    def _next_message(self, over: threading.Event) -> str | None:
        """Wait for something to send; None when this connection is over.

        Raises:
            HungError: the other side owes an answer.
        """
        with self.lock:
            while not self._stopping and not over.is_set():
                now = self._clock()
                owed_since = self._conversation.overdue_since()
                if now - owed_since > self._limit_s:
                    raise HungError(f"no answer within {self._limit_s:g} s")
                if (text := self._conversation.outgoing(now)) is not None:
                    return text
                wait_s = min(self._conversation.due_at, owed_since + self._limit_s) - now
                self.lock.wait(min(max(wait_s, SHORTEST_WAIT_S), LONGEST_WAIT_S))
        return None

    def _read(self, connection: ClientConnection, over: threading.Event) -> None:
        try:
            while True:
                message = connection.recv()
                with self.lock:
                    if over.is_set():
                        return
                    self._conversation.received(self._clock(), message)
                    self.lock.notify_all()
                self._told()
        except ConnectionClosed:
            with self.lock:
                over.set()
                self.lock.notify_all()

    def _connected(self, address: Address) -> ClientConnection:
        return connect(
            address.websocket(self._conversation.path),
            sock=connected_socket(address, self._open_s),
            ssl=tls_context(self._tls) if address.secure else None,
            additional_headers=self._headers,
            subprotocols=[SUBPROTOCOL],
            user_agent_header=USER_AGENT,
            compression=None,
            proxy=None,
            open_timeout=self._open_s,
            close_timeout=CLOSE_TIMEOUT_S,
            ping_interval=None,  # renewals that stay unanswered are noticed sooner than pings would be
            max_size=MAX_MESSAGE_BYTES,
            logger=wire_log,
        )
