"""What a process knows of the audit log's write path: what waits, for how long, and whether its spool would hold.

Filled by `backend.auditwatch`, read by probes and by whoever writes. Owns no I/O.
"""

import asyncio
from dataclasses import dataclass, field
from typing import Final

from backend.spool import Spool

PUSH_BACK_FROM: Final = 300
"""Waiting entries from which writers are slowed down: less than a tenth of a second's work of the sequencer."""
PAUSE_PER_ROW_S: Final = 0.000_01
PAUSE_MAX_S: Final = 0.05
"""A writer holds its locks meanwhile; more than this would be noticed where nobody looks at the audit log."""
LOOK_EVERY_S: Final = 0.25
"""How long a process may be wrong about what others have filed while little waits."""
LOOK_BUSY_S: Final = 0.05
"""The same while writers are slowed down: by late news they would be let go and held up by turns."""


def pause_s(waiting: int) -> float:
    """How long a writer waits before it adds an entry: writers never outrun the sequencer for long."""
    return min(PAUSE_MAX_S, max(0, waiting - PUSH_BACK_FROM) * PAUSE_PER_ROW_S)


@dataclass
class WritePath:
    """The state as it was seen last."""

    spool: Spool
    ledger: str | None = None
    """Name of the ledger in the database; None before the database was asked."""
    foreign: set[str] = field(default_factory=set)
    """Files of other ledgers that lie in the same directory."""
    waiting: int = 0
    """Committed entries without a place in the ledger, counted up to a bound, and what this process has added since."""
    committed: int = 0
    """Entries that this process has added since it started."""
    oldest_s: float = 0.0
    """For how long the oldest of them has waited, by the database's clock."""
    quarantined: int = 0
    """Rows set aside, counted up to a bound."""
    alerted: bool = True
    """An alert about it may be live: not known otherwise when a process starts."""
    seen_first_at: float | None = None
    """When the database was asked for the first time (seconds of the monotonic clock)."""
    seen_at: float | None = None
    """When it was asked last."""
    crowded: asyncio.Event = field(default_factory=asyncio.Event)
    """So much waits that the database is worth asking again soon."""

    def filed(self, entries: int) -> None:
        """Count what this process has committed: a burst of its own slows it down before anybody has looked."""
        self.committed += entries
        self.see(self.waiting + entries)

    @property
    def watched_s(self) -> float:
        """For how long this process has looked after the path: what waited before it came waited for a backend."""
        return 0.0 if self.seen_first_at is None or self.seen_at is None else self.seen_at - self.seen_first_at

    def see(self, waiting: int) -> None:
        """Take note of how much waits."""
        self.waiting = waiting
        if waiting >= PUSH_BACK_FROM:
            self.crowded.set()
        else:
            self.crowded.clear()
