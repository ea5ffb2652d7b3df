"""Owns the widget that shows a list of lines and repaints only those that changed."""

from collections.abc import Sequence
from functools import lru_cache
from typing import ClassVar, Protocol, cast

from rich.segment import Segment
from textual import events
from textual.geometry import Region, Size
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from console.widgets.lines import EMPTY, Line, crop, width_of
from console.widgets.looks import Looks


class HasLooks(Protocol):
    """The application, as widgets need it."""

    looks: Looks


def looks_of(widget: Widget) -> Looks:
    """The looks that the application draws with."""
    return cast("HasLooks", widget.app).looks


@lru_cache(2048)
def strip_of(content: Line, width: int, looks: Looks, fill: str = "", *, chosen: bool = False) -> Strip:
    """The painted form of a line, exactly `width` cells, its end filled in a style; cached, for unchanged lines."""
    style = looks.chosen if chosen else looks.style
    shown = crop(content, width, looks.glyphs)
    segments = [Segment(text, style(name)) for text, name in shown]
    missing = width - width_of(shown)
    if missing > 0:
        segments.append(Segment(" " * missing, style(fill)))
    return Strip(segments, width)


class Still(Widget):
    """A widget that hands out what it painted last while nothing in it has changed.

    For every repaint, however small, Textual asks every visible widget for all its lines.
    """

    _painted: tuple[Region, list[Strip]] | None = None

    def _set_dirty(self, *regions: Region) -> None:
        self._painted = None
        super()._set_dirty(*regions)

    def render_lines(self, crop: Region) -> list[Strip]:
        """Give the painted lines, painting them only after a change."""
        if self._painted is None or self._painted[0] != crop:
            self._painted = (crop, super().render_lines(crop))
        return self._painted[1]


class Box(Widget):
    """Room for other widgets; paints nothing itself."""

    DEFAULT_CSS: ClassVar[str] = "Box { width: 1fr; height: 1fr; layout: vertical; overflow: hidden hidden; }"
    BLANK = True


class Panel(Still):
    """Lines of text. `show` compares with what is shown and repaints only lines that differ."""

    DEFAULT_CSS: ClassVar[str] = "Panel { height: 1; width: 1fr; }"

    class Clicked(Message):
        """A line was clicked."""

        def __init__(self, panel: "Panel", row: int, column: int) -> None:
            super().__init__()
            self.panel = panel
            self.row = row
            self.column = column

        @property
        def control(self) -> "Panel":
            """The panel, so that a handler can name it."""
            return self.panel

    def __init__(self, *, id: str | None = None, fill: str = "", grows: bool = True) -> None:  # noqa: A002  Textual's name
        super().__init__(id=id)
        self._lines: tuple[Line, ...] = ()
        self._fill = fill
        self._grows = grows

    @property
    def lines(self) -> tuple[Line, ...]:
        """What is shown."""
        return self._lines

    def show(self, lines: Sequence[Line]) -> None:
        """Show these lines; the panel's height follows their number unless it was told not to grow."""
        new = tuple(lines)
        old = self._lines
        if new == old:
            return
        self._lines = new
        if self._grows and len(new) != len(old):
            self.styles.height = len(new)
            self.display = bool(new)
        width = self.size.width
        for row in range(max(len(new), len(old))):
            if (new[row] if row < len(new) else EMPTY) != (old[row] if row < len(old) else EMPTY):
                self.refresh(Region(0, row, width, 1))

    def render_line(self, y: int) -> Strip:
        """Paint one line."""
        content = self._lines[y] if y < len(self._lines) else EMPTY
        return strip_of(content, self.size.width, looks_of(self), self._fill)

    def get_content_width(self, container: Size, viewport: Size) -> int:  # noqa: ARG002  Textual's signature
        """As wide as there is room."""
        return container.width

    def on_click(self, event: events.Click) -> None:
        """Tell the screen which line was meant."""
        event.stop()
        self.post_message(self.Clicked(self, event.y, event.x))
