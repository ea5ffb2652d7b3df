"""The event stream: fan-out of committed events to consoles, on any number of backends."""

from backend.stream.broker import Broker, Event, Subscription

__all__ = ["Broker", "Event", "Subscription"]
