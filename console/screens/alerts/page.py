"""The page about one alert: everything known of it, with its history."""

from typing import TYPE_CHECKING, ClassVar, Final

from textual import on

from console.actions import Context
from console.asking import Question
from console.client import alert_work
from console.screens.alerts.working import AlertWork, is_acknowledgement
from console.screens.reading.screen import ReadingScreen, Row
from console.state.floor import Floor, waits
from console.widgets import alert_page
from console.widgets import alerts as draw
from console.widgets.lines import Line, outside
from console.widgets.rows import Rows
from console.widgets.view import View
from contract.alert_work import AlertEvent
from contract.alerts import Alert, AlertStatus, Link
from contract.base import Page

if TYPE_CHECKING:
    from console.client.errors import ClientError

_EVENTS: Final = 200
"""More than a person reads at once; older ones are loaded at the end of the page."""
_OLDER: Final = "older"
_HISTORY_ROW: Final = "history:#1"


class AlertScreen(ReadingScreen, AlertWork):
    """Everything known of one alert; follows it while it changes."""

    CONTEXTS: ClassVar[tuple[Context, ...]] = (Context.ALERT, Context.READING)
    CLOSED = False

    def __init__(self, alert: Alert, *, at_history: bool = False) -> None:
        """Show an alert, at its history if that was asked for."""
        super().__init__("Alert", self._page)
        self._alert = alert
        self._events: list[AlertEvent] | None = None
        self._cursor: str | None = None
        """Where the history goes on behind what is shown; None: that is all of it."""
        self._problem = ""
        self._asked_for: tuple[object, ...] = ()
        """The state of the alert of which the history was asked for last."""
        self._at_history = at_history

    def sentence(self, view: View) -> Line:  # noqa: ARG002  it says nothing that depends on the room
        """What somebody should do about it."""
        alert = self._current()
        if alert.status is AlertStatus.CLEARED:
            return self.headline_line("ok", "Its rule has cleared it.")
        if alert.muted_by:
            return self.headline_line("unknown", "It is muted: nobody is told, and no clock runs.")
        if waits(alert):
            return self.headline_line("near", "It waits for somebody: a acknowledges, u shows the runbook.")
        return self.headline_line("ok", f"{outside(alert.acknowledged_by or 'Somebody', 40)} has seen it.")

    def _current(self) -> Alert:
        """The alert as it is known now."""
        floor = self.desk.floor
        for known in (floor.alerts, floor.cleared) if floor is not None else ():
            found = known.get(self._alert.id)
            if found is not None and found.updated_at >= self._alert.updated_at:
                self._alert = found
        return self._alert

    def _page(self, view: View) -> list[Row]:
        alert, floor = self._current(), self.desk.floor or Floor()
        history = alert_page.history_rows(self._events, self._problem, view, more=self._cursor is not None)
        return [*draw.detail_rows(alert, floor, view), *history, *alert_page.label_rows(alert, view)]

    def draw(self, view: View) -> None:
        """Bring the page up to date, and the history with the alert."""
        super().draw(view)
        alert, floor = self._current(), self.desk.floor
        state = (alert.updated_at, alert.status, floor.many_changed if floor is not None else 0)
        if state != self._asked_for and not self.questions.is_waiting("events") and self.desk.api is not None:
            self._asked_for = state
            self._ask_events()

    def _ask_events(self) -> None:
        self.questions.forget(_OLDER)
        ident = self._alert.id
        self.ask("events", lambda api: alert_work.events(api, ident, limit=_EVENTS), ident)

    def answered(self, question: Question, value: object) -> None:
        """The history, or the alert as it was acknowledged."""
        if isinstance(value, Page) and question.topic == _OLDER:
            self._take_older(value)
        elif isinstance(value, Page):
            self._take_newest(value)
            if self._at_history:
                self._at_history = False
                self.call_later(self._to_history)
        elif isinstance(value, Alert):
            self.acted([value])
            if is_acknowledgement(question):
                self.desk.say("done", draw.acknowledged_text(value))

    def _take_newest(self, page: Page[AlertEvent]) -> None:
        """The newest lines; older ones stay where the two meet, else they are loaded again."""
        known = [one.id for one in self._events or ()]
        last = page.items[-1].id if page.items else ""
        older = (self._events or [])[known.index(last) + 1 :] if last in known else []
        self._events, self._problem = [*page.items, *older], ""
        if not older:
            self._cursor = page.next_cursor

    def _take_older(self, page: Page[AlertEvent]) -> None:
        self._events, self._cursor, self._problem = [*(self._events or ()), *page.items], page.next_cursor, ""

    def _load_older(self) -> None:
        cursor, ident = self._cursor, self._alert.id
        if cursor is not None and not self.questions.is_waiting(_OLDER) and not self.questions.is_waiting("events"):
            self.ask(_OLDER, lambda api: alert_work.events(api, ident, limit=_EVENTS, cursor=cursor), ident)

    @on(Rows.Moved, "#page")
    def _near_the_end(self) -> None:
        """Load older lines for whoever goes there: a page that is only opened loads no more than it shows."""
        rows = self.query_one("#page", Rows)
        if rows.at_end and rows.position[0] > rows.size.height:
            self._load_older()

    def refused(self, question: Question, error: "ClientError") -> bool:
        """A history that cannot be had is missing on the page; the rest of it stands."""
        from console.state.problems import describe, ends_session

        if question.topic not in {"events", _OLDER} or ends_session(error):
            return False
        self._problem = describe(error)
        return True

    async def follow(self, link: Link) -> None:
        """Go to what a link points at, or load what is older; the heading of the history leads nowhere."""
        if link == alert_page.OLDER:
            self._load_older()
        elif link != alert_page.HISTORY:
            await super().follow(link)

    def _to_history(self) -> None:
        rows = self.query_one("#page", Rows)
        rows.do_list_bottom("")
        rows.select(_HISTORY_ROW)

    # what is worked on

    def meant(self) -> list[Alert]:
        """The one on the page."""
        return [self._current()]

    def acted(self, alerts: list[Alert]) -> None:
        """Show it as the act has left it, and ask what was written down."""
        for alert in alerts:
            if alert.id == self._alert.id:
                self._alert = alert
                self._ask_events()

    async def do_alert_history(self, _: str) -> None:
        """Go to the history."""
        self._to_history()
