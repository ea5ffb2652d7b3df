"""How many assessments have to find a limit crossed before a rule freezes. Pure.

An assessment counts once for the same data: looking twice at one batch confirms nothing. It counts again once the data
have not changed for a while, because a feed that stands still after a true loss must not put a freeze off for ever.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Self

from backend.policy.freezing import Confirmations


@dataclass(frozen=True, slots=True)
class Look:
    """One assessment of one rule in one scope."""

    at: datetime
    crossed: bool
    data: str
    """What it looked at, in short: equal texts mean that nothing has come in."""

    def plain(self) -> dict[str, Any]:
        """As it is stored."""
        return {"at": self.at.isoformat(), "crossed": self.crossed, "data": self.data}

    @classmethod
    def of_plain(cls, stored: Mapping[str, Any]) -> Self:
        """Read what `plain` gave."""
        return cls(datetime.fromisoformat(stored["at"]), bool(stored["crossed"]), str(stored["data"]))


def after(looks: Sequence[Look], look: Look, rule: Confirmations, *, within: timedelta) -> tuple[Look, ...]:
    """The assessments that count once one more was made, oldest first; the same as before if it does not count."""
    if looks and not _counts(looks[-1], look, rule, within):
        return tuple(looks)
    return (*looks, look)[-rule.of_assessments :]


def _counts(last: Look, look: Look, rule: Confirmations, within: timedelta) -> bool:
    if (look.data, look.crossed) != (last.data, last.crossed):
        return True
    # a clock that was set back, or another backend's, must not make a standstill last
    return abs(look.at - last.at) >= within / max(1, rule.confirmations - 1)


def crossed(looks: Sequence[Look]) -> int:
    """How many of them found the limit crossed."""
    return sum(look.crossed for look in looks)


def is_confirmed(looks: Sequence[Look], rule: Confirmations) -> bool:
    """Whether the rule may act."""
    return crossed(looks) >= rule.confirmations


def is_over(looks: Sequence[Look]) -> bool:
    """Whether no crossing is left among them that the next one could confirm."""
    return not crossed(looks)
