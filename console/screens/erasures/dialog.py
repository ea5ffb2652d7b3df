"""The dialog that asks for a person to be erased, or erases them as the second person. Nothing takes it back.

What it would destroy is shown as soon as the person is known: before a reason is given and before it can be sent.
"""

from typing import TYPE_CHECKING

from textual import events

from console.asking import Question
from console.client import privacy
from console.screens.form import SEND, Entry, FormScreen
from console.widgets.erasures import blast_lines
from console.widgets.field import Field
from console.widgets.lines import EMPTY, Line, line, outside, wrap
from console.widgets.view import View
from contract.errors import ErrorCode
from contract.privacy import Erasure, ErasurePreview, ErasureRequest, ErasureStatus
from contract.reasons import MAX_REASON_CHARS

if TYPE_CHECKING:
    from console.client.errors import ClientError

_SUBJECT = Entry("subject", "Person", "the name of their account", 100)
_REASON = Entry("reason", "Reason", "why they are to be forgotten", MAX_REASON_CHARS)
_NAME = Entry("name", "Confirm", "type the name again to confirm", 100)
_PREVIEW = "preview"


class EraseScreen(FormScreen):
    """Step one with a person and a reason, step two with a request; both with the typed name."""

    BUTTON_STYLE = "bad"

    def __init__(self, subject: str = "", request: Erasure | None = None) -> None:
        self.FIELDS = (_SUBJECT, _REASON, _NAME) if request is None else (_NAME,)  # type: ignore[misc]
        self.BUTTON = "Ask to erase" if request is None else "Erase for ever"  # type: ignore[misc]
        super().__init__("Erase a person")
        self._subject = subject
        self._request = request
        self._previews: dict[str, ErasurePreview | str] = {}
        """By the name asked for: what it erases, or why that could not be learned."""

    def on_mount(self) -> None:
        """Start with the person who was meant."""
        if self._request is None:
            self.query_one("#subject", Field).value = self._subject
        self._learn()

    def sentence(self, view: View) -> Line:
        """What this step is."""
        text = (
            "You asked for this yourself: another person has to erase."
            if self._is_own
            else "You are the second person: this cannot be taken back."
            if self._request is not None
            else "You ask; another person has to erase. Nothing is erased before that."
        )
        return line((f" {view.glyphs.near} ", "near"), text)

    def about(self, view: View) -> list[Line]:
        """Whom, who asked and why, and what it erases."""
        request, found = self._request, self._previews.get(self._who())
        rows: list[Line] = []
        if request is not None:
            rows = [
                line(("person    ", "dim"), (outside(request.subject, 60), "bold")),
                line(("asked     ", "dim"), outside(f"by {request.requested_by}: {request.reason}", view.width)),
                EMPTY,
            ]
        if isinstance(found, ErasurePreview):
            return [*rows, *blast_lines(found, view)]
        if isinstance(found, str):
            parts = wrap(outside(found, 200), max(view.width - 2, 10))
            marks = [f"{view.glyphs.near} ", *["  "] * len(parts)]
            return [*rows, *(line((mark, "near"), (part, "near")) for mark, part in zip(marks, parts, strict=False))]
        asked = self.questions.is_waiting(_PREVIEW)
        said = f"Asking what it would erase{view.glyphs.ellipsis}" if asked else "What it would erase is shown here."
        return [*rows, line((said, "dim")), EMPTY, EMPTY]

    def _who(self) -> str:
        return self._request.subject if self._request is not None else self.text("subject")

    @property
    def _is_own(self) -> bool:
        return self._request is not None and self._request.requested_by == self.desk.who.name

    def missing(self) -> str:
        """What is still to be typed or learned."""
        who = self._who()
        found = self._previews.get(who)
        if self._is_own:
            return "leave it to another person"
        if not who:
            return "name the person"
        if not isinstance(found, ErasurePreview):
            return self._unlearned(found)
        if self._request is not None and found.legal_holds:
            return "lift the legal hold first"
        if self._request is None and not self.text("reason"):
            return "say why"
        return "" if self.text("name") == who else f"type {who} to confirm"

    def _unlearned(self, problem: str | None) -> str:
        if problem is not None:
            return "learn what it would erase first"
        return "wait for what it erases" if self.questions.is_waiting(_PREVIEW) else "Tab shows what it erases"

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        """Whoever leaves the person's field learns what it would erase."""
        if event.widget.id != "subject":
            self._learn()

    def _learn(self) -> None:
        who = self._who()
        known = self._previews.get(who)
        if who and not isinstance(known, ErasurePreview) and self.desk.api is not None:
            self.ask(_PREVIEW, lambda api: privacy.preview_erasure(api, who), who)
            self.redraw()

    def send(self) -> None:
        """Ask for the erasure, or erase."""
        request = self._request
        if request is not None:
            self.ask(SEND, lambda api: privacy.decide_erasure(api, request.id, "approve"), request.id)
        else:
            wanted = ErasureRequest(subject=self._who(), reason=self.text("reason"))
            self.ask(SEND, lambda api: privacy.request_erasure(api, wanted), wanted.subject)

    def answered(self, question: Question, value: object) -> None:
        """What it would erase, or what became of the act."""
        if isinstance(value, ErasurePreview):
            self._previews[question.about] = value
        elif isinstance(value, Erasure):
            erased = value.status is ErasureStatus.ERASED
            values = f"{value.values_erased:,} values of " if value.values_erased is not None else ""
            self.done(
                f"Erased: {values}{value.subject} can never be read again."
                if erased
                else f"Asked: another person has to erase {value.subject} (T)."
            )

    def refused(self, question: Question, error: "ClientError") -> bool:
        """Without a preview the dialog says so; the act's own refusals stand beside the buttons."""
        from console.client.errors import ApiError
        from console.state.problems import describe, ends_session

        if question.topic != _PREVIEW or ends_session(error):
            return super().refused(question, error)
        unknown = isinstance(error, ApiError) and error.code is ErrorCode.NOT_FOUND
        said = f"Nobody in the ledger is called {question.about}." if unknown else describe(error)
        self._previews[question.about] = said if unknown else f"What it would erase could not be learned. {said}"
        return True
