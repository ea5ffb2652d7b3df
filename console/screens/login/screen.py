"""The login: name, password, one-time code. A refusal stays until the next try."""

from typing import TYPE_CHECKING, Final

from textual import events, on
from textual.app import ComposeResult

from console import demo_users
from console.actions import Context
from console.asking import Call, Question, Told, ask_backend
from console.screens.dialog import DeafScreen
from console.widgets.field import Field
from console.widgets.lines import Line, left, line, outside, wrap
from console.widgets.panel import Box, Panel
from console.widgets.view import View

if TYPE_CHECKING:
    from console.client.errors import ClientError

_FIELDS: Final = ("user", "password", "totp")
_LABELS: Final = {"user": "User", "password": "Password", "totp": "One-time code"}
_LABEL_COLUMNS: Final = 16


class LoginScreen(DeafScreen):
    """Asks who the operator is."""

    CSS_PATH = ["../base.tcss", "screen.tcss"]
    TITLE_TEXT = "Log in"
    CONTEXTS = (Context.LOGIN, Context.DIALOG)
    CLOSED = True
    AUTO_FOCUS = "#user"
    IS_ROOT = True

    def __init__(self, reason: str = "") -> None:
        super().__init__()
        self._reason = reason
        self._covers = False
        self._problem = ""
        self._waits_for = ""
        self._through_sso = False
        self._demo: list[demo_users.DemoUser] = []
        self._chosen = -1

    def compose_body(self) -> ComposeResult:
        """Three fields, what is wrong, and the demonstration's accounts if there are any."""
        yield Panel(id="login-why")
        with Box(id="login-form"):
            for name in _FIELDS:
                with Box(classes="login-row"):
                    yield Panel(id=f"label-{name}", grows=False)
                    yield Field(id=name, password=name == "password", max_length=200)
        yield Panel(id="login-problem")
        yield Panel(id="login-demo")
        yield Box()

    def on_mount(self) -> None:
        """Find the demonstration's accounts, if this is one."""
        self._demo = demo_users.load(self.desk.environ)
        self._covers = self.desk.api is not None

    def is_deaf_to(self, event: events.Event) -> bool:
        """One that covers what somebody was at takes no key that was meant for it; the first screen takes them all."""
        return self._covers and super().is_deaf_to(event)

    def sentence(self, view: View) -> Line:
        """Where the login leads."""
        return line((f" {view.glyphs.unknown} ", "dim"), ("Log in to ", ""), (outside(self.desk.url, 200), "bold"))

    def draw(self, view: View) -> None:
        """Labels, problem, accounts."""
        g = view.glyphs
        width = max(view.width - 4, 10)
        why = [line((row, "near")) for row in wrap(outside(self._reason), width)] if self._reason else []
        self.query_one("#login-why", Panel).show(why)
        for name in _FIELDS:
            has_focus = self.focused is not None and self.focused.id == name
            style = "key" if has_focus else "dim"
            mark = g.arrow if has_focus else " "
            text = left(f"{mark} {_LABELS[name]}", _LABEL_COLUMNS, g)
            self.query_one(f"#label-{name}", Panel).show([line((text, style))])
        self.query_one("#login-problem", Panel).show(self._problem_lines(view, width))
        self.query_one("#login-demo", Panel).show(self._demo_lines(view))

    def _problem_lines(self, view: View, width: int) -> list[Line]:
        if self.questions.is_waiting("login"):
            if self._waits_for:
                rows = wrap(outside(self._waits_for), width - 4)
                return [
                    line((f"{view.glyphs.near} " if not index else "  ", "near"), row) for index, row in enumerate(rows)
                ]
            return [line((f"{view.glyphs.unknown} Asking the backend{view.glyphs.ellipsis}", "dim"))]
        if not self._problem:
            return []
        first, *rest = wrap(outside(self._problem), width - 9)
        return [line((f"{view.glyphs.bad} ERROR ", "bad"), first), *(line(" " * 8, row) for row in rest)]

    def _demo_lines(self, view: View) -> list[Line]:
        if not self._demo:
            return []
        g = view.glyphs
        head = line(
            ("This is a demonstration. ", ""),
            ("F3", "key"),
            (" fills in the next user, ", ""),
            ("Enter", "key"),
            " logs in:",
        )
        rows = [
            line(
                (f"  {g.arrow if index == self._chosen else ' '} ", "key"),
                (left(outside(user.name, 40), 14, g), "bold"),
                (outside(user.role, 40), "dim"),
            )
            for index, user in enumerate(self._demo)
        ]
        return [head, *rows]

    def on_descendant_focus(self) -> None:
        """The label of the field in use is marked."""
        self.redraw()

    def do_login_fill(self, _: str) -> None:
        """Fill in the next demonstration user, with the code of this moment."""
        if not self._demo:
            return
        self._chosen = (self._chosen + 1) % len(self._demo)
        user = self._demo[self._chosen]
        self._fill(user.name, user.password, user.code())
        self.set_focus(self.query_one("#totp", Field))
        self.redraw()

    def _fill(self, name: str, password: str, code: str) -> None:
        for field, value in zip(_FIELDS, (name, password, code), strict=True):
            self.query_one(f"#{field}", Field).value = value

    def do_login_send(self, _: str) -> None:
        """Go to the next empty field, or log in when there is none."""
        values = {name: self.query_one(f"#{name}", Field).value for name in _FIELDS}
        for name in ("user", "password"):
            if not values[name]:
                self.set_focus(self.query_one(f"#{name}", Field))
                return
        if self.focused is not None and self.focused.id != "totp" and not values["totp"]:
            self.set_focus(self.query_one("#totp", Field))
            return
        if self._through_sso or not self.questions.is_waiting("login"):
            self._problem = self._waits_for = ""
            self._send(values["user"].strip(), values["password"], values["totp"].replace(" ", ""))
            self.redraw()

    def do_login_sso(self, _: str) -> None:
        """Sign in through the organisation's own sign-in; whoever is asked for a code there may still log in here."""
        from console.opening import log_in_with_sso

        if self._through_sso or not self.questions.is_waiting("login"):
            desk = self.desk
            self._problem = self._waits_for = ""
            self._ask(lambda _: log_in_with_sso(desk.url, desk.transport, desk.environ, self._tell), through_sso=True)
            self.redraw()

    def _send(self, name: str, password: str, code: str) -> None:
        from console.opening import log_in

        desk = self.desk
        self._ask(lambda _: log_in(desk.url, desk.transport, desk.environ, (name, password, code), self._tell))

    def _ask(self, call: Call, *, through_sso: bool = False) -> None:
        self._through_sso = through_sso
        asking = ask_backend(self, None, self.questions.put("login"), call)
        self.run_worker(asking, name="login", group="login", exclusive=True, exit_on_error=False)

    def _tell(self, text: str) -> None:
        self.post_message(Told(text))  # from the worker, which touches no widget

    @on(Told)
    def _told(self, event: Told) -> None:
        event.stop()
        self._waits_for = event.text
        self.redraw()

    def answered(self, question: Question, value: object) -> None:
        """Signed in: go on to where the operator wanted to be."""
        self.query_one("#password", Field).value = self.query_one("#totp", Field).value = ""
        if question.topic == "login" and isinstance(value, tuple):
            token, problem = value
            self.desk.call_later(self.desk.signed_in, token, problem)

    def refused(self, question: Question, error: "ClientError") -> bool:
        """Say why, and take the next one-time code."""
        from console.state.problems import describe

        if question.topic == "login":
            self._problem = describe(error)
            code = self.query_one("#totp", Field)
            code.value = ""
            self.set_focus(code)
        return True

    def do_dialog_next(self, _: str) -> None:
        """Next field."""
        self.focus_next()

    def do_dialog_previous(self, _: str) -> None:
        """Previous field."""
        self.focus_previous()
