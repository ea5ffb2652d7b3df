"""Owns how long nobody has been at this console, and when its session locks for that. Pure: instants come in.

The backend decides when a session is locked; what is here only says so in time, and covers the screen when it is due.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from contract.presence import PRESENCE_GAP_S

WARNING_S: Final = 60
"""The warning comes so long before: time to reach for a key from across the room."""
_GAP: Final = timedelta(seconds=PRESENCE_GAP_S)


@dataclass(slots=True)
class Idle:
    """The person at one console."""

    key_at: datetime | None = None
    """When the last key was pressed."""
    asked_at: datetime | None = None
    """When the backend was last told that somebody is there."""
    after: timedelta | None = None
    """How long the policy lets a session be that nobody uses; None while not known."""
    locks_by_backend_at: datetime | None = None

    def key(self, now: datetime) -> bool:
        """Take in a key; True if the backend has to be told that somebody is there."""
        self.key_at = now
        if self.asked_at is not None and timedelta() <= now - self.asked_at < _GAP:
            return False
        self.asked_at = now
        return True

    def know(self, now: datetime, left_s: int, after_s: int) -> None:
        """Take in what the backend says: how long the session stays open, and what the policy says."""
        self.after = timedelta(seconds=after_s)
        self.locks_by_backend_at = now + timedelta(seconds=left_s)

    @property
    def locks_at(self) -> datetime | None:
        """When the session locks if nobody comes; None while not known.

        Not before the person at this console has been gone for as long as the backend would wait: one that cannot be
        told of keys must not lock the console under the hands of whoever types.
        """
        if self.locks_by_backend_at is None or self.after is None:
            return None
        if self.key_at is None:
            return self.locks_by_backend_at
        return max(self.locks_by_backend_at, self.key_at + self.after - _GAP)

    def left_s(self, now: datetime) -> float | None:
        """How long until then; None while not known."""
        return None if self.locks_at is None else (self.locks_at - now).total_seconds()
