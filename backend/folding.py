"""What happens again and again is told once a minute, with how often it happened meanwhile. Knows no caller.

For refusals on routes that are never limited: whoever makes them by the thousand must not fill the audit log.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

EVERY_S: Final = 60.0
"""A minute: an attack shows at once, and costs an entry a minute."""
MAX_REMEMBERED: Final = 10_000
"""Kinds of events of which this process knows; one that is forgotten is told anew."""


@dataclass(slots=True)
class _Told:
    at_s: float
    untold: int = 0


class Folded:
    """When which kind of event was told last."""

    def __init__(self) -> None:
        self._told: OrderedDict[tuple[str, str], _Told] = OrderedDict()

    def tell(self, kind: tuple[str, str], now_s: float) -> int | None:
        """How many of a kind went untold, if it is to be told now; None if it was told a moment ago, and is counted.

        `now_s` is of a monotonic clock.
        """
        last = self._told.get(kind)
        if last is not None and now_s - last.at_s < EVERY_S:
            last.untold += 1
            return None
        self._told[kind] = _Told(now_s)
        self._told.move_to_end(kind)
        if len(self._told) > MAX_REMEMBERED:
            self._told.popitem(last=False)
        return last.untold if last is not None else 0
