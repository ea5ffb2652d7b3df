"""Owns the button: one line of text that takes the focus and is pressed with Enter, Space or a click."""

from typing import ClassVar

from textual import events
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from console.widgets.lines import Line, line
from console.widgets.panel import looks_of, strip_of


class Press(Widget, can_focus=True):
    """A button. One that is off is dim and passed over by Tab."""

    DEFAULT_CSS: ClassVar[str] = "Press { height: 1; width: auto; }"

    class Pressed(Message):
        """The button was pressed while it was on."""

        def __init__(self, press: "Press") -> None:
            super().__init__()
            self.press = press

        @property
        def control(self) -> "Press":
            """The button, so that a handler can name it."""
            return self.press

    def __init__(self, label: str, *, id: str, style: str = "bold", on: bool = True) -> None:  # noqa: A002  Textual's name
        super().__init__(id=id)
        self._label = label
        self._style = style
        self._on = on
        self.can_focus = on

    @property
    def is_on(self) -> bool:
        """Whether pressing does something."""
        return self._on

    def set(self, label: str, *, on: bool) -> None:
        """Change what the button says and whether it does something."""
        if (label, on) != (self._label, self._on):
            wider = len(label) != len(self._label)
            self._label, self._on = label, on
            self.can_focus = on
            self.refresh(layout=wider)

    def press(self) -> None:
        """Do what the button is for."""
        if self._on:
            self.post_message(self.Pressed(self))

    def get_content_width(self, *_: object) -> int:
        """As wide as its text and the marks of the focus."""
        return len(self._label) + 4

    def render_line(self, y: int) -> Strip:
        """Brackets, reverse when focused; dim while off."""
        content: Line = line((f"[ {self._label} ]", self._style if self._on else "dim"))
        return strip_of(content if y == 0 else (), self.size.width, looks_of(self), chosen=self.has_focus)

    def on_key(self, event: events.Key) -> None:
        """Enter and Space press."""
        if event.key in {"enter", "space"}:
            event.stop()
            self.press()

    def on_click(self, event: events.Click) -> None:
        """A click presses."""
        event.stop()
        self.press()

    def on_focus(self) -> None:
        """Show the focus."""
        self.refresh()

    def on_blur(self) -> None:
        """Show that it is gone."""
        self.refresh()
