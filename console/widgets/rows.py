"""Owns the list that stays fast with ten thousand rows: only visible rows are drawn, only changed ones repainted.

The selected row is kept by id while rows come and go above it. Must never measure or copy all rows to paint a few.
"""

from collections.abc import Callable, Sequence
from time import monotonic
from typing import ClassVar, Final

from textual import events
from textual.geometry import Region, Size
from textual.message import Message
from textual.strip import Strip

from console.widgets.lines import EMPTY, Line
from console.widgets.panel import Still, looks_of, strip_of

Draw = Callable[[str, int], Line]
"""Draws the row of an id in a number of cells."""

_WHEEL_ROWS = 3
UNREAD_S: Final = 0.5
"""A row that came under the cursor by itself is not acted on at once for so long: nobody has read it yet."""


class Rows(Still, can_focus=True):
    """A list of rows with one selected."""

    DEFAULT_CSS: ClassVar[str] = "Rows { height: 1fr; width: 1fr; }"

    class Moved(Message):
        """Another row is selected; only the last of a burst matters."""

        def __init__(self, rows: "Rows") -> None:
            super().__init__()
            self.rows = rows

        @property
        def control(self) -> "Rows":
            """The list, so that a handler can name it."""
            return self.rows

        def can_replace(self, message: Message) -> bool:
            """A later move makes an earlier one meaningless."""
            return isinstance(message, Rows.Moved) and message.rows is self.rows

    class Opened(Message):
        """The selected row was clicked again."""

        def __init__(self, rows: "Rows") -> None:
            super().__init__()
            self.rows = rows

        @property
        def control(self) -> "Rows":
            """The list, so that a handler can name it."""
            return self.rows

    def __init__(self, *, id: str | None = None, sticks: bool = False) -> None:  # noqa: A002  Textual's name
        """`sticks`: keys act on the selected row, so that it is kept even while nobody has moved."""
        super().__init__(id=id)
        self._sticks = sticks
        self._loaded = False
        self.slipped_s = float("-inf")
        """When another row was last selected without anybody having moved, by the monotonic clock."""
        self._ids: Sequence[str] = ()
        self._index: dict[str, int] = {}
        self._draw: Draw = lambda _ident, _width: EMPTY
        self._empty: Sequence[Line] = ()
        self._top = 0
        self._cursor = 0
        self._following = True
        """Nobody has moved yet: the selection stays on the first row, whatever arrives above."""
        self._shown: dict[int, tuple[Line, bool]] = {}

    @property
    def selected(self) -> str | None:
        """The id of the selected row."""
        return self._ids[self._cursor] if self._cursor < len(self._ids) else None

    @property
    def position(self) -> tuple[int, int]:
        """The selected row's number from 1 (0 in an empty list) and the number of rows."""
        return (self._cursor + 1 if self._ids else 0), len(self._ids)

    @property
    def at_end(self) -> bool:
        """Whether the last rows are in sight: time to load more."""
        return self._top + self.size.height >= len(self._ids)

    def is_unread(self, pressed_s: float) -> bool:
        """Whether the selected row came under the cursor by itself, too short before a key for it to be meant."""
        return pressed_s < self.slipped_s + UNREAD_S

    def load(self, ids: Sequence[str], draw: Draw, empty: Sequence[Line] = ()) -> None:
        """Show these rows; the selected row keeps its id and its place on the screen."""
        before = self.selected
        offset = self._cursor - self._top
        self._ids, self._draw, self._empty = ids, draw, empty
        self._index = {ident: index for index, ident in enumerate(ids)}
        if self._following or before is None:
            self._cursor, self._top = self._kept(before), 0
        else:
            self._cursor = self._index.get(before, min(self._cursor, max(len(ids) - 1, 0)))
            self._top = self._cursor - offset
        self._settle()
        self.repaint()
        if self.selected != before:
            if self._loaded:
                self.slipped_s = monotonic()
            self.post_message(self.Moved(self))
        self._loaded = True

    def _kept(self, before: str | None) -> int:
        """The row that is selected while nobody has moved: the first; one that sticks while it is on the first page."""
        index = self._index.get(before or "", 0)
        return index if self._sticks and index < self.size.height else 0

    def repaint(self) -> None:
        """Repaint the rows that look different now, and those of which it is not known: Textual may keep an old one."""
        if not self._shown:
            self.refresh()
            return
        width, height = self.size
        for y in range(height):
            if self._shown.get(y) != self._row(y):
                self.refresh(Region(0, y, width, 1))

    def select(self, ident: str) -> bool:
        """Select a row by id; False if there is none."""
        index = self._index.get(ident)
        if index is None:
            return False
        self._move(index)
        return True

    def follow_top(self) -> None:
        """Go to the first row and stay there, whatever arrives above."""
        self._move(0)
        self._following = True

    def render_line(self, y: int) -> Strip:
        """Paint one row of the screen."""
        content, chosen = self._row(y)
        self._shown[y] = (content, chosen)
        return strip_of(content, self.size.width, looks_of(self), chosen=chosen)

    def get_content_width(self, container: Size, viewport: Size) -> int:  # noqa: ARG002  Textual's signature
        """As wide as there is room."""
        return container.width

    def _row(self, y: int) -> tuple[Line, bool]:
        index = self._top + y
        if not self._ids:
            return (self._empty[y] if y < len(self._empty) else EMPTY), False
        if index >= len(self._ids):
            return EMPTY, False
        return self._draw(self._ids[index], self.size.width), index == self._cursor and self.has_focus

    def _move(self, index: int) -> None:
        index = max(0, min(index, len(self._ids) - 1))
        self._following = False
        if index == self._cursor:
            return
        old_cursor, old_top = self._cursor, self._top
        self._cursor = index
        self._scroll()
        if self._top != old_top:
            self.refresh()
        else:
            for row in (old_cursor, index):
                self.refresh(Region(0, row - self._top, self.size.width, 1))
        self.post_message(self.Moved(self))

    def _scroll(self) -> None:
        """Bring the selected row into sight, half a page at a time: one row at a time repaints all of them."""
        height = max(self.size.height, 1)
        if self._cursor < self._top:
            self._top = self._cursor - height // 2
        elif self._cursor >= self._top + height:
            self._top = self._cursor - height + 1 + height // 2
        self._settle()

    def _settle(self) -> None:
        height = max(self.size.height, 1)
        last_top = max(len(self._ids) - height, 0)
        self._top = max(0, min(self._top, last_top))
        self._cursor = max(0, min(self._cursor, len(self._ids) - 1))
        if not self._top <= self._cursor < self._top + height:
            self._top = max(
                0, min(self._cursor - height + 1 if self._cursor >= self._top + height else self._cursor, last_top)
            )

    def do_list_down(self, _: str) -> None:
        """Next row."""
        self._move(self._cursor + 1)

    def do_list_up(self, _: str) -> None:
        """Previous row."""
        self._move(self._cursor - 1)

    def do_list_top(self, _: str) -> None:
        """First row, and stay there."""
        self.follow_top()

    def do_list_bottom(self, _: str) -> None:
        """Last row."""
        self._move(len(self._ids) - 1)

    def do_list_page_down(self, _: str) -> None:
        """One page on."""
        self._move(self._cursor + max(self.size.height - 1, 1))

    def do_list_page_up(self, _: str) -> None:
        """One page back."""
        self._move(self._cursor - max(self.size.height - 1, 1))

    def on_resize(self) -> None:
        """Other room: forget what was painted where."""
        self._shown.clear()
        self._settle()

    def on_focus(self) -> None:
        """The selection shows only where keys go."""
        self.refresh(Region(0, self._cursor - self._top, self.size.width, 1))

    def on_blur(self) -> None:
        """The selection shows only where keys go."""
        self.refresh(Region(0, self._cursor - self._top, self.size.width, 1))

    def on_click(self, event: events.Click) -> None:
        """Select the row; a second click opens it."""
        event.stop()
        index = self._top + event.y
        if index >= len(self._ids):
            return
        if index == self._cursor and event.chain > 1:
            self.post_message(self.Opened(self))
        self._move(index)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Three rows on."""
        event.stop()
        self._move(self._cursor + _WHEEL_ROWS)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Three rows back."""
        event.stop()
        self._move(self._cursor - _WHEEL_ROWS)
