"""How soon incidents were seen, answered and ended: a table, a chart by month, and who kept the policy's times."""

from datetime import timedelta
from typing import TYPE_CHECKING, ClassVar, Final

from console.actions import Context
from console.asking import Question
from console.client import incidents
from console.screens.reading.screen import ReadingScreen, Row
from console.state.floor import Floor
from console.widgets.incident_parts import duration, figure_rows
from console.widgets.lines import Line
from console.widgets.view import View
from contract.incidents import IncidentStats, Interval, IntervalStat

if TYPE_CHECKING:
    from console.client.errors import ClientError

_SPANS_DAYS: Final = (90, 365, 30)
_LOOK: Final = "figures"


class FiguresScreen(ReadingScreen):
    """Real incidents first; drills apart."""

    CONTEXTS: ClassVar[tuple[Context, ...]] = (Context.FIGURES, Context.READING)
    CLOSED = False
    IS_PAGE = True

    def __init__(self) -> None:
        super().__init__("Incident figures", self._page)
        self._stats: IncidentStats | None = None
        self._problem = ""
        self._drills = False
        self._span = 0

    def on_mount(self) -> None:
        """Ask at once."""
        self.look()

    def look(self) -> None:
        """Ask for the figures of the span."""
        drills = self._drills
        now = (self.desk.latest or Floor()).now(self.desk.now())
        since = (now - timedelta(days=_SPANS_DAYS[self._span])).isoformat()
        if self.desk.api is not None:
            self.ask(_LOOK, lambda api: incidents.stats(api, drills=drills, since=since))

    def answered(self, question: Question, value: object) -> None:
        """The figures."""
        if question.topic == _LOOK and isinstance(value, IncidentStats):
            self._stats, self._problem = value, ""

    def refused(self, question: Question, error: "ClientError") -> bool:  # noqa: ARG002  one topic
        """The sentence says that what is shown is old."""
        from console.state.problems import describe, ends_session

        self._problem = describe(error)
        return not ends_session(error)

    def sentence(self, view: View) -> Line:  # noqa: ARG002  it says nothing that depends on the room
        """The median until it was over, and how many it is made of."""
        if self._problem:
            return self.headline_line("near", f"Nothing newer is known: {self._problem}")
        if self._stats is None:
            return self.headline_line("unknown", "Asking for the figures.")
        return self.headline_line(*_said(self._stats, _SPANS_DAYS[self._span]))

    def _page(self, view: View) -> list[Row]:
        return [(row, None) for row in figure_rows(self._stats, view)] if self._stats else []

    def do_figures_drills(self, _: str) -> None:
        """Drills, or real incidents again."""
        self._drills = not self._drills
        self.look()

    def do_figures_span(self, _: str) -> None:
        """Another span of time."""
        self._span = (self._span + 1) % len(_SPANS_DAYS)
        self.look()


def _said(stats: IncidentStats, days: int) -> tuple[str, str]:
    whole = next((one for one in stats.groups if one.month is None and one.severity is None), None)
    what = "drill" if stats.drills else "incident"
    if whole is None or not whole.incidents:
        return "ok", f"No {what} in {days} days."
    count = f"{whole.incidents:,} {what}{'' if whole.incidents == 1 else 's'} in {days} days"
    over = next((one for one in whole.intervals if one.interval is Interval.TTR), None)
    return "ok", f"{count}; {_until_over(over, whole.incidents)}."


def _until_over(over: IntervalStat | None, count: int) -> str:
    """How long they took, and of how many of them that is known."""
    if over is None or not over.n:
        return "how long it took is not known yet" if count == 1 else "how long they took is not known of any yet"
    took = f"over within {duration(over.median_s)}"
    if over.n == 1:
        return f"it was {took}" if count == 1 else f"the one timed was {took}"
    return f"half of them were {took}" if over.n == count else f"half of the {over.n:,} timed ones were {took}"
