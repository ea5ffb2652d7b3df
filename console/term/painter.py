"""Owns what the terminal is believed to show, and turns Textual's repaints into the cells that differ from it.

Textual repaints regions; over a slow line that costs 200 times the bytes of what changed. Relies on internals of the
one Textual version named here: with any other, or after any error, painting is left to Textual. Must never change a
screen: tests compare the result with plain painting, cell by cell.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import textual
from rich.color import ColorSystem
from rich.console import Console
from rich.style import Style
from textual._compositor import ChopsUpdate, CompositorUpdate, LayoutUpdate
from textual.strip import Strip

TEXTUAL_VERSION: Final = "8.2.8"
"""The version whose compositor this module was written against and tested with."""

_GAP_CELLS: Final = 6
"""Fewer unchanged cells than this are rewritten: moving over them costs as much."""

_SINGLE_CELL_RANGES: Final = (
    (0x20, 0x7E),
    (0xA0, 0xAC),
    (0xAE, 0x2FF),
    (0x370, 0x377),
    (0x384, 0x38A),
    (0x38E, 0x3A1),
    (0x3A3, 0x482),
    (0x2010, 0x2027),
    (0x2030, 0x205E),
    (0x20A0, 0x20C0),
    (0x2190, 0x2319),
    (0x2500, 0x25FC),
    (0x2713, 0x2718),
    (0x2800, 0x28FF),
)
"""Characters that every terminal shows in exactly one cell. Lines with others are painted whole."""

_SINGLE_CELL: Final = frozenset(chr(code) for first, last in _SINGLE_CELL_RANGES for code in range(first, last + 1))
_CONTROLS: Final = frozenset(chr(code) for code in (*range(0x20), *range(0x7F, 0xA0)))

Piece = tuple[int, Strip]
"""A column and what is painted from there on."""


def is_supported() -> bool:
    """Tell whether the installed Textual is the one this module knows, without the cost of importlib.metadata."""
    return (Path(textual.__file__).parent.parent / f"textual-{TEXTUAL_VERSION}.dist-info").is_dir()


class PaintedUpdate(CompositorUpdate):
    """An update that is already a terminal sequence."""

    def __init__(self, sequence: str) -> None:
        self.sequence = sequence

    def render_segments(self, console: Console) -> str:  # noqa: ARG002  the signature is Textual's
        """Return the sequence."""
        return self.sequence


class _Line:
    """What one line shows: a text and a style for every cell, or, with characters of doubtful width, whole pieces."""

    __slots__ = ("pieces", "styles", "texts")

    def __init__(self, width: int) -> None:
        self.texts: list[str] = [""] * width
        self.styles: list[str] = [""] * width
        self.pieces: set[tuple[int, bool, str]] | None = None
        """Column, painted in one go with its neighbours or not, sequence; None where cells are compared."""

    def forget(self) -> None:
        """Mark every cell as unknown: no text is empty."""
        self.texts[:] = [""] * len(self.texts)


class Painter:
    """The picture of one terminal. Use from the application's thread only."""

    def __init__(self) -> None:
        self.enabled = is_supported()
        self._lines: list[_Line] | None = None
        self._color_system = ColorSystem.TRUECOLOR
        self._pen = ""
        """The style that is on while an update is being written; none between updates."""

    def forget(self) -> None:
        """Assume nothing about the terminal: the next update is painted whole. Safe in a signal handler."""
        self._lines = None

    def reduce(self, update: CompositorUpdate, console: Console) -> CompositorUpdate:
        """Return an update that writes only what differs; the caller must write it, or call `forget`."""
        if not self.enabled:
            return update
        try:
            return self._reduce(update, console)
        except Exception:  # noqa: BLE001  boundary: whatever Textual changed, the operator still gets a screen
            self.enabled = False
            self._lines = None
            return update

    def _reduce(self, update: CompositorUpdate, console: Console) -> CompositorUpdate:
        self._color_system = console._color_system or ColorSystem.TRUECOLOR  # noqa: SLF001  as Strip.render does
        if isinstance(update, LayoutUpdate):
            region = update.region
            lines = self._picture(region.right, region.bottom)
            rows = enumerate(update.strips, region.y)
            painted = [self._paint(lines[y], y, _place(region.x, row), console, joined=True) for y, row in rows]
        elif isinstance(update, ChopsUpdate):
            lines = self._picture(max(ends[-1] for ends in update.chop_ends), len(update.chops))
            painted = [self._paint(lines[y], y, row, console, joined=False) for y, row in _cut(update)]
        else:
            self._lines = None
            return update
        painted.append(self._pick_up(""))
        return PaintedUpdate("".join(painted))

    def _picture(self, width: int, height: int) -> list[_Line]:
        lines = self._lines
        if lines is None or len(lines) != height or len(lines[0].texts) != width:
            lines = self._lines = [_Line(width) for _ in range(height)]
        return lines

    def _paint(self, line: _Line, y: int, row: list[Piece], console: Console, *, joined: bool) -> str:
        """Return what brings one line up to date."""
        if not all(_SINGLE_CELL.issuperset(strip.text) for _, strip in row):
            return self._paint_whole(line, y, row, console, joined=joined)
        if line.pieces is not None:
            if not _covers(row, len(line.texts)):
                return self._paint_whole(line, y, row, console, joined=joined)
            line.pieces = None
            line.forget()
        return self._paint_cells(line, y, row)

    def _paint_whole(self, line: _Line, y: int, row: list[Piece], console: Console, *, joined: bool) -> str:
        """Paint as Textual does: terminals disagree about the width of some characters, so cells cannot be compared."""
        pieces = [(x, joined, strip.render(console)) for x, strip in row]
        if line.pieces is not None and line.pieces.issuperset(pieces):
            return ""
        line.pieces = set(pieces)
        if any(not _CONTROLS.isdisjoint(strip.text) for _, strip in row):
            self._lines = None  # the text moves the cursor: nothing is known any more
        return self._pick_up("") + "".join(
            text if joined and index else f"{_move(x, y)}{text}" for index, (x, _, text) in enumerate(pieces)
        )

    def _paint_cells(self, line: _Line, y: int, row: list[Piece]) -> str:
        """Write the runs of cells that differ, with as few moves and style changes as they need."""
        out: list[str] = []
        position = -1
        for x, text, style in self._changes(line, row):
            if x != position:
                out.append(f"\x1b[{x - position}C" if 0 <= position < x else _move(x, y))
            out.append(self._pick_up(style))
            out.append(text)
            position = x + len(text)
        return "".join(out)

    def _changes(self, line: _Line, row: list[Piece]) -> Iterator[tuple[int, str, str]]:
        """Bring the line's cells up to date and yield every run that differed: column, text, style."""
        texts, styles = line.texts, line.styles
        for column, strip in row:
            x = column
            for text, style, _ in strip:
                end = x + len(text)
                new_style = self._sgr(style)
                old_texts, old_styles = texts[x:end], styles[x:end]
                if old_styles == [new_style] * len(text):
                    changed = [at for at, (old, new) in enumerate(zip(old_texts, text, strict=True)) if old != new]
                else:
                    cells = zip(old_texts, old_styles, text, strict=True)
                    changed = [
                        at for at, (old, old_style, new) in enumerate(cells) if old != new or old_style != new_style
                    ]
                if changed:
                    texts[x:end] = text
                    styles[x:end] = [new_style] * len(text)
                    for start, stop in _runs(changed):
                        yield x + start, text[start:stop], new_style
                x = end

    def _pick_up(self, style: str) -> str:
        """Return what changes to another style; it stays until the end of the update."""
        pen, self._pen = self._pen, style
        if style == pen:
            return ""
        close = "\x1b]8;;\x1b\\" if pen.startswith("\x1b") else ""
        if style.startswith("\x1b"):
            return f"{close}\x1b[0m{style}" if pen else style
        if not style:
            return f"{close}\x1b[0m"
        return f"{close}\x1b[0;{style}m" if pen else f"\x1b[{style}m"

    def _sgr(self, style: Style | None) -> str:
        """Return the parameters of a style, or whole sequences (recognised by the escape) if it has a link."""
        if style is None:
            return ""
        ansi = style._ansi  # noqa: SLF001  as Strip.render_style does
        if ansi is None:
            ansi = Strip.render_ansi(style, self._color_system)
        if style._link:  # noqa: SLF001  as Strip.render_style does
            return f"\x1b]8;id={style._link_id};{style._link}\x1b\\\x1b[{ansi}m"  # noqa: SLF001
        return ansi


