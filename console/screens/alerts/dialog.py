"""The dialog of one act on one or more alerts: it says how many, and shows some of them."""

from collections.abc import Callable
from typing import ClassVar, Final, NamedTuple

from textual import on

from console.asking import Question
from console.client import alert_work
from console.client.api import new_idempotency_key
from console.screens.form import SEND, Entry
from console.screens.incidents.drafted import DraftedForm
from console.widgets.alert_page import critical_text, meant_rows
from console.widgets.field import Field
from console.widgets.lines import EMPTY, Line, line, outside, wrap
from console.widgets.view import View
from contract.alert_work import MAX_AT_ONCE, MAX_COMMENT_CHARS, AlertAct, AlertActAnswer, AlertActRequest
from contract.alerts import Alert

_SHOWN_LOW, _SHOWN = 3, 6
"""How many alerts are listed on a low screen, and on others."""
_TALL_ROWS: Final = 30


class _Kind(NamedTuple):
    """What an act is called and does."""

    verb: str
    past: str
    facts: str
    fact: str
    """The same of a single one."""
    placeholder: str


_KINDS: Final = {
    AlertAct.ACKNOWLEDGE: _Kind(
        "Acknowledge", "Acknowledged", "They stay until their rules clear them; nothing is muted by it, and the "
        "escalation stops.", "It stays until its rule clears it; nothing is muted by it, and the escalation stops.",
        "what you are doing about it; may stay empty",
    ),
    AlertAct.ASSIGN: _Kind(
        "Assign", "Assigned", "Everybody sees who has them. An empty name gives them back to everybody.",
        "Everybody sees who has it. An empty name gives it back to everybody.", "may stay empty",
    ),
    AlertAct.NOTE: _Kind(
        "Note", "Noted on", "It is written into the history of each, and stays.",
        "It is written into its history, and stays.", "what you saw",
    ),
    AlertAct.ESCALATE: _Kind(
        "Escalate", "Escalated", "They go to the next in the escalation table now, who is told.",
        "It goes to the next in the escalation table now, who is told.", "why",
    ),
}  # fmt: skip


class ActScreen(DraftedForm):
    """One act; the alerts are those that were meant when it was opened."""

    COMMENT: ClassVar[Entry] = Entry("comment", "Comment", "", MAX_COMMENT_CHARS)
    DRAFTED = ("comment",)
    PERSON: ClassVar[Entry] = Entry("to", "To", "an account; empty: nobody", 100)

    def __init__(
        self, act: AlertAct, alerts: list[Alert], then: Callable[[list[Alert]], None], argument: str = ""
    ) -> None:
        """`then` takes the alerts as the act has left them; `argument` was typed behind the command."""
        kind = _KINDS[act]
        comment = self.COMMENT._replace(placeholder=kind.placeholder)
        assigns = act is AlertAct.ASSIGN
        self.FIELDS = (self.PERSON, comment) if assigns else (comment,)  # type: ignore[misc]
        self.BUTTON = f"{kind.verb} {_count(alerts)}"  # type: ignore[misc]
        self.AUTO_FOCUS = "#to" if assigns else "#comment"  # type: ignore[misc]
        super().__init__(kind.verb)
        self._act = act
        self._alerts = alerts
        self._tell = then
        self._argument = argument
        self._key = ""
        self._sent = ("", "")
        """Person and comment that the key stands for."""

    def draft_key(self) -> str:
        """One for each alert; of several one for each act, whichever they are: marks are gone after a lost line."""
        which = self._alerts[0].id if len(self._alerts) == 1 else "several"
        return f"alert:{self._act.value}:{which}"

    def on_mount(self) -> None:
        """Fill in what is known: whoever assigns an alert mostly takes it."""
        if self._act is AlertAct.ASSIGN:
            self.query_one("#to", Field).value = self._argument or self.desk.who.name
        elif self._argument:
            self.query_one("#comment", Field).value = self._argument

    def sentence(self, view: View) -> Line:
        """How many."""
        text = f"{_KINDS[self._act].verb}: {_count(self._alerts)}{critical_text(self._alerts)}."
        return line((f" {view.glyphs.near} ", "near"), text)

    def about(self, view: View) -> list[Line]:
        """Which, and what it does."""
        most = _SHOWN if self.app.size.height >= _TALL_ROWS else _SHOWN_LOW
        kind = _KINDS[self._act]
        facts = wrap(kind.fact if len(self._alerts) == 1 else kind.facts, view.width)
        return [*meant_rows(self._alerts, view, most), EMPTY, *(line((row, "dim")) for row in facts)]

    def missing(self) -> str:
        """A note needs words, and no act takes more than so many."""
        if len(self._alerts) > MAX_AT_ONCE:
            return f"mark at most {MAX_AT_ONCE} alerts"
        wanted = {AlertAct.NOTE: "say what you saw", AlertAct.ESCALATE: "say why"}
        return "" if self.text("comment") else wanted.get(self._act, "")

    @on(Field.Submitted)
    def _entered(self, event: Field.Submitted) -> None:
        """Enter does it to one alert, where nobody is called by it; to many the button does."""
        event.stop()
        event.prevent_default()
        if len(self._alerts) > 1 or self._act is AlertAct.ESCALATE or self.lacks():
            self.focus_next()
        else:
            self._send()

    def send(self) -> None:
        """Do it; sent again under the same key if the answer does not come, unless other words were typed."""
        person = self.text("to") if self._act is AlertAct.ASSIGN else ""
        if not self._key or self._sent != (person, self.text("comment")):
            self._key, self._sent = new_idempotency_key(), (person, self.text("comment"))
        request = AlertActRequest(
            ids=[alert.id for alert in self._alerts],
            act=self._act,
            comment=self.text("comment"),
            to=person or None,
            idempotency_key=self._key,
        )
        self.ask(SEND, lambda api: alert_work.act(api, request))

    def answered(self, question: Question, value: object) -> None:
        """Say of how many it was done, and why not of the others."""
        if self.draft_answered(question, value) or not isinstance(value, AlertActAnswer):
            return
        self._tell(value.done)
        why = "; ".join(sorted({outside(one.message, 160) for one in value.refused})[:2])
        if not value.done:
            self._problem = why or "It was done to none of them."
            return
        said = f"{_KINDS[self._act].past} {_count(value.done)}"
        self.done(f"{said}; {len(value.refused):,} refused: {why}" if value.refused else f"{said}.")


def _count(alerts: list[Alert]) -> str:
    return f"{len(alerts):,} alert{'' if len(alerts) == 1 else 's'}"
