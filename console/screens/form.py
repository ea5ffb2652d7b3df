"""Owns what dialogs with a few lines of text share: what it is about, the fields, what is missing, how it was refused.

Cancel has the focus, Enter in a field never sends, and a line that drops leaves it said that nobody knows.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final, NamedTuple

from textual import on
from textual.app import ComposeResult

from console.asking import Question
from console.screens.dialog import DialogScreen
from console.widgets.field import Field
from console.widgets.lines import Line, left, line, outside, wrap
from console.widgets.panel import Box, Panel
from console.widgets.press import Press
from console.widgets.view import View

if TYPE_CHECKING:
    from console.client.errors import ClientError

_HERE: Final = Path(__file__).parent
_LOW_ROWS: Final = 21
"""Below this the blank lines go, so that the buttons stay on the screen."""
SEND: Final = "send"
"""The topic under which the act itself is asked for."""


class Entry(NamedTuple):
    """One field."""

    id: str
    label: str
    placeholder: str
    max_chars: int = 120


class FormScreen(DialogScreen):
    """A dialog that sends one act."""

    CSS_PATH = [_HERE / "base.tcss", _HERE / "form.tcss"]
    FIELDS: ClassVar[tuple[Entry, ...]] = ()
    NAMES: ClassVar[Mapping[str, str]] = {}
    """What the screen calls fields of the request that it does not call as the contract does."""
    LABEL_COLUMNS: ClassVar[int] = 10
    BUTTON: ClassVar[str] = "Send"
    BUTTON_STYLE: ClassVar[str] = "near"

    def __init__(self, title: str) -> None:
        super().__init__()
        self.TITLE_TEXT = title  # type: ignore[misc]
        self._problem = ""

    # what subclasses say

    def about(self, view: View) -> list[Line]:
        """What it is about and what it does."""
        raise NotImplementedError

    def missing(self) -> str:
        """What is still to be done before it can be sent; empty when nothing is."""
        raise NotImplementedError

    def send(self) -> None:
        """Ask the backend, under the topic `SEND`."""
        raise NotImplementedError

    def text(self, field: str) -> str:
        """What a field holds."""
        return self.query_one(f"#{field}", Field).value.strip()

    def labels(self) -> Mapping[str, str]:
        """The fields as they are called on the screen."""
        return {**{one.id: one.label for one in self.FIELDS}, **self.NAMES}

    def beside(self) -> Line:
        """What else there is to know, beside the buttons."""
        return ()

    @property
    def is_sending(self) -> bool:
        """Whether the act is under way: it is not sent a second time."""
        return self.questions.is_waiting(SEND)

    # the form

    def compose_body(self) -> ComposeResult:
        """What it is about, the fields, the buttons, why it was refused."""
        yield from self.compose_about()
        with Box(id="form-fields"):
            for field in self.FIELDS:
                with Box(classes="form-row"):
                    label = Panel(id=f"label-{field.id}", grows=False)
                    label.styles.width = self.LABEL_COLUMNS
                    yield label
                    yield Field(id=field.id, max_length=field.max_chars, placeholder=self.placeholder(field))
        with Box(id="form-buttons"):
            yield Press("Cancel", id="cancel")
            yield Press(self.BUTTON, id="send", style=self.BUTTON_STYLE, on=False)
            yield Panel(id="missing", grows=False)
        yield Panel(id="problem")
        yield from self.compose_end()

    def compose_about(self) -> ComposeResult:
        """What it is about."""
        yield Panel(id="about")

    def compose_end(self) -> ComposeResult:
        """The room that is left."""
        yield Box()

    def placeholder(self, field: Entry) -> str:
        """What an empty field says."""
        return field.placeholder

    def draw(self, view: View) -> None:
        """Bring facts, labels and buttons up to date."""
        g = view.glyphs
        self.set_class(view.height < _LOW_ROWS, "-low")
        self.query_one("#about", Panel).show(self.about(view.sized(view.width - 4)))
        for field in self.FIELDS:
            has_focus = self.focused is not None and self.focused.id == field.id
            label = left(f"{g.arrow if has_focus else ' '} {field.label}", self.LABEL_COLUMNS, g)
            self.query_one(f"#label-{field.id}", Panel).show([line((label, "key" if has_focus else "dim"))])
        missing, sending = self.lacks(), self.is_sending
        label = f"Sending{g.ellipsis}" if sending else self.BUTTON
        self.query_one("#send", Press).set(label, on=not missing and not sending)
        todo = line((f"{g.unknown} to do: {outside(missing, 120)}  ", "dim")) if missing else ()
        self.query_one("#missing", Panel).show([(*todo, *self.beside())])
        rows = wrap(outside(self._problem), max(view.width - 16, 20)) if self._problem else []
        marks = [f"{g.near} REFUSED ", *[" " * 10] * len(rows)]
        self.query_one("#problem", Panel).show(
            [line((mark, "near"), row) for mark, row in zip(marks, rows, strict=False)]
        )

    @on(Field.Changed)
    def _typed(self) -> None:
        self.redraw()

    @on(Field.Submitted)
    def _next(self, event: Field.Submitted) -> None:
        event.stop()
        self.focus_next()

    @on(Press.Pressed, "#send")
    def _send(self) -> None:
        if not self.lacks() and not self.is_sending:
            self._problem = ""
            self._problem = self.problem_of(self.send) or self._problem
            self.redraw()

    def lacks(self) -> str:
        """What is missing; what cannot even be looked through is missing, too."""
        found: list[str] = []
        return self.problem_of(lambda: found.append(self.missing())) or found[0]

    def done(self, text: str) -> None:
        """Close, and say what became of it."""
        self.desk.call_later(self.desk.leave, self)
        self.desk.call_later(self.desk.say, "done", text)

    def refused(self, question: Question, error: "ClientError") -> bool:
        """The backend's own sentence stays beside the buttons; without an answer nobody knows."""
        from console.client.errors import Unreachable
        from console.state.problems import describe, ends_session

        if ends_session(error):
            return False
        self._problem = describe(error)
        if question.topic == SEND and isinstance(error, Unreachable):
            self._problem = f"UNKNOWN whether it was taken: {self._problem}"
        return True
