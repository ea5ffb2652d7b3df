"""What becomes of an alert when its Alertmanager speaks of it: new, seen again, over, or long past. Pure.

An Alertmanager delivers at least once and in no order, and says the same fingerprint each time that an alert fires. One
fingerprint has at most one occurrence at a time, and what is told about two that overlap is about one. Whatever order
and however often the same deliveries arrive in, what is known in the end is the same.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Fate(StrEnum):
    """What an alert that was spoken of becomes."""

    RAISED = "raised"
    """A new occurrence that fires."""
    RAISED_AGAIN = "raised_again"
    """A known one that had been given up, and fires all the same."""
    SEEN = "seen"
    """A known one that fires on."""
    CLEARED = "cleared"
    """A known one that is over."""
    ENDED = "ended"
    """One that had been given up before its source said that it ended, and when."""
    PAST = "past"
    """One that was over before it was heard of: kept, and never told about."""
    OLD_NEWS = "old_news"
    """Something later is known already."""


@dataclass(frozen=True, slots=True)
class Known:
    """An occurrence that is stored."""

    occurrence: str
    starts_at: datetime
    ends_at: datetime | None
    """What its source said about its end; None also when it was given up without a word of its source."""
    live: bool


@dataclass(frozen=True, slots=True)
class Heard:
    """An occurrence as it was spoken of just now."""

    occurrence: str
    starts_at: datetime
    firing: bool
    ends_at: datetime | None
    """Of one that is over."""
    current: datetime | None = None
    """When its Alertmanager heard of it last, if that is how things stand now: an answer of the API. None: a delivery,
    which may be late."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of the occurrence that was spoken of, and of another one of its fingerprint."""

    fate: Fate
    about: str
    """The occurrence that is meant: another than the one named, where both are one."""
    clears: str | None = None
    """A live occurrence that is over because of it."""


def judge(heard: Heard, same: Known | None, live: Known | None, latest: datetime | None) -> Verdict:
    """Decide; `same` is the occurrence itself, `live` the fingerprint's live one, `latest` when its last one began."""
    other = live if live is not None and live.occurrence != heard.occurrence else None
    if not heard.firing:
        return _over(heard, same, other)
    if same is not None:
        return Verdict(*_known_fires(heard, same, other, latest))
    if other is not None and heard.starts_at < other.starts_at:
        # an Alertmanager that is told of an earlier beginning takes that for the beginning
        if heard.current is not None:
            return Verdict(Fate.SEEN, other.occurrence)
        return Verdict(Fate.PAST, heard.occurrence)
    if heard.current is None and latest is not None and heard.starts_at < latest:
        return Verdict(Fate.PAST, heard.occurrence)
    return Verdict(Fate.RAISED, heard.occurrence, other.occurrence if other else None)


def _known_fires(
    heard: Heard, same: Known, other: Known | None, latest: datetime | None
) -> tuple[Fate, str, str | None]:
    if same.live:
        return Fate.SEEN, heard.occurrence, None
    if heard.current is not None:
        if same.ends_at is None or heard.current > same.ends_at:
            return Fate.RAISED_AGAIN, heard.occurrence, other.occurrence if other else None
        return Fate.OLD_NEWS, heard.occurrence, None
    if same.ends_at is not None or other is not None or (latest is not None and heard.starts_at < latest):
        return Fate.OLD_NEWS, heard.occurrence, None
    return Fate.RAISED_AGAIN, heard.occurrence, None


def _over(heard: Heard, same: Known | None, other: Known | None) -> Verdict:
    clears = None
    if other is not None:
        overlaps = heard.ends_at is not None and heard.ends_at > other.starts_at
        clears = other.occurrence if overlaps or heard.starts_at > other.starts_at else None
    if same is None:
        return Verdict(Fate.PAST, heard.occurrence, clears)
    if same.live:
        return Verdict(Fate.CLEARED, heard.occurrence, clears)
    fate = Fate.ENDED if same.ends_at is None and heard.ends_at is not None else Fate.OLD_NEWS
    return Verdict(fate, heard.occurrence, clears)
