"""Facts of an incident as words of Markdown: durations, amounts, keys. Pure."""

import re
from datetime import timedelta
from decimal import Decimal
from typing import Final

from backend.documents.text import NOT_RECORDED
from contract.incidents import Impact

_SECONDS_PER_MINUTE: Final = 60
_UNITS: Final = ((86_400, "d"), (3_600, "h"), (60, "min"))


def duration(span: timedelta) -> str:
    """1 d 2 h 3 min; seconds only below an hour."""
    left = int(span.total_seconds())
    if left < 0:
        return f"minus {duration(-span)}"
    parts = []
    for seconds, unit in _UNITS:
        if left >= seconds:
            parts.append(f"{left // seconds} {unit}")
            left %= seconds
    if span < timedelta(hours=1) and (left or not parts):
        parts.append(f"{left} s")
    return " ".join(parts)


def money(impact: Impact) -> str:
    """What was lost, in each currency that somebody has named."""
    amounts = [(impact.loss_usd, "USD"), (impact.loss_eth, "ETH")]
    said = [f"{_plain(amount)} {unit}" for amount, unit in amounts if amount is not None]
    return " and ".join(said) or NOT_RECORDED


def slug(title: str) -> str:
    """The key of a section or field: root_cause for "Root Cause"."""
    return re.sub(r"[^a-z0-9]+", "_", title.lower()).strip("_")


def _plain(amount: Decimal) -> str:
    text = format(amount, ",f")
    return text.rstrip("0").rstrip(".") if "." in text else text
