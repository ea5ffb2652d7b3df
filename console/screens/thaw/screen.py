"""The thaw dialog: asking for a freeze to be lifted, or approving it as the second person."""

from typing import TYPE_CHECKING, Final

from textual import on
from textual.app import ComposeResult

from console.asking import Question
from console.screens.dialog import DialogScreen
from console.state.floor import Floor
from console.widgets.field import Field
from console.widgets.lines import Line, left, line, outside, wrap
from console.widgets.panel import Box, Panel
from console.widgets.press import Press
from console.widgets.thaw import SHOWN_ALERTS, thaw_lines
from console.widgets.view import View
from contract.freeze import Freeze
from contract.reasons import MAX_REASON_CHARS
from contract.states import FreezeStatus

if TYPE_CHECKING:
    from console.client.errors import ClientError

_LABEL_COLUMNS: Final = 10
_TALL_ROWS: Final = 30
_PROBLEM_ROWS: Final = 3
_DETAIL, _SEND = "detail", "thaw"
"""What is asked: what the thaw covers, and the step itself."""


class ThawScreen(DialogScreen):
    """Two steps by two persons: this dialog is either of them."""

    CSS_PATH = ["../base.tcss", "screen.tcss"]

    def __init__(self, freeze: Freeze, *, approve: bool) -> None:
        super().__init__()
        self.TITLE_TEXT = f"{'Approve' if approve else 'Thaw'} {outside(freeze.ref, 20)}"  # type: ignore[misc]
        self._freeze = freeze
        self._approve = approve
        self._problem = ""

    def on_mount(self) -> None:
        """Load what it covers: nobody decides before that is on the screen."""
        super().on_mount()
        self._load()

    def _load(self) -> None:
        if self.desk.api is not None:
            self.ask(_DETAIL, lambda api: api.freeze_detail(self._freeze.id), self._freeze.id)

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
            yield Panel(id="missing", grows=False)
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
            else "You are the second person: after this, the first executors trade again."
            if self._approve
            else "You ask; another person has to approve. Nothing starts before that."
        )
        return line((f" {view.glyphs.near} ", "near"), text)

    def draw(self, view: View) -> None:
        """Bring facts, labels and buttons up to date."""
        g = view.glyphs
        floor = self.desk.latest or Floor()
        about = thaw_lines(self._freeze, floor, view.sized(view.width - 4), alerts=self._alerts_shown())
        self.query_one("#about", Panel).show(about)
        for field, text in (("reason", "Reason"), ("name", "Confirm")):
            for panel in self.query(f"#label-{field}").results(Panel):
                has_focus = self.focused is not None and self.focused.id == field
                label = left(f"{g.arrow if has_focus else ' '} {text}", _LABEL_COLUMNS, g)
                panel.show([line((label, "key" if has_focus else "dim"))])
        sending = self.questions.is_waiting(_SEND)
        label = "Approve" if self._approve else "Ask for thaw"
        self.query_one("#send", Press).set(
            f"Sending{g.ellipsis}" if sending else label, on=not self._missing and not sending
        )
        todo = self._missing
        self.query_one("#missing", Panel).show([line((f"{g.unknown} to do: {outside(todo)}", "dim")) if todo else ()])
        problem = wrap(outside(self._problem), max(view.width - 16, 20))[:_PROBLEM_ROWS] if self._problem else []
        rows = [
            line((f"{g.near} REFUSED " if not index else " " * 10, "near"), row) for index, row in enumerate(problem)
        ]
        self.query_one("#problem", Panel).show(rows)

    def _alerts_shown(self) -> int:
        """Rows for open alerts: the buttons and the backend's refusal have to stay on the smallest terminal."""
        if self.size.height >= _TALL_ROWS:
            return SHOWN_ALERTS
        return 0 if self._problem else SHOWN_ALERTS // 2

    @property
    def _missing(self) -> str:
        """What the dialog still waits for, in plain words; empty when it may be sent."""
        if self._approve and self._freeze.thaw is None:
            return "wait for what it would let go"
        if self._approve and self._freeze.thaw is not None and self._freeze.thaw.changed:
            return "have it asked for again"
        if not self._approve and not self.query_one("#reason", Field).value.strip():
            return "say why"
        typed = self.query_one("#name", Field).value.strip().casefold() == self._freeze.ref.casefold()
        return "" if typed else f"type {self._freeze.ref}"

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
        if self._missing or self.questions.is_waiting(_SEND):
            return
        freeze, thaw = self._freeze, self._freeze.thaw
        self._problem = ""
        if self._approve and thaw is not None:
            from console.client.signing_in import approve_thaw

            self.ask(
                _SEND, lambda api: approve_thaw(api, freeze.id, digest=thaw.digest, version=freeze.version), freeze.id
            )
        elif not self._approve:
            reason = self.query_one("#reason", Field).value
            self.ask(_SEND, lambda api: api.request_thaw(freeze.id, reason), freeze.id)
        self.redraw()

    def answered(self, question: Question, value: object) -> None:
        """What it covers; or the step was taken: back to the freezes, with what became of it."""
        if not isinstance(value, Freeze):
            return
        if question.topic == _DETAIL:
            self._freeze = value
            return
        self.desk.call_later(self.desk.leave, self)
        self.desk.call_later(self.desk.say, "done", _taken(value))

    def refused(self, question: Question, error: "ClientError") -> bool:
        """The backend's own sentence stays beside the buttons; what changed meanwhile is shown above it."""
        from console.state.problems import describe, ends_session

        if ends_session(error):
            return False
        self._problem = describe(error)
        if question.topic == _SEND:
            self._load()
        return True


def _taken(freeze: Freeze) -> str:
    if freeze.status is FreezeStatus.THAWED:
        return f"{freeze.ref} is lifted: executors may trade again."
    if freeze.status is FreezeStatus.THAWING:
        first = freeze.thaw.stages[0].executors if freeze.thaw and freeze.thaw.stages else 0
        who = "1 executor trades and is" if first == 1 else f"{first:,} executors trade and are"
        return f"{freeze.ref}: {who} watched; the rest follows. S stops it."
    return f"Thaw of {freeze.ref} requested: another person has to approve it (T)."
