"""Owns the lines that screens are built from: pieces of cleaned text, each with the name of a style.

Pure and without Textual: a screen is a list of lines, which tests compare as text. All text that did not come from this
program enters through `outside`.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from rich.cells import cell_len, set_cell_size

from console.term.sanitize import clean
from console.widgets.glyphs import Glyphs

Span = tuple[str, str]
"""Text and the name of its style (`console.widgets.looks`); the empty name is plain text."""

Line = tuple[Span, ...]

EMPTY: Final[Line] = ()
_INDENT: Final = 2
_PARAGRAPH_ROWS: Final = 3
_PARAGRAPH_CHARS: Final = 600
"""Of what somebody wrote, among others in a list; all of it is read on the command line."""


def line(*spans: Span | str) -> Line:
    """Build a line; a bare string is plain text."""
    return tuple((span, "") if isinstance(span, str) else span for span in spans if span not in {"", ("", "")})


def outside(text: str, limit: int = 500) -> str:
    """Clean text from outside the program so that it shows as itself and nothing more."""
    return clean(text, limit=limit)


def text_of(content: Line) -> str:
    """The characters of a line without styles."""
    return "".join(text for text, _ in content)


def width_of(content: Line) -> int:
    """Cells that a line takes."""
    return sum(cell_len(text) for text, _ in content)


def cut(text: str, width: int, glyphs: Glyphs) -> str:
    """Shorten text to a number of cells, with an ellipsis if something was cut."""
    if cell_len(text) <= width:
        return text
    if width <= 0:
        return ""
    return set_cell_size(text, width - 1) + glyphs.ellipsis


def left(text: str, width: int, glyphs: Glyphs) -> str:
    """Exactly `width` cells, text at the left."""
    shown = cut(text, width, glyphs)
    return shown + " " * (width - cell_len(shown))


def column(text: str, width: int, glyphs: Glyphs) -> str:
    """Exactly `width` cells, text at the left and a blank at the end: two columns never run into each other."""
    return left(cut(text, width - 1, glyphs), width, glyphs) if width > 0 else ""


def right(text: str, width: int, glyphs: Glyphs) -> str:
    """Exactly `width` cells, text at the right: for numbers."""
    shown = cut(text, width, glyphs)
    return " " * (width - cell_len(shown)) + shown


def label_text(name: str) -> str:
    """The name of a fact as a person reads it; records write `days_over_the_limit`."""
    return outside(name, 40).replace("_", " ")


def middle_cut(text: str, width: int, glyphs: Glyphs) -> str:
    """Shorten an identifier in its middle: both ends of an address tell it apart."""
    if cell_len(text) <= width or width < 5:  # noqa: PLR2004  two ends and an ellipsis
        return cut(text, width, glyphs)
    room = (width - 1) // 2
    tail = ""
    for char in reversed(text):
        if cell_len(char + tail) > room:
            break
        tail = char + tail
    return set_cell_size(text, width - 1 - room) + glyphs.ellipsis + tail


def crop(content: Line, width: int, glyphs: Glyphs) -> Line:
    """A line of at most `width` cells; what is cut off ends in an ellipsis."""
    total = 0
    for index, (text, style) in enumerate(content):
        cells = cell_len(text)
        if total + cells > width:
            if not any(part.strip() for part, _ in content[index + 1 :]) and cell_len(text.rstrip()) + total <= width:
                return (*content[:index], (set_cell_size(text, width - total), style))
            return (*content[:index], (cut(text, width - total, glyphs), style))
        total += cells
    return content


def pad(content: Line, width: int, glyphs: Glyphs) -> Line:
    """A line of exactly `width` cells."""
    shown = crop(content, width, glyphs)
    missing = width - width_of(shown)
    return (*shown, (" " * missing, "")) if missing > 0 else shown


def spread(first: Line, last: Line, width: int, glyphs: Glyphs) -> Line:
    """One line with a part at each end; the first gives way if both do not fit."""
    room = width - width_of(last)
    if room <= 0:
        return crop(last, width, glyphs)
    return (*pad(first, room, glyphs), *last)


def beside(first: Sequence[Line], second: Sequence[Line], first_width: int, gap: int, glyphs: Glyphs) -> list[Line]:
    """Two columns of lines side by side."""
    rows = max(len(first), len(second))
    return [
        (
            *pad(first[row] if row < len(first) else EMPTY, first_width, glyphs),
            (" " * gap, ""),
            *(second[row] if row < len(second) else EMPTY),
        )
        for row in range(rows)
    ]


def dimmed(content: Iterable[Line], style: str = "dim") -> list[Line]:
    """The same lines in one subdued style: what they say is no longer known to hold."""
    return [tuple((text, style) for text, _ in row) for row in content]


def titled_rule(title: Line, width: int, glyphs: Glyphs, after: Line = EMPTY) -> Line:
    """A heading drawn as a rule, with an optional part at its right end."""
    room = width - width_of(title) - width_of(after) - (1 if title else 0) - (1 if after else 0)
    if room < 1:
        return spread(title, after, width, glyphs)
    gap: Line = ((" ", ""),) if title else EMPTY
    tail: Line = ((" ", ""), *after) if after else EMPTY
    return (*title, *gap, (glyphs.rule * room, "rule"), *tail)


def wrap(text: str, width: int) -> list[str]:
    """Break text at spaces into rows of at most `width` cells; a longer word is broken."""
    rows: list[str] = []
    for paragraph in text.split("\n"):
        row = ""
        for word in paragraph.split(" "):
            rest = word
            if row and cell_len(row) + 1 + cell_len(rest) <= width:
                row = f"{row} {rest}"
                continue
            if row:
                rows.append(row)
            while cell_len(rest) > width > 1:
                head = set_cell_size(rest, width).rstrip()
                taken = max(len(head), 1)
                rows.append(rest[:taken])
                rest = rest[taken:]
            row = rest
        rows.append(row)
    return rows


def folded(content: Line, width: int, glyphs: Glyphs) -> list[Line]:
    """A line in at most two rows: what its last part has no room for goes on below it, indented as it began."""
    if width_of(content) <= width or not content:
        return [content]
    *before, (text, style) = content
    indent = width_of(tuple(before))
    first, *rest = wrap(text, max(width - indent, 1))
    if not rest:
        return [content]
    below = cut(" ".join(rest), max(width - indent, 1), glyphs)
    return [(*before, (first, style)), line(" " * indent, (below, style))]


def paragraph(text: str, width: int, glyphs: Glyphs) -> list[Line]:
    """What somebody wrote, indented, in at most three rows; the ellipsis says that the command line has more."""
    room = max(width - _INDENT, 10)
    rows = wrap(outside(text, _PARAGRAPH_CHARS), room)
    if len(rows) > _PARAGRAPH_ROWS:
        rows = [*rows[: _PARAGRAPH_ROWS - 1], cut(rows[_PARAGRAPH_ROWS - 1] + glyphs.ellipsis, room, glyphs)]
    return [line(" " * _INDENT, row) for row in rows]
