"""The incidents: those that go on first, then what was resolved and closed."""

from datetime import datetime
from typing import ClassVar

from console.actions import Context
from console.asking import Call, Question
from console.client.open_first import OpenFirst, incidents_open_first
from console.screens.reading.screen import Row
from console.screens.reading.watched import PAGE_ROWS, WatchedScreen
from console.state.floor import SEVERITIES, Floor
from console.widgets import incidents as draw
from console.widgets.lines import line, outside
from console.widgets.view import View
from contract.alerts import Link
from contract.incidents import Incident, IncidentStatus


class IncidentsScreen(WatchedScreen):
    """Open ones first, the most severe before the others; closed ones only when asked for or searched."""

    CONTEXTS: ClassVar[tuple[Context, ...]] = (Context.INCIDENTS, Context.READING)
    ASKING = "Asking for incidents."
    SHOWN = f"Open ones and the newest {PAGE_ROWS} of all are shown: / finds others."
    SAYS_ALL = True

    def __init__(self, words_wanted: str = "") -> None:
        super().__init__("Incidents")
        self._known: list[Incident] = []
        self._page_known = OpenFirst(items=[])
        self._shows_closed = False
        self._heard: object = None
        self.filter_text = words_wanted

    def list_call(self) -> Call:
        """Open ones, however old they are, and the newest of all."""
        where = {"q": self.filter_text} if self.filter_text else {}
        return lambda api: incidents_open_first(api, limit=PAGE_ROWS, **where)

    def answered(self, question: Question, value: object) -> None:
        """The list, and how many there are besides."""
        if isinstance(value, OpenFirst):
            self._page_known = value
        super().answered(question, value)

    def take(self, items: list[Incident]) -> None:
        """Keep them."""
        self._known = items

    def set_filter(self, text: str) -> None:
        """Search: the backend knows those that are not loaded, too."""
        self.filter_text = text
        self.look()
        self.redraw()

    def draw(self, view: View) -> None:
        """Draw what is known, and ask again if the stream has said that something changed."""
        floor = self.desk.latest or Floor()
        heard = (floor.incidents, floor.timelines)
        if self._heard is not None and self._heard != heard and self.desk.paused_at is None:
            self.look()
        self._heard = heard
        super().draw(view)

    def said(self) -> tuple[str, str]:
        """How many go on, and who has the worst of them; of a search, how many it found."""
        if self.filter_text:
            return "unknown", f"{self._hits()}. Esc shows all."
        going = [one for one in self._known if one.status is IncidentStatus.OPEN and not one.drill]
        at_least = "At least " if self._page_known.more_open else ""
        if not going and at_least:
            return "unknown", f"The newest {PAGE_ROWS} that are open are drills; there are more."
        if not going:
            return "ok", "No incident is open."
        worst = min(going, key=lambda one: SEVERITIES.index(one.severity))
        count = f"{at_least}{len(going):,} incident{' is' if len(going) == 1 else 's are'} open"
        who = f"commander {outside(worst.commander, 40)}" if worst.commander else "nobody commands it"
        mood = "bad" if worst.severity == "critical" else "near"
        return mood, f"{count}: {worst.id}, {worst.severity.value}, {outside(worst.step, 40)}, {who}."

    def _hits(self) -> str:
        page = self._page_known
        going = sum(one.status is IncidentStatus.OPEN for one in self._known)
        found = _number(len(self._known), page.total, page.total_cap, more=self._more)
        of_them = _number(going, page.open_total, page.total_cap, more=page.more_open)
        return f"{found} incident{' contains' if found == '1' else 's contain'} that, {of_them} of them open"

    def _shown(self) -> list[Incident]:
        order = list(IncidentStatus)
        everything = self._shows_closed or bool(self.filter_text)
        shown = [one for one in self._known if everything or one.status is not IncidentStatus.CLOSED]
        return sorted(shown, key=lambda one: (order.index(one.status), SEVERITIES.index(one.severity)))

    def listed(self, now: datetime, view: View) -> list[Row]:
        """One row each."""
        shown, closed = self._shown(), len(self._known)
        rows: list[Row] = [(draw.list_head(view), None)]
        rows += [(draw.list_row(one, now, view), Link(kind="incident", id=one.id, label="")) for one in shown]
        if self.filter_text:
            found = f"{len(shown):,} contain{'s' if len(shown) == 1 else ''} "
            rows.append(
                (line((found, "dim"), (outside(self.filter_text, 40), "near"), ("; Esc shows all.", "dim")), None)
            )
        elif not shown:
            rows.append((line(("No incident goes on. i declares one.", "dim")), None))
        if closed > len(shown) and not self.filter_text:
            count = f"{closed - len(shown):,}{'+' if self._more else ''}"
            rows.append((line((f"{count} closed: a shows them.", "dim")), None))
        return rows

    # actions

    async def follow(self, link: Link) -> None:
        """Show one of them."""
        await self.desk.show_link(link.kind, link.id)

    async def do_reading_close(self, argument: str) -> None:
        """Show all again after a search, else close."""
        if self.filter_text:
            self.set_filter("")
        else:
            await super().do_reading_close(argument)

    async def do_incident_declare(self, _: str) -> None:
        """Declare one from nothing."""
        from console.screens.incidents.declare import DeclareDialog

        await self.desk.push_screen(DeclareDialog())

    def do_incident_all(self, _: str) -> None:
        """Show closed ones too, or no longer."""
        self._shows_closed = not self._shows_closed
        self.redraw()

    async def do_incident_reports(self, argument: str) -> None:
        """Reports that were written elsewhere, searched for what was typed."""
        from console.screens.incidents.reports import ReportsScreen

        await self.desk.push_screen(ReportsScreen(argument))

    async def do_incident_figures(self, _: str) -> None:
        """The figures of all incidents."""
        from console.screens.incidents.figures import FiguresScreen

        await self.desk.push_screen(FiguresScreen())


def _number(known: int, total: int | None, cap: int, *, more: bool) -> str:
    """How many there are: as the backend counted them, else at least as many as are listed."""
    if total is not None and total < cap:
        return f"{total:,}"
    return f"{max(known, total or 0):,}{'+' if more else ''}"
