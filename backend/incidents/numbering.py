"""Ids of incidents and of what belongs to them: how they are written and read. Pure."""

import re
from typing import Final

_INCIDENT: Final = re.compile(r"^(?:INC-)?([0-9]{4})-0*([1-9][0-9]{0,5})$", re.IGNORECASE)
_DIGITS: Final = 3
"""Numbers are at least so wide; the thousandth incident of a year is simply wider."""


def incident_id(year: int, number: int) -> str:
    """INC-2026-001."""
    return f"INC-{year:04d}-{number:0{_DIGITS}d}"


def parse_incident_id(text: str) -> str | None:
    """The id that somebody typed, as it is stored: inc-2026-1 is INC-2026-001. None: it cannot be one."""
    found = _INCIDENT.match(text.strip())
    return None if found is None else incident_id(int(found[1]), int(found[2]))


def follow_up_id(incident: str, number: int) -> str:
    """INC-2026-001/2."""
    return f"{incident}/{number}"
