"""A terminal model that keeps hyperlinks, which pyte drops. Understands exactly what a painter may write."""

import re
from typing import Final

from rich.cells import cell_len

_TOKEN: Final = re.compile(
    r"\x1b\[(?P<row>\d+);(?P<column>\d+)H"
    r"|\x1b\[(?P<forward>\d+)C"
    r"|\x1b\[(?P<sgr>[\d;]*)m"
    r"|\x1b\]8;(?P<link>[^\x1b]*)\x1b\\"
    r"|(?P<newline>\n)"
    r"|(?P<text>[^\x1b\n])",
    re.DOTALL,
)


class LinkScreen:
    """A grid of (character, style, link)."""

    def __init__(self, width: int, height: int) -> None:
        self.cells: list[list[tuple[str, str, str]]] = [[(" ", "", "")] * width for _ in range(height)]
        self._x = self._y = 0
        self._style = self._link = ""

    def feed(self, data: str) -> None:
        """Apply output.

        Raises:
            ValueError: something no painter should write.
        """
        position = 0
        while position < len(data):
            token = _TOKEN.match(data, position)
            if token is None:
                raise ValueError(f"not understood: {data[position : position + 20]!r}")
            self._apply(token)
            position = token.end()

    @property
    def at_rest(self) -> bool:
        """Whether no style and no link is left on."""
        return not self._style and not self._link

    def _apply(self, token: re.Match[str]) -> None:
        groups = token.groupdict()
        if groups["row"]:
            self._y, self._x = int(groups["row"]) - 1, int(groups["column"]) - 1
        elif groups["forward"]:
            self._x += int(groups["forward"])
        elif groups["sgr"] is not None:
            self._style = re.sub(r"\A0(?:;|\Z)", "", groups["sgr"])
        elif groups["link"] is not None:
            self._link = groups["link"].strip(";")
        elif groups["newline"]:
            self._y += 1
        else:
            self._put(groups["text"])

    def _put(self, char: str) -> None:
        line = self.cells[self._y]
        width = cell_len(char)
        if width == 0 and self._x > 0:
            text, style, link = line[self._x - 1]
            line[self._x - 1] = (text + char, style, link)
            return
        for offset in range(width):
            line[self._x + offset] = (char if offset == 0 else "", self._style, self._link)
        self._x += width
