"""Which machines' tokens were used since that was last written down: the hot path notes, `backend.auth` writes.

Keeps hashes of tokens only, and never waits.
"""

import asyncio
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

EVERY: Final = timedelta(minutes=1)
"""How exactly the last use of a token is known: somebody who looks for unused ones asks in days."""
_MOST: Final = 20_000
"""Remembered; several times the machines of a large floor. Beyond that a use is written once more."""


@dataclass
class TokenUse:
    """Uses by the hash of the secret. One event loop uses it."""

    due: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a use should not wait to be written."""
    _noted: dict[str, datetime] = field(default_factory=dict)
    _unwritten: dict[str, datetime] = field(default_factory=dict)

    def note(self, digest: str, now: datetime, *, urgent: bool = False) -> None:
        """Take note of a use, at most one a minute unless it is urgent."""
        before = self._noted.get(digest)
        if not urgent and before is not None and now - before < EVERY:
            return
        if len(self._noted) >= _MOST:
            self._noted.clear()
        self._noted[digest] = self._unwritten[digest] = now
        if urgent:
            self.due.set()

    def taken(self) -> dict[str, datetime]:
        """What has to be written now; the caller gives it back with `again` if that fails."""
        taken, self._unwritten = self._unwritten, {}
        return taken

    def again(self, taken: dict[str, datetime]) -> None:
        """Keep for the next time what could not be written."""
        self._unwritten = {**taken, **self._unwritten}
