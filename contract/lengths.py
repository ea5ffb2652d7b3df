"""How lengths of time are written: reports that are signed and the screens beside them must say the same. Pure."""

from typing import Final

SECOND_MS: Final = 1_000
MINUTE_MS: Final = 60_000
HOUR_MS: Final = 3_600_000
_SHORT_MS: Final = 10_000
"""Below this the tenths count."""


def span(ms: int) -> str:
    """A length of time: 840 ms, 4.2 s, 16 min 2 s, 1 h 5 min."""
    if ms < SECOND_MS:
        return f"{ms} ms"
    if ms < _SHORT_MS:
        return f"{ms // 100 / 10:.1f} s"
    if ms < MINUTE_MS:
        return f"{ms // SECOND_MS} s"
    if ms < HOUR_MS:
        return f"{ms // MINUTE_MS} min {ms % MINUTE_MS // SECOND_MS} s"
    return f"{ms // HOUR_MS} h {ms % HOUR_MS // MINUTE_MS} min"


def target(seconds: int) -> str:
    """An objective: 15 min, 1 h, 45 s."""
    for unit, name in ((3600, "h"), (60, "min")):
        if seconds >= unit and seconds % unit == 0:
            return f"{seconds // unit} {name}"
    return f"{seconds} s"
