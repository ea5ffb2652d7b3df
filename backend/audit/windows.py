"""Cuts partitions into windows of time that a search for text or an address reads one by one, newest first. Pure.

The database either walks entries by time, which is endless where a word is old, or collects every entry with the
word, which is slow where it is common. A window is as wide as a page of matches is expected to need, and the next
three times as wide, up to a bound.
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
DENSE_MATCHES: Final = 2_000
"""A window grows no further than to so many expected matches, collected in a few milliseconds: where newer windows were
empty, the older ones hold more than their share."""
MOST_PARTS: Final = 8
"""Or than to this part of a partition: each window costs a look at all places where a word stands."""
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
    """How many are expected; 0 when nobody asked."""
    measured: bool = False
    """The planner was asked how many matches it expects."""

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
    walkable: datetime | None = None
    """About `WALKED_ENTRIES` of the partition are newer: entries come in bursts, which the mean of a month hides."""


def walks(expected: Expected, wanted: int) -> bool:
    """Whether the first window is so narrow, by the mean, that its entries are walked by time."""
    common = expected.matches > FEW_PAGES * wanted
    return common and WIDE_PAGES * wanted / expected.matches * expected.entries <= WALKED_ENTRIES


def cut(whole: Window, expected: Expected, wanted: int) -> Iterator[Window]:
    """The windows that a wide one is read in, newest first; together they are all of it."""
    span, until = whole.span, whole.until
    if expected.matches <= FEW_PAGES * wanted:
        yield Window(span, None, until, collected=True, matches=expected.matches, measured=True)
        return
    share = WIDE_PAGES * wanted / expected.matches
    widest = max(share, DENSE_MATCHES / expected.matches, 1 / MOST_PARTS)
    length = expected.newest - expected.oldest
    collected, reached = not walks(expected, wanted), 0.0
    while reached + share < 1:
        reached += share
        since = expected.newest - length * reached
        if not collected and expected.walkable is not None and expected.walkable < expected.newest:
            since = max(since, expected.walkable)
        yield Window(span, since, until, collected, expected.matches * share, measured=True)
        until, share, collected = since, min(share * GROWTH, widest), True
    yield Window(span, None, until, collected=True, matches=expected.matches * (1 - reached), measured=True)


def together_at_most(entries: int, matches: float, words: int) -> float:
    """How many matches to be prepared for when so many words must occur together.

    The planner multiplies the shares of the words as if they knew nothing of each other. "gas" and "spike" come
    together: then the rarest word says how many entries have to be looked at, and it is at most their mean share.
    """
    if words == 1 or not 0 < matches < entries:
        return matches
    return float(entries * (matches / entries) ** (1 / words))


def together(windows: Sequence[Window], most: int, room: float) -> int:
    """How many of the windows, newest first, to read in one statement: as long as few matches are expected of them.

    Never two of one partition: that was cut because the first is likely to be enough.
    """
    expected, partitions = 0.0, set[str]()
    for number, window in enumerate(windows[:most]):
        expected += window.matches
        if number and (expected > room or window.span.table in partitions):
            return number
        partitions.add(window.span.table)
    return min(most, len(windows))
