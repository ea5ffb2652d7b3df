"""Owns the worker that takes in the live feed and the box in which updates wait for the screen.

The worker only fills the box and says so; a burst of updates becomes one message and one repaint.
"""

from collections import deque
from typing import TYPE_CHECKING

from textual.message import Message
from textual.message_pump import MessagePump

if TYPE_CHECKING:
    from console.client.errors import ClientError
    from console.client.stream import Feed, Update
    from console.state.floor import Floor


class Arrived(Message):
    """The box holds updates; one such message stands for any number of them."""

    def can_replace(self, message: Message) -> bool:
        """The box is emptied as a whole."""
        return isinstance(message, Arrived)


class Tick(Message):
    """Time has passed: something that shows an age may read differently now."""

    def can_replace(self, message: Message) -> bool:
        """One look at the clock is enough."""
        return isinstance(message, Tick)


class FeedEnded(Message):
    """The backend does not take the token any more."""

    def __init__(self, generation: int, error: "ClientError") -> None:
        super().__init__()
        self.generation = generation
        self.error = error


class Box:
    """Updates in the order in which they came."""

    def __init__(self) -> None:
        self._waiting: deque[Update] = deque()

    def put(self, update: "Update") -> None:
        """Keep one more."""
        self._waiting.append(update)

    @property
    def waits(self) -> bool:
        """Whether it holds anything."""
        return bool(self._waiting)

    def empty(self) -> "list[Update]":
        """Take all."""
        taken = list(self._waiting)
        self._waiting.clear()
        return taken


async def feed_updates(poster: MessagePump, feed: "Feed", box: Box, generation: int) -> None:
    """Take in updates until the backend refuses the token."""
    from console.client.errors import ApiError

    try:
        async for update in feed.updates():
            box.put(update)
            poster.post_message(Arrived())
    except ApiError as error:
        poster.post_message(FeedEnded(generation, error))


def take_in(floor: "Floor", updates: "list[Update]") -> "Floor":
    """The floor after these updates."""
    for update in updates:
        floor = _after(floor, update)
    return floor


def _after(floor: "Floor", update: "Update") -> "Floor":
    from console.client.stream import ConnectionState, Line, Snapshot
    from console.state import floor as reducers
    from contract.access import Elevation
    from contract.alerts import Alert
    from contract.freeze import Freeze, LatchedFreezes
    from contract.risk import RiskSnapshot
    from contract.stream import Beat, ExecutorsChanged

    if isinstance(update, ConnectionState):
        link = reducers.Link(update.line.value)
        return reducers.connected(floor, link, update.since, heard=update.line is Line.LIVE, problem=update.detail)
    at = update.received_at
    floor = reducers.heard(floor, at)
    if isinstance(update, Snapshot):
        return reducers.load(floor, update.overview, at)
    match update.model:
        case Alert() as alert:
            floor = reducers.with_alert(floor, alert, at)
        case Freeze() as freeze:
            floor = reducers.with_freeze(floor, freeze, at)
        case LatchedFreezes() as latched:
            floor = reducers.with_latched(floor, latched, at)
        case Beat() as beat:
            floor = reducers.with_beat(floor, beat.at, at)
        case RiskSnapshot() as risk:
            floor = reducers.with_risk(floor, risk, at)
        case Elevation() as elevation:
            floor = reducers.with_elevation(floor, elevation, at)
        case ExecutorsChanged() as changed:
            floor = reducers.with_executors(floor, changed.executors, at)
        case _:
            pass  # stored trades show in the next assessment
    return floor
