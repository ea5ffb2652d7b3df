"""How far a standby is behind for which no commit waits, and how much may be lost by its becoming primary.

Bytes are told by the primary. Seconds are told by its places in the log at earlier looks: the standby has all of the
primary's as it was at the last of them that it has reached. Must never call a standby near of which nothing is known.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from watchfloor.pair.state import Behind, Kept

MAX_PLACES: Final = 2_000
"""Looks that the standby has not reached; past a quarter of an hour of them it counts as further behind than it is."""
KEEP_EVERY: Final = timedelta(seconds=5)
"""What an agent that is killed forgets of it."""
MIB: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """What a failover without waiting may lose at most. A standby further behind does not become primary."""

    lost_mib: int = 16
    lost_seconds: int = 60

    def in_words(self) -> str:
        """As people read it."""
        return f"{self.lost_seconds} s and {self.lost_mib} MiB"


LIMITS: Final = Limits()
"""A minute is the strictest recovery point objective of the policies; 16 MiB is one file of the log."""


class Lag:
    """The lag of one pair's standby. One event loop uses it."""

    def __init__(self, kept: Kept, limits: Limits, now: Callable[[], datetime]) -> None:
        self.limits = limits
        self._kept, self._now = kept, now
        self._places: deque[tuple[datetime, int]] = deque()
        self._whole_until: datetime | None = None
        self._reached: int | None = None
        self._of = ""
        self.last: Behind | None = kept.now.behind
        """As it was at the last look."""

    def saw(self, standby: str, place: int, reached: int | None) -> None:
        """Note where the primary's log ends now and how far the standby has it; None: it does not say."""
        now = self._now()
        if standby != self._of:
            self._of, self._reached, self._whole_until = standby, None, None
            self._places.clear()
        self._reached = self._reached if reached is None else reached
        if self._reached is None:  # an agent that was killed knew more than one that has just begun
            return
        if len(self._places) < MAX_PLACES:
            self._places.append((now, place))
        while self._places and self._places[0][1] <= self._reached:
            self._whole_until = self._places.popleft()[0]
        if self._whole_until is not None:
            behind = max(0, place - self._reached)
            self.last = Behind(standby, now.isoformat(), behind, self._whole_until.isoformat())

    def keep(self, *, at_once: bool = False) -> None:
        """Write it down, now and then."""
        before = self._kept.now.behind
        if self.last is None or self.last == before:
            return
        since = None if before is None else self._now() - datetime.fromisoformat(before.at)
        if at_once or since is None or abs(since) >= KEEP_EVERY:
            self._kept.change(behind=self.last)

    def too_much(self, standby: str, *, still_runs: bool) -> str:
        """Why a standby may not become primary; empty if it may.

        `still_runs`: the primary's process is there and answers nobody here, so that it may have gone on until now.
        """
        last = self.last
        if last is None or last.node != standby:
            return f"nobody knows how far the standby {standby} is behind, and commits did not wait for it"
        seconds = self.seconds(last, until=self._now() if still_runs else None)
        if seconds <= self.limits.lost_seconds and last.bytes <= self.limits.lost_mib * MIB:
            return ""
        return f"the standby {standby} {self.in_words(last, seconds)}, and at most {self.limits.in_words()} may be lost"

    @staticmethod
    def seconds(behind: Behind, *, until: datetime | None = None) -> int:
        """Of how long the standby lacks something."""
        whole_until = datetime.fromisoformat(behind.whole_until)
        return max(0, round(((until or datetime.fromisoformat(behind.at)) - whole_until).total_seconds()))

    @staticmethod
    def in_words(behind: Behind, seconds: int) -> str:
        """As people read it."""
        at = datetime.fromisoformat(behind.at)
        lacked = f"{seconds} s and {behind.bytes / MIB:.1f} MiB"
        return f"was {lacked} behind when the primary answered last ({at:%H:%M:%S} UTC)"
