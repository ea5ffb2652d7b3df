"""The freeze dialog: what, how, what it would stop, why, and the typed name; then the board that proves it."""

from typing import TYPE_CHECKING, ClassVar, Final

from textual import on
from textual.app import ComposeResult

from console.asking import Call, Question
from console.screens.dialog import DialogScreen
from console.state.completion import complete
from console.state.floor import Floor
from console.state.freezing import Draft
from console.state.scopes import known_scopes, typed_name
from console.widgets.field import Field
from console.widgets.freezes import blast_lines
from console.widgets.lines import Line, cut, left, line, outside
from console.widgets.panel import Box, Panel
from console.widgets.press import Press
from console.widgets.view import View
from contract.freeze import BlastRadius, Freeze, FreezeMode, FreezeRequest
from contract.reasons import MAX_REASON_CHARS
from contract.scope import Scope

if TYPE_CHECKING:
    from console.client.errors import ClientError

_LABEL_COLUMNS: Final = 10
_TODO_CHARS: Final = 26
"""Room beside the buttons of the smallest terminal; what is to be typed stands in its field as well."""
_BUTTON_COLUMNS: Final = 34
"""Of a scope of several terms; what is left to do stands beside the button."""
_LOW_ROWS: Final = 21
"""Below this the blank lines go, so that the buttons stay on the screen under a banner and a message."""
_MODES: Final = {
    FreezeMode.HALT: "halt: cancels only",
    FreezeMode.REDUCE_ONLY: "reduce only: positions may shrink",
    FreezeMode.CANCEL_ALL: "cancel all: take resting orders back, then halt",
}
"""In the order in which Enter goes through them."""
_AGAIN: Final = "Sending again never freezes twice."
_BLAST_DELAY_S: Final = 0.15
"""The blast radius is asked for when typing has stopped for this long."""


