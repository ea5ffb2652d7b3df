"""The dialog that stands before text is thrown away: it shows the text, and Cancel keeps it."""

from collections.abc import Callable
from typing import Final

from console.screens.form import FormScreen
from console.widgets.lines import EMPTY, Line, line, outside, wrap
from console.widgets.view import View

_ROWS: Final = 6
"""Of the text that are shown: its beginning tells it from others."""
_CHARS: Final = 600


class DropDialog(FormScreen):
    """What somebody has typed is thrown away only if they say so here."""

    BUTTON = "Drop it"

    def __init__(self, text: str, drop: Callable[[], None]) -> None:
        super().__init__("Drop what is typed")
        self._text = text
        self._drop = drop

    def sentence(self, view: View) -> Line:  # noqa: ARG002  it says nothing that depends on the room
        """How much it is."""
        words = len(self._text.split())
        count = f"{words:,} word{'' if words == 1 else 's'}"
        return self.headline_line("near", f"{count} that nobody has saved. Dropped, nobody gets them back.")

    def about(self, view: View) -> list[Line]:
        """How it begins."""
        typed = [row for part in self._text[:_CHARS].split("\n") for row in wrap(outside(part), view.width - 2)]
        rest = view.glyphs.ellipsis if len(typed) > _ROWS or len(self._text) > _CHARS else ""
        shown = [line(("  ", ""), row) for row in typed[:_ROWS]]
        return [*shown, line(("  " + rest, "dim")) if rest else EMPTY]

    def missing(self) -> str:
        """Nothing."""
        return ""

    def send(self) -> None:
        """Drop it."""
        self._drop()
        self.done("What you had typed is dropped.")
