"""Reports of incidents that were written elsewhere: the list, searched by the backend, and one as Markdown."""

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, ClassVar, Final

from console.actions import Context
from console.asking import Call, Question
from console.client import postmortems
from console.screens.reading.screen import ReadingScreen, Row
from console.screens.reading.watched import PAGE_ROWS, WatchedScreen
from console.widgets import reports as draw
from console.widgets.lines import line
from console.widgets.view import View
from contract.alerts import Link
from contract.postmortem import ImportedReport, ReportText

if TYPE_CHECKING:
    from console.client.errors import ClientError

_READ: Final = "report"


class ReportsScreen(WatchedScreen):
    """The newest import first; `/` searches title, name and text of all of them."""

    CONTEXTS: ClassVar[tuple[Context, ...]] = (Context.REPORTS, Context.READING)
    ASKING = "Asking for imported reports."
    SAYS_ALL = True

    def __init__(self, words: str = "") -> None:
        super().__init__("Imported reports")
        self.filter_text = words
        self._known: list[ImportedReport] = []
        self._asked_for = ""
        self._searched = ""
        """What the list that is shown was searched for."""

    def look(self) -> None:
        """Ask for the list, and remember what for."""
        self._asked_for = self.filter_text
        super().look()

    def list_call(self) -> Call:
        """The newest ones, or those that contain the words."""
        words = self.filter_text or None
        return lambda api: postmortems.reports(api, limit=PAGE_ROWS, q=words)

    def take(self, items: list[ImportedReport]) -> None:
        """Keep them."""
        self._known, self._searched = items, self._asked_for

    def set_filter(self, text: str) -> None:
        """Search: the backend knows the texts."""
        self.filter_text = text
        self.look()
        self.redraw()

    def said(self) -> tuple[str, str]:
        """How many there are, or how many the search found."""
        count = f"{len(self._known):,}{'+' if self._more else ''} report{'' if len(self._known) == 1 else 's'}"
        if self._searched:
            return "unknown", f"{count} found. Esc shows all."
        if not self._known:
            return "unknown", "No report has been imported."
        return "ok", f"{count} written elsewhere. Enter reads one, / searches their texts."

    def listed(self, now: datetime, view: View) -> list[Row]:  # noqa: ARG002  reports have a date, not an age
        """One row each."""
        if not self._known and self._searched:
            hint = 'No report contains that. "A phrase" in quotes, or, and -without are understood.'
            return [(line((hint, "dim")), None)]
        if not self._known:
            return [(line(("On the command line: watchfloor incidents import FOLDER", "dim")), None)]
        rows: list[Row] = [(draw.head(view), None)]
        return rows + [(draw.row(one, view), Link(kind="report", id=one.id, label="")) for one in self._known]

    def answered(self, question: Question, value: object) -> None:
        """The list, or the text of one."""
        if question.topic == _READ and isinstance(value, ReportText):
            page = ReadingScreen(value.report.id, _once_per_width(value), draw.sentence(value.report))
            self.desk.call_later(self.desk.push_screen, page)
        else:
            super().answered(question, value)

    def refused(self, question: Question, error: "ClientError") -> bool:
        """A text that does not come is said in the message line."""
        return False if question.topic == _READ else super().refused(question, error)

    async def follow(self, link: Link) -> None:
        """Read one."""
        ident = link.id
        self.ask(_READ, lambda api: postmortems.report(api, ident), ident)

    async def do_reading_close(self, argument: str) -> None:
        """Show all again after a search, else close."""
        if self.filter_text:
            self.set_filter("")
        else:
            await super().do_reading_close(argument)


def _once_per_width(found: ReportText) -> Callable[[View], list[Row]]:
    """The page of a report, laid out again only for another width: a long one takes a while."""
    laid_out: dict[int, list[Row]] = {}

    def page(view: View) -> list[Row]:
        if view.width not in laid_out:
            laid_out.clear()
            laid_out[view.width] = [(row, None) for row in draw.page(found, view)]
        return laid_out[view.width]

    return page
