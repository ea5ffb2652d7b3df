"""Owns what a command writes: one JSON object or text of at most 80 columns on stdout, everything else on stderr.

Text from outside is cleaned here before it reaches a terminal; JSON is plain ASCII.
"""

import json
import os
import re
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, TextIO

from console.term.sanitize import clean

Cell = str | tuple[str, str]
"""Text, or text and the name of its style."""

WIDTH_COLUMNS: Final = 80
"""Width of what is not written to a terminal."""
_MAX_WIDTH_COLUMNS: Final = 200
_WIDEST_CHARACTER: Final = 2
_COLOUR: Final = re.compile(r"\x1b\[[0-9;]*m")
_COLOURS: Final = {"ok": "32", "near": "33", "bad": "1;31", "frozen": "1;36", "dim": "2", "": ""}


def colours_wanted(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Whether a stream is a terminal that shows colours to somebody who wants them."""
    return stream.isatty() and not environ.get("NO_COLOR") and environ.get("TERM", "dumb") != "dumb"


def width_columns() -> int:
    """Columns that a line may take."""
    if not sys.stdout.isatty():
        return WIDTH_COLUMNS
    return min(max(shutil.get_terminal_size((WIDTH_COLUMNS, 24)).columns, 40), _MAX_WIDTH_COLUMNS)


def painted(text: str, style: str) -> str:
    """Text in the colour of its style, on a terminal that has colours."""
    code = _COLOURS.get(style, "")
    if not code or not colours_wanted(sys.stdout, os.environ):
        return text
    return f"\x1b[{code}m{text}\x1b[0m"


def write_json(schema: str, body: Mapping[str, Any]) -> None:
    """One JSON object on stdout; readable on a terminal, one line otherwise."""
    document = {"schema": f"watchfloor.{schema}/1", **body}
    text = json.dumps(document, ensure_ascii=True, indent=2 if sys.stdout.isatty() else None)
    sys.stdout.write(text.replace("\x7f", "\\u007f") + "\n")
    sys.stdout.flush()


def write_lines(lines: Iterable[str]) -> None:
    """Lines of text on stdout, cut to the width; their parts from outside have been cleaned by `outside`."""
    columns = width_columns()
    sys.stdout.writelines(f"{_cut(line.rstrip(), columns)}\n" for line in lines)
    sys.stdout.flush()


def write_whole_lines(lines: Iterable[str]) -> None:
    """Lines of text on stdout as they are: for what is searched or copied rather than looked at."""
    sys.stdout.writelines(f"{line.rstrip()}\n" for line in lines)
    sys.stdout.flush()


def _cut(line: str, columns: int) -> str:
    if len(line) * _WIDEST_CHARACTER <= columns:
        return line
    plain = _COLOUR.sub("", line)
    cut = fitted(plain, columns)
    return line if cut == plain else cut


def note(text: str) -> None:
    """A message for the person on stderr."""
    sys.stderr.write(f"{clean(text, limit=2_000)}\n")
    sys.stderr.flush()


def outside(text: str | None, limit: int = 200) -> str:
    """Text from outside the program, as it may be written to a terminal; absent text is a dash."""
    return clean(text, limit=limit) if text else "-"


def fitted(text: str, columns: int) -> str:
    """Text cut to so many columns, wide characters counted as two; a cut shows as an ellipsis."""
    from rich.cells import cell_len, set_cell_size

    if cell_len(text) <= columns:
        return text
    return set_cell_size(text, max(columns - 1, 0)) + ellipsis()


def padded(text: str, columns: int) -> str:
    """Text of exactly so many columns."""
    from rich.cells import set_cell_size

    return set_cell_size(fitted(text, columns), columns)


def wrapped(text: str, indent: int) -> list[str]:
    """Cleaned text folded to the width, every line indented."""
    import textwrap

    from rich.cells import cell_len

    columns = width_columns() - indent
    lines = textwrap.wrap(text, columns) or [""]
    if any(cell_len(line) > columns for line in lines):  # wide characters: fold at half
        lines = textwrap.wrap(text, columns // 2)
    return [" " * indent + line for line in lines]


def table(header: Sequence[str], rows: Sequence[Sequence[Cell]], *, right: Iterable[int] = ()) -> list[str]:
    """Columns as wide as their widest cell, within the width: the last ones give way first."""
    from rich.cells import cell_len

    to_the_right = set(right)
    texts = [tuple(_text(cell) for cell in cells) for cells in (header, *rows)]
    widths = [max(cell_len(line[column]) for line in texts) for column in range(len(header))]
    excess = sum(widths) + 2 * (len(widths) - 1) - width_columns()
    for column in reversed(range(len(widths))):
        give = min(max(excess, 0), max(widths[column] - max(len(header[column]), 6), 0))
        widths[column] -= give
        excess -= give
    lines = []
    for cells in (header, *rows):
        shown = []
        for column, (cell, width) in enumerate(zip(cells, widths, strict=True)):
            text = fitted(_text(cell), width)
            text = text.rjust(width) if column in to_the_right else padded(text, width)
            shown.append(text if isinstance(cell, str) else painted(text, cell[1]))
        lines.append("  ".join(shown).rstrip())
    return lines


def _text(cell: Cell) -> str:
    return cell if isinstance(cell, str) else cell[0]


def unicode_shown() -> bool:
    """Whether stdout can carry characters beyond ASCII."""
    return (sys.stdout.encoding or "ascii").lower().replace("-", "").startswith("utf")


def ellipsis() -> str:
    """What stands where text was cut."""
    return "…" if unicode_shown() else "~"


def instant(at: datetime | None) -> str:
    """A time with its zone, to the second."""
    return "-" if at is None else f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def age(at: datetime | None, now: datetime) -> str:
    """How long ago, to the second while that matters."""
    from console.state.freshness import exact_age

    return "never" if at is None else exact_age(max((now - at).total_seconds(), 0.0))


def counted(number: int, one: str, many: str | None = None) -> str:
    """`1 alert`, `2 alerts`, `10,000 alerts`."""
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"


def now_of(as_of: datetime | None) -> datetime:
    """The server's clock when it said it, else ours: ages must not depend on a wrong local clock."""
    return as_of or datetime.now(UTC)
