"""Takes the pictures of the documentation: runs a program in a pty, presses keys, draws the screen as PNG.

`python -m scripts.screenshot FILE.png [--size 120x40] [--step STEP]… -- COMMAND…`; a STEP is `wait:TEXT`, `key:KEYS` or
`sleep:SECONDS`. Needs the font DejaVu Sans Mono (Debian: fonts-dejavu-core) or one named with --font.
"""

import argparse
import sys
import time
from pathlib import Path
from typing import Final

from PIL import Image, ImageDraw, ImageFont
from pyte.screens import Char

from tests.bench.pty_session import Session

FONT: Final = "DejaVuSansMono.ttf"
FONT_PX: Final = 16
LINE_PX: Final = 20
BORDER_PX: Final = 12
FOREGROUND: Final = "d0d4dc"
BACKGROUND: Final = "11151c"
PALETTE: Final = {
    "black": "1b1f27", "red": "e06c75", "green": "98c379", "brown": "e5c07b", "blue": "61afef", "magenta": "c678dd",
    "cyan": "56b6c2", "white": "d0d4dc", "brightblack": "5c6370", "brightred": "ff7b86", "brightgreen": "b5e890",
    "brightbrown": "ffd787", "brightblue": "82c4ff", "brightmagenta": "df9bf0", "brightcyan": "7fdbe6",
    "brightwhite": "ffffff",
}  # fmt: skip
KEYS: Final = {"enter": "\r", "tab": "\t", "esc": "\x1b", "f3": "\x1bOR", "up": "\x1b[A", "down": "\x1b[B"}


def main(arguments: list[str]) -> int:
    """Take one picture; exit code 1 if the program never showed what was waited for."""
    options = _options(arguments)
    columns, _, rows = options.size.partition("x")
    with Session(options.command, columns=int(columns), rows=int(rows)) as session:
        try:
            for step in options.step:
                _take(session, step)
        except TimeoutError as error:
            sys.stderr.write(f"{error}\n")
            return 1
        session.settle()
        draw(session, options.font).save(options.file, optimize=True)
    return 0


def draw(session: Session, font_name: str = FONT) -> Image.Image:
    """Return the screen as a picture."""
    font = ImageFont.truetype(font_name, FONT_PX)
    cell_px = round(font.getlength("M"))
    screen = session.screen
    size = (screen.columns * cell_px + 2 * BORDER_PX, screen.lines * LINE_PX + 2 * BORDER_PX)
    picture = Image.new("RGB", size, _colour(screen.buffer[0][0].bg, BACKGROUND))
    pen = ImageDraw.Draw(picture)
    for y in range(screen.lines):
        for x in range(screen.columns):
            corner = (BORDER_PX + x * cell_px, BORDER_PX + y * LINE_PX)
            _draw_cell(pen, font, corner, cell_px, screen.buffer[y][x])
    return picture


def _draw_cell(
    pen: ImageDraw.ImageDraw, font: ImageFont.FreeTypeFont, corner: tuple[int, int], cell_px: int, cell: Char
) -> None:
    ink, paper = _colour(cell.fg, FOREGROUND), _colour(cell.bg, BACKGROUND)
    if cell.reverse:
        ink, paper = paper, ink
    x, y = corner
    pen.rectangle((x, y, x + cell_px - 1, y + LINE_PX - 1), fill=paper)
    if cell.data.strip():
        pen.text(
            (x, y + LINE_PX - 5), cell.data, font=font, fill=ink, anchor="ls", stroke_width=0.3 if cell.bold else 0
        )
    if cell.underscore:
        pen.line((x, y + LINE_PX - 2, x + cell_px - 1, y + LINE_PX - 2), fill=ink)


def _colour(name: str, default: str) -> str:
    if name == "default":
        return f"#{default}"
    return f"#{PALETTE.get(name.replace('bright_', 'bright'), name)}"


def _take(session: Session, step: str) -> None:
    kind, _, value = step.partition(":")
    if kind == "wait":
        session.wait_for(lambda text: value in text)
    elif kind == "key":
        session.type(KEYS.get(value, value))
        session.settle()
    elif kind == "sleep":
        end = time.monotonic() + float(value)
        while (left := end - time.monotonic()) > 0:
            session.pump(left)
    else:
        raise SystemExit(f"not a step: {step}")


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="screenshot", description="Draw a terminal program's screen as PNG.")
    parser.add_argument("file", type=Path)
    parser.add_argument("--size", default="120x40", help="columns x rows")
    parser.add_argument("--step", action="append", default=[], help="wait:TEXT, key:KEYS or sleep:SECONDS")
    parser.add_argument("--font", default=FONT)
    parser.add_argument("command", nargs="+")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
