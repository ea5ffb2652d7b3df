"""Owns what screens with one long list and a detail pane share: room, title, selection, filter, loading on demand."""

from pathlib import Path
from typing import ClassVar, Final

from textual import on
from textual.app import ComposeResult

from console.screens.base import FloorScreen
from console.widgets.lines import Line
from console.widgets.panel import Box, Panel
from console.widgets.rows import Rows
from console.widgets.view import View

HERE: Final = Path(__file__).parent
"""Absolute, because subclasses live in other folders."""

WIDE_COLUMNS: Final = 110
"""From here on the detail stands beside the list, below this under it."""
SIDE_COLUMNS: Final = 46
LOW_ROWS: Final = 18
"""Below this the list has all the room; Enter shows the detail."""


class ListScreen(FloorScreen):
    """A list and the detail of the selected row."""

    CSS_PATH = [HERE / "base.tcss", HERE / "lists.tcss"]
    STICKS: ClassVar[bool] = False
    """Whether the selected row is kept when rows come above it, also while nobody has moved."""

    def __init__(self) -> None:
        super().__init__()
        self._shape: tuple[bool, int] | None = None
        """Wide or not, and the detail's height, as last laid out."""

    def compose_body(self) -> ComposeResult:
        """Title, list, detail."""
        yield Panel(id="list-title", grows=False)
        with Box(id="list-body"):
            yield Rows(id="list", sticks=self.STICKS)
            yield Panel(id="detail", grows=False)

    @property
    def rows(self) -> Rows:
        """The list."""
        return self.query_one("#list", Rows)

    @property
    def place(self) -> str:
        """The selected row's number of how many."""
        position, shown = self.rows.position
        return f"{position:,}/{shown:,}"

    def list_title(self, view: View) -> Line:
        """The heading of the list."""
        raise NotImplementedError

    def load_rows(self, view: View) -> None:
        """Bring the list up to date."""
        raise NotImplementedError

    def detail_lines(self, view: View) -> list[Line]:
        """The detail of the selected row, for the room there is."""
        raise NotImplementedError

    def load_more(self) -> None:
        """The end of the list is in sight."""

    def draw(self, view: View) -> None:
        """Draw list and detail for the room there is."""
        self.load_rows(view)
        self.query_one("#list-title", Panel).show([self.list_title(view.sized(view.width - 2))])
        self._draw_detail(view)

    def _draw_detail(self, view: View) -> None:
        wide = view.width >= WIDE_COLUMNS
        under = max(6, view.height // 3) if view.height >= LOW_ROWS else 0
        height = view.height if wide else under
        detail = self.query_one("#detail", Panel)
        if (wide, height) != self._shape:
            self._shape = (wide, height)
            self.query_one("#list-body", Box).set_class(wide, "-wide")
            detail.display = height > 0
            detail.styles.height = "1fr" if wide else height
            detail.styles.width = SIDE_COLUMNS if wide else "1fr"
        if height:
            width = SIDE_COLUMNS - 2 if wide else view.width - 2
            detail.show(self.detail_lines(view.sized(width, height))[: view.height])

    @on(Rows.Moved, "#list")
    def _list_moved(self) -> None:
        """Only the detail follows: repainting the title too would repaint everything between them."""
        self._draw_detail(self.view())
        if self.rows.at_end:
            self.load_more()

    @on(Rows.Opened, "#list")
    async def _list_opened(self) -> None:
        from console import actions

        await self.perform(actions.by_id("open"))

    def reveal(self, ident: str) -> None:
        """Select what a link points at."""
        self.filter_text = ""
        self.redraw()
        self.rows.select(ident)
