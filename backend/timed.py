"""A small memory that forgets: what another process may change meanwhile is believed only for a while. No I/O."""

from collections.abc import Callable
from typing import Generic, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


class TimedCache(Generic[Key, Value]):
    """Values kept for `kept_s` seconds of the given monotonic clock, at most `entries_max` of them."""

    def __init__(self, kept_s: float, entries_max: int, monotonic: Callable[[], float]) -> None:
        self._kept_s = kept_s
        self._entries_max = entries_max
        self._monotonic = monotonic
        self._known: dict[Key, tuple[Value, float]] = {}

    def get(self, key: Key) -> Value | None:
        """The value, if it is fresh enough to be believed."""
        value, until = self._known.get(key, (None, 0.0))
        return value if self._monotonic() < until else None

    def put(self, key: Key, value: Value) -> None:
        """Remember a value; a full memory forgets everything rather than choosing."""
        if key not in self._known and len(self._known) >= self._entries_max:
            self._known.clear()
        self._known[key] = (value, self._monotonic() + self._kept_s)

    def forget(self, key: Key) -> None:
        """The value has changed."""
        self._known.pop(key, None)

    def clear(self) -> None:
        """Everything may have changed."""
        self._known.clear()

    def sweep(self) -> None:
        """Drop what is no longer believed, so that a secret does not lie in memory until somebody asks for it."""
        now = self._monotonic()
        for key in [key for key, (_, until) in self._known.items() if until <= now]:
            del self._known[key]
