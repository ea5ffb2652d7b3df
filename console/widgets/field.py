"""Owns the text field: Textual's input without blinking, frame or animation; and what all text that is typed shares."""

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar, Final

from textual.binding import NoBinding
from textual.widget import Widget
from textual.widgets._input import Input

from console.term.sanitize import MARK

if TYPE_CHECKING:
    from rich.text import Text

_SETTLE_LIMIT_S: Final = 0.5
"""A screen that is busy for longer must not hold up the keyboard."""


class Typing(Widget):
    """A widget that holds text which is being typed."""

    async def settled(self) -> None:
        """Wait until every key typed so far is in the value and the screen has heard of it.

        A change climbs from widget to widget, each with a queue of its own: without this, Enter right after a word
        would overtake its last letters. The application's own queue is left out: it is the one that waits here.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(_SETTLE_LIMIT_S):
                for node in self.ancestors_with_self:
                    caught_up = asyncio.Event()
                    if node is not self.app and node.call_later(caught_up.set):
                        await caught_up.wait()

    async def edit_by_key(self, key: str) -> bool:
        """Do what a key means to this text, at once; False if it means nothing here.

        Left to Textual, Backspace is done when it has climbed to the application: after a Tab typed right behind it, on
        the field that has the focus then.
        """
        try:
            meant = self._bindings.get_bindings_for_key(key)
        except NoBinding:
            return False
        return any([await self.app.run_action(binding.action, self) for binding in meant])


class Field(Input, Typing):
    """One line of text. The cursor does not blink: a blink repaints the field twice a second."""

    DEFAULT_CSS: ClassVar[str] = """
    Field {
        height: 1; border: none; padding: 0; width: 1fr; background: $panel; color: $foreground;
        &:focus { border: none; background-tint: $foreground 0%; }
        &.-disabled, &:disabled { opacity: 100%; color: $foreground 60%; }
        &:ansi { background: ansi_default; color: ansi_default; border: none; text-style: underline; }
        &:ansi:focus { border: none; }
        &:ansi > .input--cursor { background: ansi_default; color: ansi_default; text-style: reverse; }
    }
    """

    def __init__(self, **options: Any) -> None:
        options.setdefault("compact", True)
        options.setdefault("select_on_focus", False)
        super().__init__(**options)
        self.cursor_blink = False

    @property
    def _value(self) -> "Text":
        """The text as it is painted: what is filled in may come from outside, and must not reach the terminal raw.

        One mark for each character that does not show as itself, so that the cursor stays where it is; the value that
        is sent is the one that came.
        """
        shown = super()._value
        if not shown.plain.isprintable():
            shown.plain = "".join(char if char.isprintable() else MARK for char in shown.plain)
        return shown