def _runs(changed: list[int]) -> Iterator[tuple[int, int]]:
    """Yield the ranges of changed cells, joining those with fewer than `_GAP_CELLS` unchanged cells between them."""
    start = last = changed[0]
    for index in changed:
        if index - last > _GAP_CELLS:
            yield start, last + 1
            start = index
        last = index
    yield start, last + 1


def _move(x: int, y: int) -> str:
    return f"\x1b[{y + 1};{x + 1}H"


def _covers(row: list[Piece], width: int) -> bool:
    """Tell whether the pieces fill a line from end to end."""
    x = 0
    for column, strip in row:
        if column > x:
            return False
        x = max(x, column + strip.cell_length)
    return x >= width


def _place(x: int, strips: Iterable[Strip]) -> list[Piece]:
    """Give each of a line's strips its column."""
    row: list[Piece] = []
    for strip in strips:
        row.append((x, strip))
        x += strip.cell_length
    return row


def _cut(update: ChopsUpdate) -> Iterator[tuple[int, list[Piece]]]:
    """Yield per span what `ChopsUpdate.render_segments` would write: the chops it touches, cut at its right end."""
    for y, x1, x2 in update.spans:
        row: list[Piece] = []
        for end, (x, strip) in zip(update.chop_ends[y], update.chops[y].items(), strict=False):
            if strip is None or x > x2 or end <= x1:
                continue
            row.append((x, strip if end <= x2 else strip.crop(0, x2 - x)))
        yield y, row