class FreezeScreen(DialogScreen):
    """Stops trading of a scope."""

    CSS_PATH = ["../base.tcss", "screen.tcss"]
    TITLE_TEXT = "Freeze"
    IS_DRILL: ClassVar[bool] = False

    def __init__(self, scope_text: str = "") -> None:
        super().__init__()
        self._draft = Draft(scope_text=scope_text.strip())
        self._key = ""
        """Made once for this dialog: sending again never freezes twice."""
        self._problem = ""

    def compose_body(self) -> ComposeResult:
        """Fields from top to bottom in the order in which they are thought about; Cancel first at the end."""
        with Box(id="freeze-form"):
            for name in ("scope", "mode", "reason", "name"):
                with Box(classes="form-row"):
                    yield Panel(id=f"label-{name}", grows=False)
                    if name == "mode":
                        yield Press("halt", id="mode", style="bold")
                    else:
                        yield Field(id=name, max_length=MAX_REASON_CHARS if name == "reason" else 120)
                if name == "scope":
                    yield Panel(id="choices", grows=False)
                if name == "mode":
                    yield Panel(id="blast", grows=False)
        with Box(id="freeze-buttons"):
            yield Press("Cancel", id="cancel")
            yield Press("Freeze", id="send", style="bad", on=False)
            yield Panel(id="missing", grows=False)
        yield Box()

    def on_mount(self) -> None:
        """Start with the scope that was asked for."""
        from console.client.api import new_idempotency_key

        self._key = new_idempotency_key()
        self.query_one("#scope", Field).value = self._draft.scope_text
        if self._draft.scope is not None:
            self._ask_blast()

    def on_screen_resume(self) -> None:
        """Whoever signed in again, or unlocked, is told what it would stop after all."""
        if self._draft.scope is not None:
            self._ask_blast()

    def sentence(self, view: View) -> Line:
        """What this is."""
        mark = view.glyphs.near
        return line((f" {mark} ", "near"), ("Nothing is stopped until you press Freeze. Tab goes on, Esc leaves.", ""))

    def label(self, name: str) -> str:
        """What the button says."""
        return f"Freeze {name}"

    def choices(self, known: list[Scope]) -> list[Scope]:
        """The scopes to pick from."""
        return known

    def sending(self, request: FreezeRequest) -> Call:
        """How it is sent."""
        return lambda api: api.freeze(request)

    def draw(self, view: View) -> None:
        """Bring labels, choices, blast radius and buttons up to date."""
        self.set_class(view.height < _LOW_ROWS, "-low")
        g = view.glyphs
        draft = self._draft
        scope = draft.scope
        name = outside(typed_name(scope), 60) if scope is not None else "the name"
        for field, text in (("scope", "Scope"), ("mode", "Mode"), ("reason", "Reason"), ("name", "Confirm")):
            has_focus = self.focused is not None and self.focused.id == field
            label = left(f"{g.arrow if has_focus else ' '} {text}", _LABEL_COLUMNS, g)
            self.query_one(f"#label-{field}", Panel).show([line((label, "key" if has_focus else "dim"))])
        self.query_one("#choices", Panel).show([self._choices_line(view)])
        self.query_one("#mode", Press).set(_MODES[draft.mode], on=True)
        self.query_one("#blast", Panel).show(self._blast_lines(view.sized(view.width - 4)))
        self.query_one("#name", Field).placeholder = f"type {name} to confirm"
        sending = self.questions.is_waiting("freeze")
        what = cut(outside(str(scope)), _BUTTON_COLUMNS, g) if scope is not None and len(scope.terms) > 1 else name
        label = "Freezing" + g.ellipsis if sending else "Send again" if self._problem else self.label(what)
        self.query_one("#send", Press).set(label, on=not draft.missing and not sending)
        self.query_one("#missing", Panel).show([self._missing_line(view)])

    def _choices_line(self, view: View) -> Line:
        floor = self.desk.latest
        covers = self._draft.blast is not None and self._draft.blast.executors > 0
        if floor is None or (self._draft.scope is not None and (covers or not self._draft.knows_blast)):
            return ()
        names = self._names(floor)
        fitting = self._matching(names) or names
        return line(
            (" " * _LABEL_COLUMNS, ""), ("Right completes: ", "dim"), outside("  ".join(fitting[:12]), view.width)
        )

    def _names(self, floor: Floor) -> list[str]:
        return [str(scope) for scope in self.choices(known_scopes(floor))]

    def _matching(self, names: list[str]) -> list[str]:
        return [one.partition(" ")[2] for one in complete(f"freeze {self._draft.scope_text}", (), lambda _: names)]

    def _blast_lines(self, view: View) -> list[Line]:
        draft = self._draft
        if draft.scope is None:
            return [line(("  What it would stop is shown here, before you say why.", "dim"))]
        if draft.may_go_on and not draft.knows_blast:
            return [
                line((f"  {view.glyphs.near} What this would stop could not be learned.", "near")),
                line(("    You may freeze all the same: the hold covers whatever the scope covers.", "")),
            ]
        if draft.blast is None or not draft.knows_blast:
            return [line((f"  Asking what this would stop{view.glyphs.ellipsis}", "dim"))]
        return blast_lines(draft.blast, view, drill=self.IS_DRILL)

    def _missing_line(self, view: View) -> Line:
        g = view.glyphs
        if self._problem:
            return line((f"{g.bad} ", "bad"), outside(self._problem))
        todo = self._draft.missing
        if todo.startswith("type ") and len(todo) > _TODO_CHARS:
            todo = "type the name to confirm"
        return line((f"{g.unknown} to do: {outside(todo, 120)}", "dim")) if todo else ()

    # what is typed

    @on(Field.Changed, "#scope")
    def _scope_typed(self, event: Field.Changed) -> None:
        self._edit(scope_text=event.value)
        self.questions.forget("blast")
        if self._draft.scope is not None and not self._draft.knows_blast:
            self.set_timer(_BLAST_DELAY_S, self._ask_blast)

    @on(Field.Changed, "#reason")
    def _reason_typed(self, event: Field.Changed) -> None:
        self._edit(reason=event.value)

    @on(Field.Changed, "#name")
    def _name_typed(self, event: Field.Changed) -> None:
        self._edit(typed=event.value)

    @on(Field.Submitted)
    def _next(self, event: Field.Submitted) -> None:
        """Enter in a field goes on; it never freezes."""
        event.stop()
        self.focus_next()

    @on(Press.Pressed, "#mode")
    def _mode_pressed(self) -> None:
        order = list(_MODES)
        self._edit(mode=order[(order.index(self._draft.mode) + 1) % len(order)])

    def _edit(self, **changes: object) -> None:
        from dataclasses import replace

        self._draft = replace(self._draft, **changes)  # type: ignore[arg-type]
        self.redraw()

    def do_dialog_complete(self, _: str) -> None:
        """Complete the scope with the first name that fits."""
        floor = self.desk.latest
        field = self.query_one("#scope", Field)
        if self.focused is not field or floor is None or field.cursor_position < len(field.value):
            field.action_cursor_right()
            return
        fitting = self._matching(self._names(floor))
        if fitting:
            place = fitting.index(field.value) + 1 if field.value in fitting else 0
            field.value = fitting[place % len(fitting)]
            field.cursor_position = len(field.value)

    # the backend

    def _ask_blast(self) -> None:
        scope = self._draft.scope
        if scope is not None and not self.questions.is_waiting("blast") and not self._draft.knows_blast:
            self.ask("blast", lambda api: api.blast_radius(scope), str(scope))

    @on(Press.Pressed, "#send")
    def _send(self) -> None:
        """Freeze: only with everything known and typed, and under the one key of this dialog."""
        scope = self._draft.scope
        if self._draft.missing or scope is None or self.questions.is_waiting("freeze"):
            return
        self._problem = self.problem_of(lambda: self._ask_freeze(scope))
        self.redraw()

    def _ask_freeze(self, scope: Scope) -> None:
        request = FreezeRequest(
            scope=scope, mode=self._draft.mode, reason=self._draft.reason, idempotency_key=self._key
        )
        self.ask("freeze", self.sending(request), str(scope))

    def answered(self, question: Question, value: object) -> None:  # noqa: ARG002  one topic
        """The blast radius, or the freeze."""
        if isinstance(value, BlastRadius):
            self._edit(blast=value)
        elif isinstance(value, Freeze):
            self.desk.call_later(self.desk.show_board, value, above=self)

    def died(self, question: Question) -> None:
        """What it would stop is not known, or whether it was taken: both leave the way to a freeze open."""
        if question.topic == "blast":
            self._edit(unasked=question.about)
        elif question.topic == "freeze":
            self._problem = f"UNKNOWN whether it was taken. {_AGAIN}"

    def refused(self, question: Question, error: "ClientError") -> bool:
        """Say why; without an answer nobody knows whether the freeze was taken."""
        from console.client.errors import Unreachable
        from console.state.problems import describe, ends_session

        if question.topic == "blast":  # before all else: whoever signs in again finds a dialog that freezes
            self._edit(unasked=question.about)
        if ends_session(error):
            return False
        if question.topic != "freeze":
            return False
        self._problem = describe(error)
        if isinstance(error, Unreachable):
            self._problem = f"UNKNOWN whether it was taken: {self._problem} {_AGAIN}"
        return True
