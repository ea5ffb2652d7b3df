"""What to do with notifications, pure: how long a channel rests, when a failure is tried again, what a text may say."""

import re
import unicodedata
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from contract.alerts import Severity

MAX_TITLE_CHARS: Final = 200
"""One line of a phone's screen, and what every service takes."""
MAX_BODY_CHARS: Final = 2_000
"""Services cut or split what is longer."""
GRAVITY: Final = {severity: place for place, severity in enumerate(Severity)}
"""0 is the gravest."""
_UNSEEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
"""Categories of characters that move the cursor, turn the direction of writing, or do not show."""
_MENTION: Final = re.compile(r"@(?=\w)|(?<=<)(?=[!@#])")
"""Where a chat would take a text from outside for a call of everybody."""
_NO_JOIN: Final = "\u200b"


@dataclass(frozen=True, slots=True)
class Rate:
    """How much a channel takes: so many at once, and then so many a minute."""

    per_minute: int

    @property
    def interval(self) -> timedelta:
        """Time in which one more is allowed."""
        return timedelta(minutes=1) / self.per_minute

    def taken(self, whole_at: datetime | None, now: datetime) -> datetime | None:
        """The instant at which the allowance is whole again once one is taken; None: none is left.

        An instant later than any that this could have given was given before the clock was put back.
        """
        if whole_at is None or whole_at > now + self.interval * (self.per_minute + 1):
            whole_at = now
        after = max(whole_at, now) + self.interval
        return after if after <= now + self.interval * self.per_minute else None


def pause_after(failures: int, first_s: int, longest_s: int) -> timedelta:
    """How long to wait after so many failures, at least one."""
    return timedelta(seconds=min(longest_s, first_s * 2 ** min(failures - 1, 30)))


def shown(text: str, limit: int, *, multiline: bool = False) -> str:
    """A text from outside as it may be sent: nothing unseen, no call of everybody, not longer than a limit."""
    lines = ("".join(" " if unicodedata.category(one) in _UNSEEN else one for one in line) for line in text.split("\n"))
    kept = ("\n" if multiline else " ").join(line.strip() for line in lines).strip()
    kept = _MENTION.sub(lambda found: found[0] + _NO_JOIN, kept)
    return kept if len(kept) <= limit else kept[: limit - 1] + "…"
