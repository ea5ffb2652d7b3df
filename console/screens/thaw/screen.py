"""The thaw dialog: asking for a freeze to be lifted, or approving it as the second person."""

from typing import TYPE_CHECKING, Final

from textual import on
from textual.app import ComposeResult

from console.asking import Question
from console.screens.dialog import DialogScreen
from console.state.floor import Floor
from console.widgets.field import Field
from console.widgets.freezes import thaw_lines
from console.widgets.lines import Line, left, line, outside, wrap
from console.widgets.panel import Box, Panel
from console.widgets.press import Press
from console.widgets.view import View
from contract.freeze import Freeze
from contract.reasons import MAX_REASON_CHARS

if TYPE_CHECKING:
    from console.client.errors import ClientError

_LABEL_COLUMNS: Final = 10


class ThawScreen(DialogScreen):
    """Two steps by two persons: this dialog is either of them."""

    CSS_PATH = ["../base.tcss", "screen.tcss"]

    def __init__(self, freeze: Freeze, *, approve: bool) -> None:
        super().__init__()
        self.TITLE_TEXT = f"{'Approve' if approve else 'Thaw'} {outside(freeze.ref, 20)}"  # type: ignore[misc]
        self._freeze = freeze
        self._approve = approve
        self._problem = ""

    def compose_body(self) -> ComposeResult:
        """What it is about, the reason (asking only), the typed name, the buttons."""
        yield Panel(id="about")
        with Box(id="thaw-form"):
            for name in ("name",) if self._approve else ("reason", "name"):
                with Box(classes="form-row"):
                    yield Panel(id=f"label-{name}", grows=False)
                    yield Field(id=name, max_length=MAX_REASON_CHARS, placeholder=self._placeholder(name))
        with Box(id="thaw-buttons"):
            yield Press("Cancel", id="cancel")
            yield Press("Approve" if self._approve else "Ask for thaw", id="send", style="near", on=False)
        yield Panel(id="problem")
        yield Box()

    def _placeholder(self, name: str) -> str:
        return f"type {self._freeze.ref} to confirm" if name == "name" else "why it is safe to trade again"

    def sentence(self, view: View) -> Line:
        """What this step is."""
        own = self._approve and self._freeze.thaw_requested_by == self.desk.who.name
        text = (
            "You asked for this thaw yourself: another person has to approve it."
            if own
            else "You are the second person: after this, executors trade again."
            if self._approve
            else "You ask; another person has to approve. Nothing starts before that."
        )
        return line((f" {view.glyphs.near} ", "near"), text)

    def draw(self, view: View) -> None:
        """Bring facts, labels and buttons up to date."""
        g = view.glyphs
        floor = self.desk.latest or Floor()
        self.query_one("#about", Panel).show(thaw_lines(self._freeze, floor, view.sized(view.width - 4)))
        for field, text in (("reason", "Reason"), ("name", "Confirm")):
            for panel in self.query(f"#label-{field}").results(Panel):
                has_focus = self.focused is not None and self.focused.id == field
                label = left(f"{g.arrow if has_focus else ' '} {text}", _LABEL_COLUMNS, g)
                panel.show([line((label, "key" if has_focus else "dim"))])
        sending = self.questions.is_waiting("thaw")
        label = "Approve" if self._approve else "Ask for thaw"
        self.query_one("#send", Press).set(
            f"Sending{g.ellipsis}" if sending else label, on=self._complete and not sending
        )
        problem = wrap(outside(self._problem), max(view.width - 16, 20)) if self._problem else []
        rows = [
            line((f"{g.near} REFUSED " if not index else " " * 10, "near"), row) for index, row in enumerate(problem)
        ]
        self.query_one("#problem", Panel).show(rows)

    @property
    def _complete(self) -> bool:
        typed = self.query_one("#name", Field).value.strip().casefold() == self._freeze.ref.casefold()
        return typed and (self._approve or bool(self.query_one("#reason", Field).value.strip()))

    @on(Field.Changed)
    def _typed(self) -> None:
        self.redraw()

    @on(Field.Submitted)
    def _next(self, event: Field.Submitted) -> None:
        """Enter in a field goes on; it never sends."""
        event.stop()
        self.focus_next()

    @on(Press.Pressed, "#send")
    def _send(self) -> None:
        if not self._complete or self.questions.is_waiting("thaw"):
            return
        freeze = self._freeze
        self._problem = ""
        if self._approve:
            self.ask("thaw", lambda api: api.approve_thaw(freeze.id, freeze.version), freeze.id)
        else:
            reason = self.query_one("#reason", Field).value
            self.ask("thaw", lambda api: api.request_thaw(freeze.id, reason), freeze.id)
        self.redraw()

    def answered(self, question: Question, value: object) -> None:  # noqa: ARG002  one topic
        """Taken: back to the freezes, with what became of it."""
        if isinstance(value, Freeze):
            text = (
                f"{value.ref} is lifted: executors may trade again."
                if value.status == "thawed"
                else f"Thaw of {value.ref} requested: another person has to approve it (T)."
            )
            self.desk.call_later(self.desk.leave, self)
            self.desk.call_later(self.desk.say, "done", text)

    def refused(self, question: Question, error: "ClientError") -> bool:  # noqa: ARG002  one topic
        """The backend's own sentence stays beside the buttons."""
        from console.state.problems import describe, ends_session

        if ends_session(error):
            return False
        self._problem = describe(error)
        return True
