"""Cuts partitions into windows of time that a text query reads one after the other, newest first. Pure.

The database either walks entries by time, which is endless where a word is old, or collects every entry with the
word, which is slow where it is common. A window is as wide as a page of matches is expected to need, and the next
three times as wide.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

WIDE_PAGES: Final = 3
"""The first window is expected to hold so many pages of matches: estimates are coarse."""
FEW_PAGES: Final = 10
"""A partition with no more pages of matches than this is read as one window: collecting them is quick."""
GROWTH: Final = 3
WALKED_ENTRIES: Final = 1_500
"""A window of so few entries may be walked by time; a wider one must be read through the text index."""


@dataclass(frozen=True, slots=True)
class Span:
    """One partition: its log, which numbers, its table and between which instants its entries are."""

    log: str
    seq_from: int
    seq_until: int
    table: str
    time_min: datetime
    time_max: datetime


@dataclass(frozen=True, slots=True)
class Window:
    """The entries of a partition from one instant until before another; None where the partition itself ends."""

    span: Span
    since: datetime | None = None
    until: datetime | None = None
    collected: bool = False
    """All matches are collected and sorted, instead of walking entries by time."""
    matches: float = 0.0
    """How many are expected; 0 when they are few or nobody asked."""

    @property
    def newest(self) -> datetime:
        """No entry of the window is newer."""
        return self.until or self.span.time_max

    @property
    def oldest(self) -> datetime:
        """No entry of the window is older."""
        return self.since or self.span.time_min


@dataclass(frozen=True, slots=True)
class Expected:
    """How many entries of a partition lie between the bounds of a search, and how many of them match, by estimate."""

    entries: int
    matches: float
    oldest: datetime
    newest: datetime


def cut(span: Span, expected: Expected, wanted: int) -> Iterator[Window]:
    """The windows of one partition, newest first; together they are all of it."""
    if expected.matches <= FEW_PAGES * wanted:
        yield Window(span, collected=True)
        return
    share = WIDE_PAGES * wanted / expected.matches
    length = expected.newest - expected.oldest
    collected = share * expected.entries > WALKED_ENTRIES
    until, reached = None, 0.0
    while reached + share < 1:
        reached += share
        since = expected.newest - length * reached
        yield Window(span, since, until, collected, expected.matches * share)
        until, share, collected = since, share * GROWTH, True
    yield Window(span, None, until, collected=True, matches=expected.matches * (1 - reached))


def together(windows: Sequence[Window], most: int, wanted: int) -> int:
    """How many of the windows, newest first, to read in one statement: as long as few matches are expected of them."""
    expected = 0.0
    for number, window in enumerate(windows[:most]):
        expected += window.matches
        if number and expected > WIDE_PAGES * wanted:
            return number
    return min(most, len(windows))
