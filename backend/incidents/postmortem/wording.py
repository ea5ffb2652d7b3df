"""Facts as words of Markdown: times, durations, amounts, and foreign text that must show as itself. Pure."""

import re
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from contract.incidents import Impact

NOT_RECORDED: Final = "not recorded"
_UNSEEN: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]"
)
"""Controls, escape sequences' first byte among them, and what turns the direction of text or cannot be seen."""
_SPECIAL: Final = re.compile(r"([\\`*_{}\[\]<>#|~&!])")
_LEADING: Final = re.compile(r"^(\s*)([-+=:]|\d+[.)])")
_SECONDS_PER_MINUTE: Final = 60
_UNITS: Final = ((86_400, "d"), (3_600, "h"), (60, "min"))


def visible(text: str) -> str:
    """Text without what a terminal or a browser would obey instead of showing; line ends become plain ones."""
    return _UNSEEN.sub("\ufffd", re.sub("\r\n?|[\u2028\u2029\x85]", "\n", text))


def literal(text: str) -> str:
    """Foreign text as one line of Markdown that shows as itself: no heading, link, picture, table or HTML."""
    line = " ".join(visible(text).split())
    return _LEADING.sub(r"\1\\\2", _SPECIAL.sub(r"\\\1", line)) if line else ""


def moment(at: datetime | None) -> str:
    """2026-11-22 21:51:36 UTC."""
    return NOT_RECORDED if at is None else f"{at:%Y-%m-%d %H:%M:%S} UTC"


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
