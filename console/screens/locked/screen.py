"""The cover of a locked console: password and code open it, freezing goes on. Shows nothing of what lies below."""

from typing import TYPE_CHECKING, ClassVar, Final

from textual import on
from textual.app import ComposeResult

from console import demo_users
from console.actions import Context
from console.asking import Question, Told, ask_backend
from console.screens.dialog import DeafScreen
from console.widgets.field import Field
from console.widgets.lines import Line, left, line, outside, wrap
from console.widgets.panel import Box, Panel
from console.widgets.view import View
from contract.freeze import FreezeList

if TYPE_CHECKING:
    from console.client.errors import ClientError

_FIELDS: Final = ("password", "totp")
_LABELS: Final = {"password": "Password", "totp": "One-time code"}
_LABEL_COLUMNS: Final = 16
_LOOK_S: Final = 10.0
"""How often it is asked what is frozen: the banner stays true on a console that nobody uses."""
_UNLOCK, _HOLDS = "unlock", "holds"


class LockedScreen(DeafScreen):
    """Asks the person of the session for every factor of a sign-in."""

    CSS_PATH: ClassVar = ["../base.tcss", "screen.tcss"]
    TITLE_TEXT = "Locked"
    CONTEXTS = (Context.LOCKED, Context.DIALOG)
    CLOSED = True
    AUTO_FOCUS = "#password"

    def __init__(self, reason: str = "") -> None:
        super().__init__()
        self._reason = reason or "Nobody has used this session for a while."
        self._problem = ""
        self._waits_for = ""

    def compose_body(self) -> ComposeResult:
        """Why it is locked, two fields, what is wrong, what else can be done."""
        yield Panel(id="locked-why")
        with Box(id="locked-form"):
            for name in _FIELDS:
                with Box(classes="locked-row"):
                    yield Panel(id=f"label-{name}", grows=False)
                    yield Field(id=name, password=name == "password", max_length=200)
        yield Panel(id="locked-problem")
        yield Panel(id="locked-ways")
        yield Box()

    def on_mount(self) -> None:
        """Look what is frozen, again and again."""
        self._look()
        self.set_interval(_LOOK_S, self._look)

    def on_screen_resume(self) -> None:
        """Go, if the session was replaced by another one while a dialog lay above."""
        if not self.desk.is_locked:
            self.desk.call_later(self.desk.uncover, self)

    def sentence(self, view: View) -> Line:
        """Whose it is."""
        name = outside(self.desk.who.name, 100) or "whoever signed in"
        return line((f" {view.glyphs.near} ", "near"), ("Locked. ", "bold"), (name, "bold"), (" unlocks it.", ""))

    def draw(self, view: View) -> None:
        """Labels, problem, and the ways on."""
        g = view.glyphs
        width = max(view.width - 4, 10)
        kept = "What was typed stays as it is."
        self.query_one("#locked-why", Panel).show([line(row) for row in wrap(outside(f"{self._reason} {kept}"), width)])
        for name in _FIELDS:
            has_focus = self.focused is not None and self.focused.id == name
            text = left(f"{g.arrow if has_focus else ' '} {_LABELS[name]}", _LABEL_COLUMNS, g)
            self.query_one(f"#label-{name}", Panel).show([line((text, "key" if has_focus else "dim"))])
        self.query_one("#locked-problem", Panel).show(self._problem_lines(view, width))
        self.query_one("#locked-ways", Panel).show([
            line(("F4", "key"), (" freezes, also while locked.", "")),
            line(("F12", "key"), (" signs out; whoever signs in again, as with SSO, finds what was typed.", "")),
        ])  # fmt: skip

    def _problem_lines(self, view: View, width: int) -> list[Line]:
        g = view.glyphs
        if self.questions.is_waiting(_UNLOCK):
            if not self._waits_for:
                return [line((f"{g.unknown} Asking the backend{g.ellipsis}", "dim"))]
            rows = wrap(outside(self._waits_for), width - 4)
            return [line((f"{g.near} " if not index else "  ", "near"), row) for index, row in enumerate(rows)]
        if not self._problem:
            return []
        first, *rest = wrap(outside(self._problem), width - 9)
        return [line((f"{g.bad} ERROR ", "bad"), first), *(line(" " * 8, row) for row in rest)]

    def on_descendant_focus(self) -> None:
        """The label of the field in use is marked."""
        self.redraw()

    # actions

    async def do_back(self, _: str) -> None:
        """Dismiss a message; a lock is not left."""
        self.desk.say("", "")

    async def do_locked_freeze(self, _: str) -> None:
        """Open the freeze dialog."""
        await self.desk.do_freeze("")

    def do_login_fill(self, _: str) -> None:
        """Fill in the demonstration user whose session this is, with the code of this moment."""
        for user in demo_users.load(self.desk.environ):
            if user.name == self.desk.who.name:
                self.query_one("#password", Field).value = user.password
                self.query_one("#totp", Field).value = user.code()

    def do_locked_unlock(self, _: str) -> None:
        """Go to the next empty field, or unlock when there is none."""
        password, code = (self.query_one(f"#{name}", Field) for name in _FIELDS)
        if not password.value or (not code.value and self.focused is not code):
            self.set_focus(code if password.value else password)
        elif not self.questions.is_waiting(_UNLOCK):
            self._problem = self._waits_for = ""
            self._send(password.value, code.value.replace(" ", ""))
            self.redraw()

    def do_dialog_next(self, _: str) -> None:
        """Next field."""
        self.focus_next()

    def do_dialog_previous(self, _: str) -> None:
        """Previous field."""
        self.focus_previous()

    # the backend

    def _send(self, password: str, code: str) -> None:
        from console.client import sessions
        from console.opening import touch_of

        desk, api = self.desk, self.desk.api
        touch = touch_of(desk.environ, lambda: desk.who.name, self._tell)
        question = self.questions.put(_UNLOCK)
        asking = ask_backend(self, api, question, lambda api: sessions.unlock(api, password, code, touch))
        self.run_worker(asking, name=_UNLOCK, group=_UNLOCK, exclusive=True, exit_on_error=False)

    def _tell(self, text: str) -> None:
        self.post_message(Told(text))  # from the worker, which touches no widget

    def _look(self) -> None:
        if self.desk.api is not None and self.desk.is_locked and not self.questions.is_waiting(_HOLDS):
            self.ask(_HOLDS, lambda api: api.freezes())

    @on(Told)
    def _told(self, event: Told) -> None:
        event.stop()
        self._waits_for = event.text
        self.redraw()

    def answered(self, question: Question, value: object) -> None:
        """Unlocked, or what is frozen."""
        if question.topic == _UNLOCK:
            for name in _FIELDS:
                self.query_one(f"#{name}", Field).value = ""
            self.desk.call_later(self.desk.unlocked)
        elif question.topic == _HOLDS and isinstance(value, FreezeList):
            self.desk.know_holds(value.items, whole=value.partial is None)

    def refused(self, question: Question, error: "ClientError") -> bool:
        """Say why, and take the next code; a session that has ended goes to the login."""
        from console.state.problems import describe, ends_session

        if question.topic == _UNLOCK:
            if ends_session(error):
                return False
            self._problem = describe(error)
            code = self.query_one("#totp", Field)
            code.value = ""
            self.set_focus(code)
            return True
        return not ends_session(error)  # a missed look is followed by another
