"""Owns how old things are: ages in words, and from when on a value no longer counts as known."""

from datetime import datetime
from enum import StrEnum
from typing import Final

STALE_AFTER_INTERVALS: Final = 2
"""Past twice its interval a panel is dimmed and marked: one missed update is normal, two are not."""

LOST_AFTER_INTERVALS: Final = 10
"""Past ten intervals a value says nothing about now: it becomes `--`."""

POLL_S: Final = 30.0
"""The fall-back's interval: how old the last word may be while the stream is down."""

_MINUTE_S: Final = 60
_HOUR_S: Final = 3600
_DAY_S: Final = 86400


class Freshness(StrEnum):
    """Whether what is shown may be believed."""

    LIVE = "live"
    STALE = "stale"
    LOST = "lost"
    NEVER = "never"
    """Nothing has arrived yet."""


def freshness(age_s: float | None, interval_s: float) -> Freshness:
    """Judge an age against the interval in which its source should have spoken."""
    if age_s is None:
        return Freshness.NEVER
    if age_s > interval_s * LOST_AFTER_INTERVALS:
        return Freshness.LOST
    return Freshness.STALE if age_s > interval_s * STALE_AFTER_INTERVALS else Freshness.LIVE


def worst(*states: Freshness) -> Freshness:
    """The least believable of several."""
    order = (Freshness.LIVE, Freshness.STALE, Freshness.LOST, Freshness.NEVER)
    return max(states, key=order.index)


def seconds_between(earlier: datetime | None, now: datetime) -> float | None:
    """Seconds since an instant, never negative; None if there was none."""
    return None if earlier is None else max((now - earlier).total_seconds(), 0.0)


def exact_age(age_s: float) -> str:
    """An age to the second while that is worth a glance: for what is wrong right now."""
    whole = int(age_s)
    if whole < _MINUTE_S:
        return f"{whole}s"
    if whole < _HOUR_S:
        return f"{whole // _MINUTE_S}m{whole % _MINUTE_S:02d}s"
    return coarse_age(age_s)


def coarse_age(age_s: float) -> str:
    """An age in steps of a minute or more: it stands still while nothing happens, so an idle screen sends no byte."""
    whole = int(age_s)
    if whole < _MINUTE_S:
        return "<1m"
    if whole < _HOUR_S:
        return f"{whole // _MINUTE_S}m"
    if whole < _DAY_S:
        return f"{whole // _HOUR_S}h{whole % _HOUR_S // _MINUTE_S:02d}"
    return f"{whole // _DAY_S}d"


def due_text(due: datetime | None, now: datetime) -> tuple[str, bool]:
    """A response clock: what is left or by how much it is over, and whether it is over; empty without a due time."""
    if due is None:
        return "", False
    left_s = (due - now).total_seconds()
    if left_s >= 0:
        return f"{coarse_age(left_s)} left", False
    return f"{coarse_age(-left_s)} over", True


def clock_text(now: datetime, quiet_s: float | None) -> str:
    """The clock in UTC: seconds while data keeps coming, else minutes, because nothing would repaint the seconds."""
    return now.strftime("%H:%M:%S" if quiet_s is not None and quiet_s <= SECONDS_SHOWN_FOR_S else "%H:%M") + " UTC"


SECONDS_SHOWN_FOR_S: Final = 5.0
"""How long after the last data the clock still shows seconds."""
