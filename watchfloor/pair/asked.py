"""What is known of whoever asks for an act: until when it may begin, and whether it has. Decides nothing else."""

from dataclasses import dataclass
from datetime import datetime

from watchfloor.pair.errors import PairError


@dataclass(slots=True)
class Asked:
    """One request for an act. What waits behind another act may find that nobody wants it any more."""

    before: datetime | None = None
    """It must not begin later; None: whenever its turn comes."""
    begun: bool = False

    def begin(self, now: datetime) -> None:
        """Let it begin.

        Raises:
            PairError: it is too late for it.
        """
        if self.before is not None and now > self.before:
            raise PairError(f"it was to begin before {self.before:%H:%M:%S} UTC and is not done any more")
        self.begun = True


def deadline_of(text: str) -> datetime | None:
    """Until when a request says that its act may begin; None where it says nothing.

    Raises:
        PairError: it names no instant with its zone.
    """
    if not text:
        return None
    try:
        before = datetime.fromisoformat(text)
    except ValueError:
        before = None
    if before is None or before.tzinfo is None:
        raise PairError("until when may it begin? say ?before= and an instant such as 2026-11-21T10:00:00Z")
    return before
