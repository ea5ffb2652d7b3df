"""What the beginnings and ends of silences make of an alert. Pure.

An alert is muted while anything mutes it. When the last of it goes and the alert is still there, it is raised again: a
silence must not be the end of an alert that goes on.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from backend.alerts.matching import REGEXES
from contract.alert_work import Matcher, MatchOp, SilenceState

SILENCE: Final = "silence"
Mute = Mapping[str, Any]
"""contract.alerts.Muting as it is stored."""


class Turn(StrEnum):
    """What a change of what mutes an alert makes of it."""

    NOTHING = "nothing"
    MUTED = "muted"
    RAISED_AGAIN = "raised_again"


@dataclass(frozen=True, slots=True)
class Standing:
    """A silence in force: its matchers, and what an alert keeps of it."""

    matchers: tuple[Matcher, ...]
    mute: Mute

    @property
    def id(self) -> str:
        """The silence's id."""
        return str(self.mute["id"])

    @property
    def tries(self) -> bool:
        """Whether it has a regular expression."""
        return any(one.op in REGEXES for one in self.matchers)


class Standings:
    """The silences in force, found by a label that they ask for: most need not be looked at for an alert."""

    def __init__(self, silences: Sequence[Standing]) -> None:
        self._by_label: dict[tuple[str, str], list[tuple[int, Standing]]] = {}
        self._others: list[tuple[int, Standing]] = []
        for place, silence in enumerate(silences):
            asked = next((one for one in silence.matchers if one.op is MatchOp.IS and one.value), None)
            kept = self._others if asked is None else self._by_label.setdefault((asked.name, asked.value), [])
            kept.append((place, silence))

    def for_labels(self, labels: Mapping[str, str]) -> list[Standing]:
        """Those that may match an alert with such labels, in their order."""
        found = self._others.copy()
        if self._by_label:
            for pair in labels.items():
                found += self._by_label.get(pair, ())
        return [silence for _, silence in sorted(found, key=_place)]


def _place(numbered: tuple[int, Standing]) -> int:
    return numbered[0]


def state_of(starts_at: datetime, ends_at: datetime, now: datetime, *, set_aside: bool = False) -> SilenceState:
    """Where a silence stands: it begins with its start and is over at its end."""
    if now >= ends_at:
        return SilenceState.ENDED
    if now < starts_at:
        return SilenceState.PENDING
    return SilenceState.SET_ASIDE if set_aside else SilenceState.ACTIVE


def turn(before: Sequence[Mute], after: Sequence[Mute], *, cleared: bool) -> Turn:
    """What becomes of an alert; one that has cleared is only noted."""
    if cleared or bool(before) is bool(after):
        return Turn.NOTHING
    return Turn.MUTED if after else Turn.RAISED_AGAIN


def with_mute(before: Sequence[Mute], mute: Mute) -> list[Mute]:
    """Add something that mutes; the same thing again takes the place of what was known of it."""
    return [*without_mutes(before, [mute]), mute]


def without_mutes(before: Sequence[Mute], gone: Iterable[Mute]) -> list[Mute]:
    """Leave out what mutes no more, by kind and id."""
    keys = {_key(one) for one in gone}
    return [one for one in before if _key(one) not in keys]


def differences(before: Sequence[Mute], after: Sequence[Mute]) -> tuple[list[Mute], list[Mute]]:
    """What has come to mute an alert, and what has gone."""
    had, has = {_key(one) for one in before}, {_key(one) for one in after}
    return [one for one in after if _key(one) not in had], [one for one in before if _key(one) not in has]


def _key(mute: Mute) -> tuple[str, str]:
    return str(mute["kind"]), str(mute["id"])
