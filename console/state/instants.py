"""Owns how a person writes a point in time. Pure; the clock is a parameter."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

FORMS: Final = "2h, 7d, today, 2026-03-09 or 2026-03-09T20:42 (UTC)"
_AGO: Final = re.compile(r"([0-9]{1,5})([smhdw])")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def parse_instant(text: str, now: datetime) -> datetime:
    """A point in time; without a zone it is UTC, `2h` is two hours ago.

    Raises:
        ValueError: none of the forms.
    """
    word = text.strip().lower()
    if match := _AGO.fullmatch(word):
        return now - timedelta(**{_UNITS[match[2]]: int(match[1])})
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    if word in {"today", "yesterday"}:
        return midnight - timedelta(days=word == "yesterday")
    try:
        parsed = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ValueError(f"{text!r} is not a time; write {FORMS}.") from None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
