"""Owns when a screen has to be looked at again although nothing arrived, and what the banner says. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Final

from console.state.floor import Floor, Link
from console.state.freshness import SECONDS_SHOWN_FOR_S, STALE_AFTER_INTERVALS, seconds_between
from console.state.headline import DRILL, MODE_WORDS, WAITING, scope_words
from contract.states import FreezeStatus

if TYPE_CHECKING:
    from contract.freeze import Freeze

_ALARM_S: Final = 1.0
"""While the line is lost its age counts up by the second."""
_POLLING_S: Final = 10.0
_MINUTE_S: Final = 60.0
_THAWS: Final = {FreezeStatus.THAW_REQUESTED: ", thaw asked", FreezeStatus.THAWING: ", lifting"}
"""What the banner adds to a hold on its way to being lifted."""
_SLACK_S: Final = 0.02
"""Just after the instant, so that the new text is the one read."""


def next_look_s(floor: Floor, desk_now: datetime) -> float:
    """Seconds until something shown may read differently: the next whole minute, unless something is wrong."""
    if floor.connection.link is Link.LOST:
        return _ALARM_S
    if floor.connection.link is Link.POLLING:
        return _POLLING_S
    now = floor.now(desk_now)
    looks = [_MINUTE_S - (now.second + now.microsecond / 1_000_000)]
    quiet_s = seconds_between(floor.data_at, desk_now)
    if quiet_s is not None and quiet_s <= SECONDS_SHOWN_FOR_S:
        looks.append(SECONDS_SHOWN_FOR_S - quiet_s)
    assessed_s = seconds_between(floor.risk.assessed_at, now) if floor.risk else None
    if floor.risk is not None and assessed_s is not None:
        stale_s = floor.risk.interval_seconds * STALE_AFTER_INTERVALS
        if assessed_s <= stale_s:
            looks.append(stale_s - assessed_s)
    return max(min(looks), 0.0) + _SLACK_S


def hold_texts(floor: Floor) -> list[str]:
    """Every hold in force in a few words."""
    holds = sorted(floor.freezes.values(), key=lambda hold: (_is_proven(hold), hold.created_at, hold.ref))
    texts = []
    for hold in holds:
        mode = f"{f'{DRILL} ' if hold.drill else ''}{MODE_WORDS[hold.mode]}"
        asked = _THAWS.get(hold.status, "")
        if hold.status is FreezeStatus.LATCHED:
            texts.append(f"{scope_words(hold.scope)} {mode} {WAITING}")
            continue
        went_on = f", {hold.violations} WENT ON" if hold.violations else ""
        texts.append(f"{scope_words(hold.scope)} {mode} {hold.halted}/{hold.covered} halted{went_on}{asked}")
    return texts


def _is_proven(hold: Freeze) -> bool:
    """Whether it may stand last: the banner is cut at its end."""
    return hold.status is not FreezeStatus.LATCHED and not hold.violations and hold.halted >= hold.covered
