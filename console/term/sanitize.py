"""Owns the one function that makes text from outside safe to show.

Everything a backend, an executor or a user can name passes through `clean` before it reaches a widget or a terminal.
The result is plain text: it must never be parsed as Rich or Textual markup.
"""

import re
import unicodedata
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from rich.text import Text
    from textual.content import Content

MARK: Final = "\ufffd"
"""Stands where something was removed, so that two different names never look the same after cleaning."""

LIMIT_CHARS: Final = 500
"""Longest text of one field: more than any terminal line, little enough to lay out at once."""

COMBINING_LIMIT: Final = 3
"""Marks kept on one base character: enough for every living script, too few to climb over other lines."""

_OVERSIZE_FACTOR: Final = 8
"""Raw characters looked at per character kept: bounds the work on texts that are mostly controls."""

_ESCAPE_SEQUENCE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # CSI
    r"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)"  # OSC, DCS, SOS, PM, APC
    r"|\x1b[ -/]*[0-~]"  # two- and three-byte escapes
)
_NEWLINE = re.compile("\r\n|[\n\r\x0b\x0c\x85\u2028\u2029]")
_PLAIN = re.compile(r"[ -~]*\Z")

_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f"
    "\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
_JOINERS: Final = frozenset("\u200c\u200d\ufe0e\ufe0f")
"""Harmless inside a word or an emoji of a script that uses them: dropped there without a mark."""

_GROWING_BLOCKS: Final = (("\U0001f300", "\U0001faff"), ("\U00020000", "\U000323af"))
_KEYCAP: Final = "\u20e3"
_FIRST_NON_LATIN: Final = "\u0300"


def clean(text: str, *, limit: int = LIMIT_CHARS, multiline: bool = False) -> str:
    """Return text that shows as itself and nothing more, so that no name can move the cursor or pose as another.

    Escape sequences, controls, bidirectional overrides, invisible and private characters, lone surrogates and stacked
    combining marks go; each run of them leaves one `MARK`. Ordinary scripts and emoji stay. New lines become a space,
    or stay with `multiline`. At most `limit` characters, the last one an ellipsis if something was cut.
    """
    if len(text) <= limit and _PLAIN.match(text):
        return text
    overlong = len(text) > limit * _OVERSIZE_FACTOR
    raw = text[: limit * _OVERSIZE_FACTOR]
    raw = _NEWLINE.sub("\n" if multiline else " ", raw)
    raw = _ESCAPE_SEQUENCE.sub("\x00", raw).replace("\t", "    " if multiline else " ")
    cleaned = unicodedata.normalize("NFC", _filter(raw, multiline=multiline))
    if overlong or len(cleaned) > limit:
        return cleaned[: max(limit - 1, 0)] + "…"
    return cleaned


def _filter(raw: str, *, multiline: bool) -> str:
    kept: list[str] = []
    marks = 0
    for index, char in enumerate(raw):
        if " " <= char <= "~" or (multiline and char == "\n"):
            marks = 0
            kept.append(char)
        elif char in _JOINERS and _joins(kept, raw[index + 1 : index + 2]):
            continue
        elif unicodedata.combining(char) or unicodedata.category(char) in {"Mn", "Me"}:
            marks = _add_mark(kept, char, marks)
        else:
            marks = 0
            shown = _shown(char)
            if shown != MARK or not (kept and kept[-1] == MARK):
                kept.append(shown)
    return "".join(kept)


def _add_mark(kept: list[str], char: str, marks: int) -> int:
    """Keep a combining mark only on a base character of the same text: alone it would change the text before it."""
    if _INVISIBLE.match(char) or not kept or kept[-1] in {" ", "\n", "\u3000"}:
        if not (kept and kept[-1] == MARK):
            kept.append(MARK)
        return 0
    if kept[-1] != MARK and marks < COMBINING_LIMIT:
        kept.append(char)
    return marks + 1


def _joins(kept: list[str], following: str) -> bool:
    """Whether a joiner or variation selector stands where ordinary writing puts one."""
    if not kept:
        return False
    inside_writing = kept[-1] >= _FIRST_NON_LATIN and kept[-1] != MARK
    return inside_writing or (kept[-1] in "0123456789#*" and following == _KEYCAP)


def _shown(char: str) -> str:
    if _INVISIBLE.match(char):
        return MARK
    match unicodedata.category(char):
        case "Cc" | "Cf" | "Co" | "Cs":
            return MARK
        case "Cn":
            return char if _is_newer_emoji_or_ideograph(char) else MARK
        case "Zs":
            return char if char == "\u3000" else " "
        case _:
            return char


def _is_newer_emoji_or_ideograph(char: str) -> bool:
    """Characters assigned after this Python's Unicode tables, in blocks where only ordinary ones are added."""
    return any(first <= char <= last for first, last in _GROWING_BLOCKS)


def clean_text(text: str, style: str = "", *, limit: int = LIMIT_CHARS) -> "Text":
    """Return cleaned text as a Rich renderable in one style, never parsed as markup."""
    from rich.text import Text

    return Text(clean(text, limit=limit), style=style, no_wrap=True, end="")


def clean_content(text: str, *, limit: int = LIMIT_CHARS, multiline: bool = False) -> "Content":
    """Return cleaned text as Textual content, never parsed as markup."""
    from textual.content import Content

    return Content(clean(text, limit=limit, multiline=multiline))
