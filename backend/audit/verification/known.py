"""What of the ledger's account of itself an earlier verification found in order: the next one takes up there. Pure.

A verification of everything knows nothing of this kind: it holds everything against everything again.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ledger.canon import format_instant

Times = tuple[datetime | None, datetime | None]
"""The first and the last time of some entries; None of no entries."""


@dataclass(slots=True)
class Known:
    """What need not be looked at again."""

    announced: int = 0
    """Entries of `meta` whose announcements were held against what they announce."""
    periods: dict[str, tuple[int, str]] = field(default_factory=dict)
    """The last period of each log, and the hash of its record (hex)."""
    times: dict[tuple[str, int], tuple[int, Times]] = field(default_factory=dict)
    """Of each partition, by log and first entry: up to which entry its times are known, and these."""
    runs_until: datetime | None = None
    """When the last run known was verified."""
    quarantined: int = 0
    """The number of the last row in quarantine."""
    aside: set[tuple[str, int]] = field(default_factory=set)
    """Process and number of what lies in quarantine and was written by a process of ours."""
    erased: set[str] = field(default_factory=set)
    """Subjects whose erasure was announced."""
    expired: dict[str, str] = field(default_factory=dict)
    """Up to which instant values of each log were deleted on their date, as entries spell it."""
    purged: list[Mapping[str, Any]] = field(default_factory=list)
    """What was announced of partitions that were dropped."""

    def covers_period(self, log: str, n: int) -> bool:
        """Whether a period need not be held against its announcement."""
        return log in self.periods and n <= self.periods[log][0]

    def contradicts_period(self, log: str, n: int, record: str) -> bool:
        """Whether the last period known has another record now (hash in hex)."""
        return self.periods.get(log, (-1, ""))[0] == n and self.periods[log][1] != record

    def to_tree(self) -> dict[str, Any]:
        """Give it as JSON values."""
        return {
            "announced": self.announced,
            "periods": {log: list(last) for log, last in self.periods.items()},
            "times": [
                [log, first, until, *map(_instant, times)] for (log, first), (until, times) in self.times.items()
            ],
            "runs_until": _instant(self.runs_until),
            "quarantined": self.quarantined,
            "aside": [list(one) for one in sorted(self.aside)],
            "erased": sorted(self.erased),
            "expired": self.expired,
            "purged": [dict(one) for one in self.purged],
        }

    @classmethod
    def from_tree(cls, tree: Mapping[str, Any]) -> "Known":
        """Read what `to_tree` gave."""
        return cls(
            announced=tree["announced"],
            periods={log: (n, record) for log, (n, record) in tree["periods"].items()},
            times={
                (log, first): (until, (_when(oldest), _when(newest)))
                for log, first, until, oldest, newest in tree["times"]
            },
            runs_until=_when(tree["runs_until"]),
            quarantined=tree["quarantined"],
            aside={(boot, n) for boot, n in tree["aside"]},
            erased=set(tree["erased"]),
            expired=tree["expired"],
            purged=tree["purged"],
        )


def widened(known: Times, found: Times) -> Times:
    """The times of entries and of further ones."""
    oldest = [at for at in (known[0], found[0]) if at is not None]
    newest = [at for at in (known[1], found[1]) if at is not None]
    return min(oldest, default=None), max(newest, default=None)


def _instant(at: datetime | None) -> str | None:
    return None if at is None else format_instant(at)


def _when(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
