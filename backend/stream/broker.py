"""Fan-out of committed events: one LISTEN connection for a process, a bounded queue for each console.

Must never wait for a console, hold an unbounded number of events, or hand out an event twice or out of order.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import psycopg
import structlog

from backend.context import Runtime
from backend.errors import WatchfloorError
from backend.events import CHANNEL
from backend.stream.frames import event_frame
from contract.errors import ErrorCode
from contract.stream import Topic

log = structlog.get_logger(__name__)

QUEUE_EVENTS = 1_000
"""A console further behind than this is told to load the overview again: cheaper than catching up."""
MAX_SUBSCRIBERS = 500
"""Open streams of one process; bounds its sockets and memory."""
FETCH_ROWS = 500
"""Events read at once while catching up; bounds the memory of one read."""
POLL_S = 5.0
"""Events are looked for at least this often even if no notification arrives, which also proves the line alive."""
QUERY_LIMIT_S = 10.0
"""A read that takes longer means that the server hangs: connect anew."""
FIRST_CONNECT_S = 2.0
"""How long the start of the process waits for the database before it goes on without."""
_TOPICS = {topic.value: topic for topic in Topic}
RECONNECT_MIN_S, RECONNECT_MAX_S = 0.1, 2.0
"""Pause between attempts to reach the database; doubles up to the second."""


@dataclass(frozen=True, slots=True)
class Event:
    """A committed event, encoded once for all consoles."""

    id: int
    topic: Topic
    frame: bytes


class Subscription:
    """What one console has still to be sent. A full queue is thrown away and `lost` set; the broker never waits."""

    def __init__(self, topics: frozenset[Topic], start: int) -> None:
        self.topics = topics
        self.start = start
        """Events up to here were committed before the subscription; later ones are queued."""
        self.lost = False
        self.closed = False
        self._queue: deque[Event] = deque()
        self._wake = asyncio.Event()

    def offer(self, event: Event) -> None:
        """Queue an event, or note that the console has fallen too far behind."""
        if self.lost or event.topic not in self.topics:
            return
        if len(self._queue) >= QUEUE_EVENTS:
            self.lose()
            return
        self._queue.append(event)
        self._wake.set()

    def lose(self) -> None:
        """Throw the queue away: the console has to load the overview again."""
        self._queue.clear()
        self.lost = True
        self._wake.set()

    def recover(self) -> None:
        """Go on after a loss: events handed out from now on are queued again."""
        self.lost = False

    def close(self) -> None:
        """End the stream at the next `take`."""
        self.closed = True
        self._wake.set()

    async def take(self, timeout_s: float) -> list[Event]:
        """Everything queued, waiting up to `timeout_s` for the first event; empty on time-out, loss and close."""
        if not self._queue and not self.lost and not self.closed:
            self._wake.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await self._wake.wait()
        taken = list(self._queue)
        self._queue.clear()
        return taken


class Broker:
    """Hears of committed events and hands them to subscriptions and watchers of this process."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._metrics = runtime.metrics
        self._position: int | None = None
        self._subscriptions: set[Subscription] = set()
        self._watchers: list[tuple[frozenset[Topic], Callable[[], None]]] = []
        self._ready = asyncio.Event()
        self._closed = False

    @property
    def listening(self) -> bool:
        """Whether committed events are heard right now."""
        return self._ready.is_set()

    @property
    def position(self) -> int:
        """The id of the newest event handed out."""
        return self._position or 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Broker"]:
        """Listen while the context is open; a database that is away at first is connected to later."""
        task = asyncio.create_task(self._listen_for_ever(), name="stream broker")
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(FIRST_CONNECT_S):
                    await self._ready.wait()
            yield self
        finally:
            self.close()
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    def close(self) -> None:
        """End every open stream and refuse new ones; called when the server begins to stop."""
        self._closed = True
        for subscription in self._subscriptions:
            subscription.close()

    def refuse_if_full(self) -> None:
        """Say no before an answer has begun.

        Raises:
            WatchfloorError: UNAVAILABLE when too many streams are open or the server is stopping.
        """
        if self._closed or len(self._subscriptions) >= MAX_SUBSCRIBERS:
            raise WatchfloorError(
                ErrorCode.UNAVAILABLE, "No further event stream can be opened here.", hint="Try again in a moment."
            )

    @contextmanager
    def subscribe(self, topics: frozenset[Topic]) -> Iterator[Subscription]:
        """Queue events of the topics, from now on."""
        subscription = Subscription(topics, self.position)
        subscription.closed = self._closed
        self._subscriptions.add(subscription)
        self._metrics.stream_subscribers.set(len(self._subscriptions))
        try:
            yield subscription
        finally:
            self._subscriptions.discard(subscription)
            self._metrics.stream_subscribers.set(len(self._subscriptions))

    def watch(self, topics: frozenset[Topic], wake: Callable[[], None]) -> None:
        """Call `wake` after every event of the topics, and when events may have been missed."""
        self._watchers.append((topics, wake))

    async def _listen_for_ever(self) -> None:
        pause_s = RECONNECT_MIN_S
        while True:
            try:
                async with await self._runtime.database.dedicated("stream") as connection:
                    await self._listen(connection)
            except (psycopg.Error, OSError, TimeoutError) as error:
                log.warning("stream_connection_lost", error=str(error).strip())
            # the broker's boundary: whatever goes wrong with one connection, the next one is tried
            except Exception:
                log.exception("stream_broker_failed")
            if self.listening:
                pause_s = RECONNECT_MIN_S
            self._ready.clear()
            self._metrics.stream_listening.set(0)
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, RECONNECT_MAX_S)

    async def _listen(self, connection: psycopg.AsyncConnection[tuple[Any, ...]]) -> None:
        await connection.execute(f"LISTEN {CHANNEL}")
        await self._find_position(connection)
        self._ready.set()
        self._metrics.stream_listening.set(1)
        while True:
            await self._deliver(connection)
            async for _ in connection.notifies(timeout=POLL_S, stop_after=1):
                pass

    async def _find_position(self, connection: psycopg.AsyncConnection[tuple[Any, ...]]) -> None:
        """Where to go on after a connection was made: after the last event handed out, if it is still there."""
        cursor = await connection.execute("SELECT min(id), max(id) FROM stream_events")
        oldest, newest = await cursor.fetchone() or (None, None)
        if self._position is None:
            self._position = newest or 0
        elif (newest or 0) < self._position or (oldest is not None and oldest > self._position + 1):
            self._position = newest or 0
            self._everything_lost()

    def _everything_lost(self) -> None:
        for subscription in self._subscriptions:
            subscription.lose()
        for _, wake in self._watchers:
            wake()

    async def _deliver(self, connection: psycopg.AsyncConnection[tuple[Any, ...]]) -> None:
        rows: list[tuple[int, str, str]] | None = None
        while rows is None or len(rows) == FETCH_ROWS:
            async with asyncio.timeout(QUERY_LIMIT_S):
                cursor = await connection.execute(
                    "SELECT id, topic, payload::text FROM stream_events WHERE id > %s ORDER BY id LIMIT %s",
                    (self.position, FETCH_ROWS),
                )
                rows = await cursor.fetchall()
            for ident, topic, payload in rows:
                self._hand_out(ident, topic, payload)

    def _hand_out(self, ident: int, topic_name: str, payload: str) -> None:
        self._position = ident
        topic = _TOPICS.get(topic_name)
        if topic is None:
            return  # written by a newer backend on the same database
        event = Event(ident, topic, event_frame(ident, topic_name, payload))
        self._metrics.stream_events.labels(topic_name).inc()
        for subscription in self._subscriptions:
            subscription.offer(event)
        for topics, wake in self._watchers:
            if topic in topics:
                wake()
