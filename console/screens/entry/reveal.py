"""The dialog that reveals the sealed values of one entry, for a reason, and says that this is recorded."""

from collections.abc import Callable
from typing import ClassVar

from console.asking import Question
from console.screens.form import SEND, Entry, FormScreen
from console.state.sealed import place_of, sealed_fields
from console.widgets.lines import EMPTY, Line, label_text, line, outside, wrap
from console.widgets.view import View
from contract.audit import AuditEntry
from contract.privacy import Revealed, RevealRequest
from contract.reasons import MAX_REASON_CHARS


class RevealScreen(FormScreen):
    """Opens sealed values; they go to the page that asked, and nowhere else."""

    FIELDS: ClassVar[tuple[Entry, ...]] = (Entry("reason", "Reason", "why you have to know", MAX_REASON_CHARS),)
    BUTTON = "Reveal"

    def __init__(self, entry: AuditEntry, taken: Callable[[Revealed], None]) -> None:
        super().__init__("Reveal")
        self._entry = entry
        self._taken = taken

    def sentence(self, view: View) -> Line:
        """That it is recorded."""
        return line((f" {view.glyphs.near} ", "near"), "That you reveal this, and why, becomes an audit entry itself.")

    def about(self, view: View) -> list[Line]:
        """Which values of which entry."""
        fields = ", ".join(label_text(name) for name in sealed_fields(self._entry))
        said = "The values are shown on the page of the entry until you leave it. They are not kept and not copied."
        return [
            line(("entry   ", "dim"), (outside(self._entry.event_type, 60), "bold"), f"  {place_of(self._entry)}"),
            line(("by      ", "dim"), outside(self._entry.user_id or "system", 60)),
            line(("sealed  ", "dim"), outside(fields, 300)),
            EMPTY,
            *(line((row, "dim")) for row in wrap(said, view.width)),
        ]

    def missing(self) -> str:
        """A reason."""
        return "" if self.text("reason") else "say why"

    def send(self) -> None:
        """Reveal."""
        request = RevealRequest(reason=self.text("reason"))
        ident = self._entry.id
        self.ask(SEND, lambda api: api.reveal(ident, request), ident)

    def answered(self, question: Question, value: object) -> None:  # noqa: ARG002  one topic
        """Hand the values to the page and close."""
        if isinstance(value, Revealed):
            self._taken(value)
            self.desk.call_later(self.desk.leave, self)
