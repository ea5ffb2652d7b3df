"""A page to read: help, the facts behind an indicator, all of one record. Rows with a link can be followed."""

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, Final

from textual import on
from textual.app import ComposeResult

from console.actions import Context
from console.screens.base import FloorScreen
from console.widgets.lines import Line, line, text_of
from console.widgets.panel import Panel
from console.widgets.rows import Rows
from console.widgets.view import View
from contract.alerts import Link

_HERE: Final = Path(__file__).parent
"""Absolute, because subclasses live in other folders."""

Row = tuple[Line, Link | None]
"""A line, and where Enter leads."""

Content = Callable[[View], list[Row]]
"""The page for the room there is; asked again with every repaint."""


class ReadingScreen(FloorScreen):
    """A list of lines; Enter follows the link of the selected one."""

    CSS_PATH = [_HERE.parent / "base.tcss", _HERE / "screen.tcss"]
    CONTEXTS: ClassVar[tuple[Context, ...]] = (Context.READING,)
    CLOSED = True

    def __init__(self, title: str, content: Content, sentence: Line = ()) -> None:
        super().__init__()
        self.TITLE_TEXT = title  # type: ignore[misc]
        self._content = content
        self._sentence = sentence
        self._rows: list[Row] = []
        self._places: dict[str, int] = {}
        """Where each row stands, by its id."""

    @classmethod
    def of_help(cls, below: FloorScreen) -> "ReadingScreen":
        """The help of a screen."""
        from console.widgets.help import help_rows

        desk = below.desk
        reach = below.reach()
        title = below.TITLE_TEXT
        said = line(" ", ("Every key of this screen first, then the others. Refused actions say why.", ""))
        return cls("Help", lambda view: [(row, None) for row in help_rows(title, reach, desk.who, view)], said)

    def compose_body(self) -> ComposeResult:
        """The lines."""
        yield Rows(id="page")
        yield Panel(id="page-end", grows=False)

    def sentence(self, view: View) -> Line:
        """What this page is."""
        return self._sentence or line((f" {view.glyphs.idle} ", "dim"), ("Enter follows a link, Esc closes.", "dim"))

    def draw(self, view: View) -> None:
        """Bring the lines up to date."""
        inner = view.sized(view.width - 2)
        self._rows = self._content(inner)
        self._places = _places(self._rows)
        self.query_one("#page", Rows).load(list(self._places), self._line)
        self._draw_end()

    def _draw_end(self) -> None:
        self.query_one("#page-end", Panel).show([self.end_line()])

    def end_line(self) -> Line:
        """What stands under the page."""
        place, count = self.query_one("#page", Rows).position
        return line((f"line {place} of {count}", "dim"))

    def _line(self, ident: str, _: int) -> Line:
        index = self._places.get(ident)
        return self._rows[index][0] if index is not None else ()

    @property
    def chosen(self) -> Link | None:
        """Where the selected line leads."""
        selected = self.query_one("#page", Rows).selected
        index = self._places.get(selected) if selected is not None else None
        return self._rows[index][1] if index is not None else None

    @on(Rows.Moved, "#page")
    def _moved(self) -> None:
        self._draw_end()

    @on(Rows.Opened, "#page")
    async def _opened(self) -> None:
        await self.do_reading_follow("")

    async def do_reading_follow(self, _: str) -> None:
        """Go to what the selected line points at."""
        if (link := self.chosen) is not None:
            await self.follow(link)

    async def follow(self, link: Link) -> None:
        """Go to what a link points at."""
        await self.desk.show_link(link.kind, link.id)

    async def do_reading_close(self, _: str) -> None:
        """Close."""
        await self.desk.leave(self)

    def copy_text(self) -> str:
        """The whole page."""
        return "\n".join(text_of(row).rstrip() for row, _ in self._rows)


def _places(rows: list[Row]) -> dict[str, int]:
    """Each row's place by an id that stays its own while rows come and go above it: where it leads, and its count."""
    places: dict[str, int] = {}
    counts: dict[str, int] = {}
    for index, (_, link) in enumerate(rows):
        leads = f"{link.kind}:{link.id}" if link is not None else ""
        counts[leads] = counts.get(leads, 0) + 1
        places[f"{leads}#{counts[leads]}"] = index
    return places
