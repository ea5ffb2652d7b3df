"""A clock that tests set."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from backend.clock import Clock


@dataclass
class SetClock:
    """Time stands still until a test moves it."""

    at: datetime = field(default_factory=lambda: datetime(2026, 3, 10, 12, 30, tzinfo=UTC))

    @property
    def clock(self) -> Clock:
        """What the backend is handed."""
        return Clock(now=lambda: self.at)

    def pass_(self, **amount: float) -> datetime:
        """Let time pass, e.g. `pass_(minutes=5)`."""
        self.at += timedelta(**amount)
        return self.at
