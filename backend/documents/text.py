"""Facts as words of Markdown: times, and foreign text that must show as itself. Pure."""

import re
from datetime import datetime
from typing import Final

NOT_RECORDED: Final = "not recorded"
_UNSEEN: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]"
)
"""Controls, escape sequences' first byte among them, and what turns the direction of text or cannot be seen."""
_SPECIAL: Final = re.compile(r"([\\`*_{}\[\]<>#|~&!])")
_LEADING: Final = re.compile(r"^(\s*)([-+=:]|\d+[.)])")


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
