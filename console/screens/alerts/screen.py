"""The alerts: what crossed a limit, who has seen it, and what has cleared."""

from collections.abc import Mapping
from typing import ClassVar

from console.actions import Context
from console.asking import Question
from console.screens.lists import ListScreen
from console.screens.reading.screen import ReadingScreen, Row
from console.state import alert_book
from console.state.alert_book import AlertBook
from console.state.floor import Floor
from console.widgets import alerts as draw
from console.widgets import overview
from console.widgets.lines import Line, line
from console.widgets.view import View
from contract.alerts import Alert, AlertStatus
from contract.base import Page


class AlertsScreen(ListScreen):
    """Every alert that is not cleared, the most urgent first; below them the last that cleared."""

    TITLE_TEXT: ClassVar[str] = "Alerts"
    CONTEXTS = (Context.ALERTS,)

    def __init__(self) -> None:
        super().__init__()
        self._book = AlertBook()
        self._alerts: dict[str, Alert] = {}
        self._known_from: tuple[object, ...] = ()
        self._ids: list[str] = []
        self._wanted = ""

    def on_screen_resume(self) -> None:
        """Load the first page when the screen is first shown."""
        if self._book.next_page is not None and not self._book.loaded:
            self.load_more()

    def sentence(self, view: View) -> Line:
        """How many wait for somebody."""
        floor = self.desk.floor
        if floor is None or floor.loaded_at is None:
            return line((f" {view.glyphs.unknown} ", "dim"), ("Nothing is known yet.", "dim"))
        waiting = [one for one in self._known(floor).values() if one.status == "open"]
        if not waiting:
            mood, text = "ok", "Every alert has been seen." if floor.counts.total else "No alert is open."
        else:
            mood = "bad" if any(one.severity == "critical" for one in waiting) else "near"
            plural = "s wait" if len(waiting) > 1 else " waits"
            text = f"{len(waiting):,} alert{plural} for somebody: press a to acknowledge the selected one."
        return self.headline_line(mood, text)

    def list_title(self, view: View) -> Line:
        """How many are shown."""
        floor = self.desk.floor or Floor()
        known = sum(alert.status is not AlertStatus.CLEARED for alert in self._alerts.values())
        total = max(floor.counts.total, known)
        return draw.list_title(
            floor,
            view,
            shown=len(self._ids),
            known=known,
            total=total,
            cleared=len(self._alerts) - known,
            filter_text=self.filter_text,
        )

    def load_rows(self, view: View) -> None:
        """Show what is known and passes the filter."""
        floor = self.desk.floor or Floor()
        alerts = self._known(floor)
        empty = overview.no_alerts(floor, view)
        if alerts and not self._ids:
            empty = [
                line(
                    (f"None of {len(alerts):,} alerts contains that. ", ""),
                    ("Esc", "key"),
                    (" clears the filter.", "dim"),
                )
            ]
        self.rows.load(
            self._ids, lambda ident, width: overview.alert_row(alerts[ident], floor, view.sized(width)), empty
        )
        if self._wanted and self.rows.select(self._wanted):
            self._wanted = ""

    def _known(self, floor: Floor) -> Mapping[str, Alert]:
        source = (self._book, floor.alerts, floor.cleared, self.filter_text)
        if len(self._known_from) != len(source) or any(
            a is not b for a, b in zip(source, self._known_from, strict=True)
        ):
            self._known_from = source
            self._alerts = alert_book.current(self._book, floor.alerts, floor.cleared)
            self._ids = alert_book.filtered(self._alerts, self.filter_text)
        return self._alerts

    def _selected(self) -> Alert | None:
        return self._alerts.get(self.rows.selected or "")

    def detail_lines(self, view: View) -> list[Line]:
        """The selected alert."""
        selected = self._selected()
        return draw.detail_lines(selected, self.desk.floor or Floor(), view, self.place) if selected else []

    # loading

    def load_more(self) -> None:
        """Load the next page, if there is one and none is on its way."""
        page = self._book.next_page
        if page is None or self.questions.is_waiting("alerts") or self.desk.api is None:
            return
        status, cursor, rows = page
        self.ask("alerts", lambda api: api.alerts(status=status, cursor=cursor, limit=rows), status)

    def set_filter(self, text: str) -> None:
        """Filter, and load the rest: what is not loaded cannot be found."""
        super().set_filter(text)
        if text:
            self.load_more()

    def answered(self, question: Question, value: object) -> None:
        """Take in a page, one alert, or an acknowledgement."""
        if isinstance(value, Page):
            self._book = self._book.with_page(value)
            if self.filter_text or len(self._book.loaded) < alert_book.PAGE_ROWS:
                self.load_more()
        elif isinstance(value, Alert):
            self._book = self._book.with_alert(value)
            if question.topic == "ack":
                cleared = value.status is AlertStatus.CLEARED
                then = ", which clears it." if cleared else "; it stays until its rule clears it."
                self.desk.say("done", f"Acknowledged {value.rule} on {value.scope}{then}")

    def reveal(self, ident: str) -> None:
        """Select an alert; one that is not known yet is loaded."""
        self._wanted = ident
        super().reveal(ident)
        if ident not in self._alerts:
            self.ask("alert", lambda api: api.alert(ident), ident)
        else:
            self._wanted = ""

    # actions

    def do_alert_ack(self, _: str) -> None:
        """Say that the operator has seen the selected alert."""
        selected = self._selected()
        if selected is not None:
            self.ask("ack", lambda api: api.acknowledge(selected.id), selected.id)

    async def do_open(self, _: str) -> None:
        """Show everything about the selected alert."""
        selected = self._selected()
        if selected is None:
            return
        ident = selected.id

        def rows(view: View) -> list[Row]:
            return draw.detail_rows(self._alerts.get(ident, selected), self.desk.floor or Floor(), view)

        await self.desk.push_screen(ReadingScreen("Alert", rows))

    async def do_follow(self, argument: str) -> None:
        """Go to what the alert points at, or choose if there are several."""
        selected = self._selected()
        if selected is None or not selected.links:
            self.desk.say("refused", "The selected alert has no links.")
        elif len(selected.links) == 1:
            await self.desk.show_link(selected.links[0].kind, selected.links[0].id)
        else:
            await self.do_open(argument)

    def copy_text(self) -> str:
        """The selected alert in one paragraph."""
        selected = self._selected()
        if selected is None:
            return ""
        facts = ", ".join(f"{name} {value}" for name, value in selected.facts.items())
        return f"{selected.id} {selected.rule} {selected.severity.value} {selected.scope} {selected.message} ({facts})"
