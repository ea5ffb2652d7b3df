"""The dialog that asks for a person to be erased, or erases them as the second person. Nothing takes it back."""

from typing import TYPE_CHECKING

from textual import on

from console.asking import Question
from console.client import privacy
from console.screens.form import SEND, Entry, FormScreen
from console.widgets.erasures import blast_lines
from console.widgets.field import Field
from console.widgets.lines import EMPTY, Line, line, outside
from console.widgets.view import View
from contract.audit import AuditPage
from contract.privacy import Erasure, ErasureRequest, ErasureStatus
from contract.reasons import MAX_REASON_CHARS

if TYPE_CHECKING:
    from console.client.errors import ClientError

_SUBJECT = Entry("subject", "Person", "the name of their account", 100)
_REASON = Entry("reason", "Reason", "why they are to be forgotten", MAX_REASON_CHARS)
_NAME = Entry("name", "Confirm", "type the name again to confirm", 100)
_CAP = 10_000


class EraseScreen(FormScreen):
    """Step one with a person and a reason, step two with a request; both with the typed name."""

    BUTTON_STYLE = "bad"

    def __init__(self, subject: str = "", request: Erasure | None = None) -> None:
        self.FIELDS = (_SUBJECT, _REASON, _NAME) if request is None else (_NAME,)  # type: ignore[misc]
        self.BUTTON = "Ask to erase" if request is None else "Erase for ever"  # type: ignore[misc]
        super().__init__("Erase a person")
        self._subject = subject
        self._request = request
        self._counted: tuple[str, int | None, int] | None = None
        """Whom it was counted for, how many entries, the count's cap; None for the number where nobody could tell."""

    def on_mount(self) -> None:
        """Start with the person who was meant."""
        if self._request is None:
            self.query_one("#subject", Field).value = self._subject
        else:
            self._count(self._request.subject)

    def sentence(self, view: View) -> Line:
        """What this step is."""
        own = self._request is not None and self._request.requested_by == self.desk.who.name
        text = (
            "You asked for this yourself: another person has to erase."
            if own
            else "You are the second person: this cannot be taken back."
            if self._request is not None
            else "You ask; another person has to erase. Nothing is erased before that."
        )
        return line((f" {view.glyphs.near} ", "near"), text)

    def about(self, view: View) -> list[Line]:
        """Whom, who asked and why, and what it erases."""
        who, request = self._who(), self._request
        rows: list[Line] = []
        if request is not None:
            rows = [
                line(("person  ", "dim"), (outside(request.subject, 60), "bold")),
                line(("asked   ", "dim"), outside(f"by {request.requested_by}: {request.reason}", view.width)),
                EMPTY,
            ]
        elif not who or self._counted is None or self._counted[0] != who:
            return [line(("What it erases is shown here once the name stands twice.", "dim")), EMPTY, EMPTY, EMPTY]
        known = self._counted if self._counted is not None and self._counted[0] == who else None
        refused = known is not None and known[1] is None
        number, cap = (known[1], known[2]) if known is not None else (None, _CAP)
        return [*rows, *blast_lines(who, number, cap, view, refused=refused)]

    def _who(self) -> str:
        return self._request.subject if self._request is not None else self.text("subject")

    def missing(self) -> str:
        """What is still to be typed or learned."""
        who = self._who()
        if not who:
            return "name the person"
        if self._request is None and not self.text("reason"):
            return "say why"
        if self.text("name") != who:
            return f"type {who} to confirm"
        if self._counted is None or self._counted[0] != who:
            return "wait for what it erases"
        return ""

    @on(Field.Changed)
    def _named(self) -> None:
        """Count once the name stands twice: each count is a search that is recorded."""
        who = self._who()
        if who and self.text("name") == who and (self._counted is None or self._counted[0] != who):
            self._count(who)

    def _count(self, who: str) -> None:
        if self.desk.api is not None and not self.questions.is_waiting("count"):
            self.ask("count", lambda api: api.audit(limit=1, user=who, count="true"), who)

    def send(self) -> None:
        """Ask for the erasure, or erase."""
        request = self._request
        if request is not None:
            self.ask(SEND, lambda api: privacy.decide_erasure(api, request.id, "approve"), request.id)
        else:
            wanted = ErasureRequest(subject=self._who(), reason=self.text("reason"))
            self.ask(SEND, lambda api: privacy.request_erasure(api, wanted), wanted.subject)

    def answered(self, question: Question, value: object) -> None:
        """The count, or what became of the act."""
        if isinstance(value, AuditPage):
            self._counted = (question.about, value.total or len(value.items), value.total_cap)
        elif isinstance(value, Erasure):
            erased = value.status is ErasureStatus.ERASED
            values = f"{value.values_erased:,} values of " if value.values_erased is not None else ""
            self.done(
                f"Erased: {values}{value.subject} can never be read again."
                if erased
                else f"Asked: another person has to erase {value.subject} (T)."
            )

    def refused(self, question: Question, error: "ClientError") -> bool:
        """Without a count the dialog says so; the act's own refusals stand beside the buttons."""
        from console.state.problems import ends_session

        if question.topic == "count" and not ends_session(error):
            self._counted = (question.about, None, _CAP)
            return True
        return super().refused(question, error)
