"""Owns the worker that takes in the live feed and the box in which updates wait for the screen.

The worker only fills the box and says so; a burst of updates becomes one message and one repaint.
"""

from collections import deque
from typing import TYPE_CHECKING

from textual.message import Message
from textual.message_pump import MessagePump

if TYPE_CHECKING:
    from datetime import datetime

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

    if isinstance(update, ConnectionState):
        link = reducers.Link(update.line.value)
        return reducers.connected(floor, link, update.since, heard=update.line is Line.LIVE, problem=update.detail)
    at = update.received_at
    floor = reducers.heard(floor, at)
    if isinstance(update, Snapshot):
        return reducers.load(floor, update.overview, at)
    return _changed(floor, update.model, at)


def _changed(floor: "Floor", model: object, at: "datetime") -> "Floor":
    from console.state import floor as reducers
    from contract.freeze import Freeze, LatchedFreezes
    from contract.risk import RiskSnapshot
    from contract.stream import Beat, ExecutorsChanged

    match model:
        case Freeze() as freeze:
            return reducers.with_freeze(floor, freeze, at)
        case LatchedFreezes() as latched:
            return reducers.with_latched(floor, latched, at)
        case Beat() as beat:
            return reducers.with_beat(floor, beat.at, at)
        case RiskSnapshot() as risk:
            return reducers.with_risk(floor, risk, at)
        case ExecutorsChanged() as changed:
            return reducers.with_executors(floor, changed.executors, at)
        case _:
            return _worked_on(floor, model, at)


def _worked_on(floor: "Floor", model: object, at: "datetime") -> "Floor":
    """The floor after what people work on has changed: alerts, incidents, permissions for a time."""
    from console.state import floor as reducers
    from contract.access import Elevation
    from contract.alerts import Alert
    from contract.incidents import IncidentChanged
    from contract.recovery import RecoveryDrill
    from contract.stream import AlertsChanged

    match model:
        case Alert() as alert:
            return reducers.with_alert(floor, alert, at)
        case AlertsChanged():
            return reducers.with_alerts_changed(floor, at)
        case Elevation() as elevation:
            return reducers.with_elevation(floor, elevation, at)
        case IncidentChanged() as changed:
            return reducers.with_incident(floor, changed.incident, changed.entries, at)
        case RecoveryDrill() as drill:
            return reducers.with_recovery(floor, drill, at)
        case _:
            return floor  # stored trades show in the next assessment
