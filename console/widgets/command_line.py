"""Owns the line at the bottom where commands and filters are typed, with completion."""

from collections.abc import Callable, Iterable
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.message import Message
from textual.widget import Widget

from console.widgets.field import Field
from console.widgets.lines import Line, line, outside
from console.widgets.panel import Box, Panel, looks_of

Complete = Callable[[str], list[str]]
"""What a text could become."""

COMMAND, FILTER = ":", "/"


class CommandLine(Widget):
    """A prompt: `:` for a command, `/` for a filter. Tab completes, Enter takes it, Esc drops it."""

    DEFAULT_CSS: ClassVar[str] = """
    CommandLine { height: 2; display: none; }
    CommandLine.-filter { height: 1; }
    CommandLine.-filter > #candidates { display: none; }
    CommandLine > #prompt { height: 1; layout: horizontal; }
    CommandLine #sign { width: 2; }
    """

    class Entered(Message):
        """Enter was pressed."""

        def __init__(self, mode: str, text: str) -> None:
            super().__init__()
            self.mode = mode
            self.text = text

    class Edited(Message):
        """The text changed; only the last of a burst matters."""

        def __init__(self, mode: str, text: str) -> None:
            super().__init__()
            self.mode = mode
            self.text = text

        def can_replace(self, message: Message) -> bool:
            """A later text makes an earlier one meaningless."""
            return isinstance(message, CommandLine.Edited)

    class Dropped(Message):
        """Esc was pressed."""

        def __init__(self, mode: str) -> None:
            super().__init__()
            self.mode = mode

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002  Textual's name
        super().__init__(id=id)
        self._mode = COMMAND
        self._complete: Complete = lambda _text: []
        self._round: list[str] = []
        """What Tab goes through, and where it stands."""
        self._place = -1

    @property
    def mode(self) -> str:
        """Which prompt is open."""
        return self._mode

    @property
    def is_open(self) -> bool:
        """Whether the keys go to the prompt."""
        return bool(self.display)

    def compose(self) -> ComposeResult:
        """The candidates above, the prompt below."""
        yield Panel(id="candidates", grows=False)
        with Box(id="prompt"):
            yield Panel(id="sign", grows=False)
            yield Field(id="entry")

    def open(self, mode: str, text: str, complete: Complete) -> None:
        """Show the prompt and take the keys."""
        self._mode, self._complete = mode, complete
        self._round, self._place = [], -1
        self.set_class(mode == FILTER, "-filter")
        self.display = True  # at once, unlike a class: a hidden field cannot take the focus
        self.query_one("#sign", Panel).show([line((f" {mode}", "key"))])
        entry = self.query_one(Field)
        entry.value = text
        entry.cursor_position = len(text)
        self.screen.set_focus(entry)  # at once, unlike focus(): the next key belongs to the text
        self._offer(complete(text))

    def close(self) -> None:
        """Hide the prompt."""
        self.display = False

    def _offer(self, candidates: Iterable[str], chosen: str = "") -> None:
        width = self.app.size.width
        spans: Line = (("  ", ""),)
        used = 2
        for candidate in candidates:
            text = outside(candidate, 60)
            if used + len(text) + 2 > width:
                spans = (*spans, (looks_of(self).glyphs.ellipsis, "dim"))
                break
            spans = (*spans, (text, "bold" if candidate == chosen else "dim"), ("  ", ""))
            used += len(text) + 2
        self.query_one("#candidates", Panel).show([spans])

    @on(Field.Changed, "#entry")
    def _edited(self, event: Field.Changed) -> None:
        event.stop()
        if self._place < 0 or self._round[self._place] != event.value:
            self._round, self._place = [], -1
            self._offer(self._complete(event.value))
        self.post_message(self.Edited(self._mode, event.value))

    @on(Field.Submitted, "#entry")
    def _entered(self, event: Field.Submitted) -> None:
        event.stop()
        self.post_message(self.Entered(self._mode, event.value))

    def take_key(self, event: events.Key) -> bool:
        """Tab goes through the candidates, Esc drops the prompt; all other keys belong to the text."""
        if event.key == "escape" or (event.key == "backspace" and not self.query_one(Field).value):
            self.post_message(self.Dropped(self._mode))
        elif event.key in {"tab", "shift+tab", "down", "up"}:
            self._cycle(-1 if event.key in {"shift+tab", "up"} else 1)
        else:
            return False
        return True

    def _cycle(self, step: int) -> None:
        entry = self.query_one(Field)
        if not self._round:
            self._round = self._complete(entry.value)
            self._place = -1 if step > 0 else 0
        if not self._round:
            return
        self._place = (self._place + step) % len(self._round)
        entry.value = self._round[self._place]
        entry.cursor_position = len(entry.value)
        self._offer(self._round, self._round[self._place])
