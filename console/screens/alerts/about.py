"""Pages beside an alert: what changed around it, and its runbook."""

from typing import TYPE_CHECKING

from console.asking import Question
from console.client import alert_work
from console.screens.reading.screen import ReadingScreen, Row
from console.widgets import alert_page
from console.widgets.lines import Line, line, outside
from console.widgets.view import View
from contract.alert_work import Around
from contract.alerts import Alert

if TYPE_CHECKING:
    from console.client.errors import ClientError


class AroundScreen(ReadingScreen):
    """What changed around the time at which an alert began."""

    def __init__(self, alert: Alert) -> None:
        super().__init__("Around", self._page)
        self._alert = alert
        self._around: Around | None = None
        self._problem = ""

    def on_mount(self) -> None:
        """Ask at once."""
        ident = self._alert.id
        self.ask("around", lambda api: alert_work.around(api, ident), ident)

    def answered(self, question: Question, value: object) -> None:  # noqa: ARG002  one topic
        """Take it in."""
        if isinstance(value, Around):
            self._around = value

    def refused(self, question: Question, error: "ClientError") -> bool:  # noqa: ARG002  one topic
        """The page says why it has nothing to show."""
        from console.state.problems import describe, ends_session

        if ends_session(error):
            return False
        self._problem = describe(error)
        return True

    def sentence(self, view: View) -> Line:
        """What is shown, or why nothing is."""
        if self._problem:
            return self.headline_line("near", f"Nothing is known: {self._problem}")
        if self._around is None:
            return line((f" {view.glyphs.unknown} ", "dim"), ("Asking what changed around it.", "dim"))
        count, rule = len(self._around.items), outside(self._alert.rule, 60)
        changes = "Nothing" if not count else f"{count:,} thing{'' if count == 1 else 's'}"
        span = f"{self._around.since:%H:%M} and {self._around.until:%H:%M} UTC"
        return self.headline_line("unknown", f"{changes} changed between {span}, around {rule}.")

    def _page(self, view: View) -> list[Row]:
        return alert_page.around_rows(self._alert, self._around, view) if self._around is not None else []


class RunbookScreen(ReadingScreen):
    """What to do about an alert."""

    def __init__(self, alert: Alert) -> None:
        super().__init__("Runbook", lambda view: alert_page.runbook_rows(alert, view))
        self._alert = alert

    def sentence(self, view: View) -> Line:  # noqa: ARG002  it says nothing that depends on the room
        """Which alert it is about."""
        return self.headline_line("unknown", f"{self._alert.rule}: {self._alert.message}")

    def copy_text(self) -> str:
        """The address, or the whole page where there is none."""
        return self._alert.runbook_url or super().copy_text()
