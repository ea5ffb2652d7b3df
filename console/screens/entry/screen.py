"""The page of one audit entry: what happened, who did it, its place in the ledger, what it leads to.

Revealed values are shown here and nowhere else: they are gone as soon as anything else is shown, and never copied.
"""

from typing import ClassVar

from console.actions import Context
from console.asking import Question
from console.screens.reading.screen import ReadingScreen, Row
from console.state.floor import Floor
from console.state.sealed import sealed_fields
from console.widgets import entry as draw
from console.widgets.lines import EMPTY, Line, line, outside
from console.widgets.view import View
from contract.alerts import Link
from contract.audit import AuditEntry
from contract.privacy import Revealed
from contract.verification import EntryProof


class EntryScreen(ReadingScreen):
    """All of one entry."""

    CONTEXTS: ClassVar[tuple[Context, ...]] = (Context.ENTRY, Context.READING)

    def __init__(self, entry: AuditEntry) -> None:
        super().__init__("Audit entry", self._page)
        self._entry = entry
        self._proof: EntryProof | None = None
        self._revealed: Revealed | None = None

    def sentence(self, view: View) -> Line:
        """What happened."""
        return self.headline_line(*draw.sentence_parts(self._entry, (self.desk.latest or Floor()).now(view.desk_now)))

    def _page(self, view: View) -> list[Row]:
        opened = self._revealed.values if self._revealed is not None else {}
        rows = [*draw.what_rows(self._entry, view), *draw.who_rows(self._entry, opened, view)]
        if self._revealed is not None:
            said = f"Hidden when you leave. Recorded as {outside(self._revealed.recorded_as, 60)}."
            rows.append(line((f"{view.glyphs.near} ", "near"), said))
        waiting = self.questions.is_waiting("proof")
        rows += draw.ledger_rows(self._entry, self._proof, view, asking=waiting)
        page: list[Row] = [(row, None) for row in (*rows, EMPTY)]
        for row, by in draw.follow_rows(self._entry, view):
            page.append((row, Link(kind="related", id=f"{by.value}:{self._entry.id}", label="")))
        return page

    def on_screen_suspend(self) -> None:
        """Hide again what was revealed."""
        self._revealed = None
        self.redraw()

    def take_revealed(self, values: Revealed) -> None:
        """Show revealed values until something else is shown."""
        self._revealed = values
        self.redraw()

    # actions

    def do_entry_proof(self, _: str) -> None:
        """Ask whether a signed head covers the entry."""
        ident = self._entry.id
        self.ask("proof", lambda api: api.proof(ident), ident)
        self.redraw()

    async def do_entry_reveal(self, _: str) -> None:
        """Ask for the reason for which sealed values are to be shown."""
        from console.screens.entry.reveal import RevealScreen

        if not sealed_fields(self._entry):
            self.desk.say("refused", "This entry has no sealed value.")
            return
        await self.desk.push_screen(RevealScreen(self._entry, self.take_revealed))

    def answered(self, question: Question, value: object) -> None:  # noqa: ARG002  one topic
        """The proof."""
        if isinstance(value, EntryProof):
            self._proof = value

    def copy_text(self) -> str:
        """The entry as the backend sent it; what was revealed is not in it."""
        return self._entry.model_dump_json(indent=1)
