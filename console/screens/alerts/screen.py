"""The alerts: what crossed a limit, who has seen it, and what has cleared."""

from collections.abc import Mapping
from time import monotonic
from typing import TYPE_CHECKING, ClassVar, Final

from console.actions import Context
from console.asking import Question
from console.screens.alerts.listed import ListedAlerts
from console.screens.alerts.working import is_acknowledgement
from console.screens.lists import SIDE_COLUMNS, WIDE_COLUMNS, ListScreen
from console.state import alert_book
from console.state.alert_book import AlertBook
from console.state.floor import Floor
from console.widgets import alert_rows
from console.widgets import alerts as draw
from console.widgets.lines import Line, line
from console.widgets.view import View
from contract.alert_work import MAX_AT_ONCE
from contract.alerts import Alert, AlertStatus
from contract.base import Page

if TYPE_CHECKING:
    from console.client.errors import ClientError

RENEW_GAP_S: Final = 2.0
"""However often many alerts change at once, the pages are read again at most this often."""
_RENEW: Final = "renew"


class AlertsScreen(ListScreen, ListedAlerts):
    """Every alert that is not cleared, the most urgent first; below them muted ones, and the last that cleared."""

    TITLE_TEXT: ClassVar[str] = "Alerts"
    CONTEXTS = (Context.ALERTS,)
    STICKS = True

    def __init__(self) -> None:
        super().__init__()
        self._book = AlertBook()
        self._alerts: dict[str, Alert] = {}
        self._known_from: tuple[object, ...] = ()
        self._ids: list[str] = []
        self.tally = alert_book.Tally()
        self._wanted = ""
        self._marks: dict[str, None] = {}
        """Ids of marked alerts, in the order of marking."""
        self._new_book: AlertBook | None = None
        """The pages as they are now, while they are read again beside those that are shown."""
        self._renewed_for = 0
        self._renewed_s = -RENEW_GAP_S

    def on_screen_resume(self) -> None:
        """Load the first page when the screen is first shown."""
        if self._book.next_page is not None and not self._book.loaded:
            self._renewed_for = self._many_changed()
            self.load_more()

    # what a narrower list changes

    @property
    def narrowed(self) -> dict[str, str]:
        """What the backend is asked for besides a status."""
        return {}

    @property
    def heading(self) -> str:
        """The first words above the list."""
        return "ALERTS"

    def ours(self, alerts: Mapping[str, Alert]) -> Mapping[str, Alert]:
        """Those of the floor's alerts that belong on this list."""
        return alerts

    def total(self, floor: Floor) -> int:
        """How many neither cleared nor muted alerts there are, loaded or not."""
        return floor.counts.total

    # what is shown

    def sentence(self, view: View) -> Line:
        """How many wait for somebody."""
        floor = self.desk.floor
        if floor is None or floor.loaded_at is None:
            return line((f" {view.glyphs.unknown} ", "dim"), ("Nothing is known yet.", "dim"))
        self._known(floor)
        waiting, more = self.tally.waiting, self._has_more_open(floor)
        if marked := len(self.marked()):
            acts = "a acknowledges, s silences, r assigns; Esc unmarks."
            return self.headline_line("near", f"{marked:,} alert{' is' if marked == 1 else 's are'} marked: {acts}")
        if not waiting and more:
            mood, text = "unknown", f"None of the {self.tally.live:,} alerts loaded waits for anybody; more are open."
        elif not waiting:
            mood, text = "ok", "Every alert has been seen." if floor.counts.total else "No alert is open."
            if muted := self.tally.muted:
                mood, text = "near", f"No alert waits for anybody; {muted:,} {'is' if muted == 1 else 'are'} muted."
        else:
            mood = "bad" if self.tally.critical else "near"
            plural = "s wait" if waiting > 1 or more else " waits"
            count = f"{waiting:,}{'+' if more else ''} alert{plural}"
            text = f"{count} for somebody: press a to acknowledge the selected one."
        return self.headline_line(mood, text)

    def _has_more_open(self, floor: Floor) -> bool:
        """Whether not every open alert is loaded: what is counted then is not all."""
        known = self.tally.live - self.tally.muted
        return self._book.stage == 0 and (bool(self._book.loaded) or self.total(floor) > known)

    def list_title(self, view: View) -> Line:
        """How many are shown."""
        floor = self.desk.floor or Floor()
        shown = draw.Shown(
            shown=len(self._ids),
            known=self.tally.live,
            muted=self.tally.muted,
            total=self.total(floor),
            cleared=len(self._alerts) - self.tally.live,
            marked=len(self.marked()),
            filter_text=self.filter_text,
            heading=self.heading,
        )
        columns = view.width - SIDE_COLUMNS - 2 if view.width + 2 >= WIDE_COLUMNS else view.width
        return draw.list_title(floor, view, shown, columns)

    def load_rows(self, view: View) -> None:
        """Show what is known and passes the filter."""
        floor = self.desk.floor or Floor()
        alerts = self._known(floor)
        empty = alert_rows.no_alerts(floor, view)
        if alerts and not self._ids:
            empty = [
                line(
                    (f"None of {len(alerts):,} alerts contains that. ", ""),
                    ("Esc", "key"),
                    (" clears the filter.", "dim"),
                )
            ]
        marks = self._marks
        self.rows.load(
            self._ids,
            lambda ident, width: alert_rows.alert_row(alerts[ident], floor, view.sized(width), marked=ident in marks),
            empty,
        )
        self._renew()
        if self._wanted and self.rows.select(self._wanted):
            self._wanted = ""

    def _known(self, floor: Floor) -> Mapping[str, Alert]:
        source = (self._book, floor.alerts, floor.cleared, self.filter_text)
        if len(self._known_from) != len(source) or any(
            a is not b for a, b in zip(source, self._known_from, strict=True)
        ):
            self._known_from = source
            self._alerts = alert_book.current(self._book, self.ours(floor.alerts), self.ours(floor.cleared))
            self._ids = alert_book.filtered(self._alerts, self.filter_text)
            self.tally = alert_book.tally(self._alerts)
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
        self.ask("alerts", lambda api: api.alerts(status=status, cursor=cursor, limit=rows, **self.narrowed), status)

    def _many_changed(self) -> int:
        return self.desk.floor.many_changed if self.desk.floor is not None else 0

    def _renew(self) -> None:
        """Read again what is loaded, after many alerts changed at once; what is shown stays meanwhile.

        Not below another screen: whoever is there would feel it, and nobody sees it.
        """
        news = self._renewed_for != self._many_changed()
        if not (news and self.is_current and self._book.loaded) or self._new_book is not None:
            return
        wait_s = self._renewed_s + RENEW_GAP_S - monotonic()
        if wait_s > 0:
            self.set_timer(wait_s, self.redraw, name=_RENEW)
            return
        self._renewed_for, self._renewed_s = self._many_changed(), monotonic()
        self._new_book = AlertBook()
        self._read_again()

    def _read_again(self) -> None:
        page = self._new_book.next_page if self._new_book is not None else None
        if page is not None:
            status, cursor, rows = page
            self.ask(_RENEW, lambda api: api.alerts(status=status, cursor=cursor, limit=rows, **self.narrowed), status)

    def _read(self, page: Page[Alert]) -> None:
        """One page more; once there are as many as before, they take the place of what was shown."""
        assert self._new_book is not None  # noqa: S101  asked for by `_read_again` alone
        self._new_book = self._new_book.with_page(page)
        if not self._new_book.is_as_full_as(self._book):
            self._read_again()
            return
        self._book, self._new_book = self._new_book, None
        self.questions.forget("alerts")
        if self.filter_text:
            self.load_more()

    def refused(self, question: Question, error: "ClientError") -> bool:
        """What could not be read again is with the next change."""
        if question.topic == _RENEW:
            self._new_book = None
        return super().refused(question, error)

    def set_filter(self, text: str) -> None:
        """Filter, and load the rest: what is not loaded cannot be found."""
        super().set_filter(text)
        if text:
            self.load_more()

    def answered(self, question: Question, value: object) -> None:
        """Take in a page, one alert, or an acknowledgement."""
        if isinstance(value, Page) and question.topic == _RENEW:
            self._read(value)
        elif isinstance(value, Page):
            self._book = self._book.with_page(value)
            if self.filter_text or len(self._book.loaded) < alert_book.PAGE_ROWS:
                self.load_more()
        elif isinstance(value, Alert):
            self._book = self._book.with_alert(value)
            if is_acknowledgement(question):
                self.acted([value])
                self.desk.say("done", draw.acknowledged_text(value))

    def reveal(self, ident: str) -> None:
        """Select an alert; one that is not known yet is loaded."""
        self._wanted = ident
        super().reveal(ident)
        if ident not in self._alerts:
            self.ask("alert", lambda api: api.alert(ident), ident)
        else:
            self._wanted = ""

    # actions

    def marked(self) -> list[Alert]:
        """Marked alerts that can still be worked on."""
        found = [self._alerts[ident] for ident in self._marks if ident in self._alerts]
        return [alert for alert in found if alert.status is not AlertStatus.CLEARED]

    def meant(self) -> list[Alert]:
        """All marked ones, or the selected one."""
        selected = self._selected()
        return self.marked() or ([selected] if selected is not None else [])

    def acted(self, alerts: list[Alert]) -> None:
        """Take in what was done, and unmark it."""
        for alert in alerts:
            self._book = self._book.with_alert(alert)
            self._marks.pop(alert.id, None)
        self.redraw()

    def do_alert_mark(self, _: str) -> None:
        """Mark the selected alert, or unmark it, and go on to the next."""
        selected = self._selected()
        if selected is None or selected.status is AlertStatus.CLEARED:
            self.desk.say(
                "refused", "There is nothing to do about it any more." if selected else "No alert is selected."
            )
            return
        if selected.id in self._marks:
            del self._marks[selected.id]
        else:
            self._marks[selected.id] = None
        self.rows.do_list_down("")
        self.redraw()

    def do_alert_mark_all(self, _: str) -> None:
        """Mark what is listed, or unmark all if that is done already."""
        listed = [ident for ident in self._ids if self._alerts[ident].status is not AlertStatus.CLEARED]
        wanted = listed[:MAX_AT_ONCE]
        if all(ident in self._marks for ident in wanted):
            self._marks.clear()
        else:
            self._marks = dict.fromkeys(wanted)
            if len(listed) > len(wanted):
                self.desk.say("refused", f"Only the {len(wanted)} most urgent are marked: an act takes no more.")
        self.redraw()

    async def do_back(self, argument: str) -> None:
        """Unmark before anything else is undone that nobody has to read."""
        if self._marks and not self.desk.message[1] and not self.desk.verdict_lines():
            self._marks.clear()
            self.redraw()
        else:
            await super().do_back(argument)

    async def do_open(self, _: str) -> None:
        """Show everything about the selected alert."""
        from console.screens.alerts.page import AlertScreen

        selected = self._selected()
        if selected is not None:
            await self.desk.push_screen(AlertScreen(selected))

    async def do_follow(self, argument: str) -> None:
        """Go to what the alert points at, or choose if there are several."""
        selected = self._selected()
        links = draw.links_of(selected) if selected is not None else []
        if not links:
            self.desk.say("refused", "The selected alert has no links.")
        elif len(links) == 1:
            await self.desk.show_link(links[0].kind, links[0].id)
        else:
            await self.do_open(argument)

    def copy_text(self) -> str:
        """The selected alert in one paragraph."""
        selected = self._selected()
        if selected is None:
            return ""
        facts = ", ".join(f"{name} {value}" for name, value in selected.facts.items())
        return f"{selected.id} {selected.rule} {selected.severity.value} {selected.scope} {selected.message} ({facts})"
