"""The overview: can I go back to sleep? Composes and routes; `console.widgets.overview` draws."""

from time import monotonic
from typing import TYPE_CHECKING, Final

from textual.app import ComposeResult

from console.actions import Context
from console.asking import Question
from console.screens.alerts.listed import ListedAlerts
from console.screens.alerts.working import is_acknowledgement
from console.widgets.lines import Line, line
from console.widgets.panel import Box, Panel
from console.widgets.rows import Rows
from console.widgets.view import View

if TYPE_CHECKING:
    from console.client.errors import ClientError
    from console.screens.reading.screen import Row
    from console.state.floor import Floor
    from contract.alerts import Alert
    from contract.recovery import DrillHistory

WIDE_COLUMNS: Final = 110
"""From here on the facts behind the indicators have a column of their own."""
NARROW_COLUMNS: Final = 72
"""Below this the chains give way to the limits."""
LOW_ROWS: Final = 18
"""Below this only the alerts list keeps its room."""
TALL_ROWS: Final = 32
"""From here on blank lines part the panels."""
SIDE_COLUMNS: Final = 44
"""Width of the right-hand column on a wide screen, gap included."""
DRILLS_LOOK_S: Final = 600.0
"""How often the date of the next recovery drill is asked for; a drill that runs comes with the stream."""
_DRILLS: Final = "drills"
_ALERT_ROWS_MIN: Final = 3
_FIXED_ROWS: Final = 12
"""Lines 1 and 2, banner, limits, indicators, the alerts' heading, message and keys."""


class OverviewScreen(ListedAlerts):
    """Limits, chains, indicators, alerts, freezes and executors on one screen."""

    CSS_PATH = ["../base.tcss", "screen.tcss"]
    TITLE_TEXT = "Overview"
    CONTEXTS = (Context.OVERVIEW,)
    IS_ROOT = True

    def __init__(self) -> None:
        super().__init__()
        self._drills: DrillHistory | None = None
        self._drills_s = float("-inf")

    def compose_body(self) -> ComposeResult:
        """Limits above, alerts in the middle, freezes and executors below."""
        yield Panel(id="limits")
        yield Panel(id="indicators")
        with Box(id="middle"):
            with Box(id="main"):
                yield Panel(id="alerts-title", grows=False)
                yield Rows(id="alerts", sticks=True)
            yield Panel(id="side", grows=False)
        yield Panel(id="holds")

    def sentence(self, view: View) -> Line:
        """What matters most right now."""
        floor = self.desk.floor
        if floor is None:
            return line((f" {view.glyphs.unknown} ", "dim"), ("Connecting to the backend.", "dim"))
        from console.state.headline import headline

        found = headline(floor, view.desk_now)
        return self.headline_line(found.mood, found.text)

    def draw(self, view: View) -> None:
        """Draw every panel for the room there is."""
        floor = self.desk.floor
        if floor is None:
            return
        from console.state.floor import urgent
        from console.widgets import alert_rows
        from console.widgets import overview as draw
        from console.widgets.holds import freezes_lines
        from console.widgets.open_incidents import incidents_lines

        inner = view.sized(view.width - 2)
        low = view.height < LOW_ROWS
        air: list[Line] = [()] if view.height >= TALL_ROWS else []
        self.query_one("#limits", Panel).show([*air, *self._limits(inner, low=low), *air])
        indicators = draw.indicators_line(floor, inner)
        self.query_one("#indicators", Panel).show([] if low else [indicators, *air])
        wide = view.width >= WIDE_COLUMNS
        self.query_one("#alerts-title", Panel).show(
            [alert_rows.alerts_title(floor, inner.sized(self._main_columns(inner)))]
        )
        side = self.query_one("#side", Panel)
        side.display = wide
        if wide:
            side.show(draw.side_lines(floor, view.sized(SIDE_COLUMNS - 4, view.height - 16)))
        room = 0 if low else max(2, (view.height - 16) // 4)
        below = [draw.executors_line(floor, inner)]
        if not low:
            below = [*incidents_lines(floor, inner, room), *freezes_lines(floor, inner, room), *below]
            below += self._recovery(floor, inner)
        alerts = {alert.id: alert for alert in urgent(floor.alerts)}
        if not low and not wide:
            spare = view.height - _FIXED_ROWS - 2 * len(air) - len(below) - max(len(alerts), _ALERT_ROWS_MIN)
            below = [*draw.closest_lines(floor, inner, spare), *air, *below]
        self.query_one("#holds", Panel).show(below)
        self.rows.load(
            list(alerts),
            lambda ident, width: alert_rows.alert_row(alerts[ident], floor, view.sized(width)),
            alert_rows.no_alerts(floor, view),
        )

    def _recovery(self, floor: "Floor", view: View) -> list[Line]:
        """The recovery drill that runs, or when the next is due; asked for once the first picture stands."""
        from contract.permissions import Permission

        api, known = self.desk.api, self._drills
        may_ask = api is not None and Permission.VIEW_RECOVERY in (self.desk.who.permissions or ())
        if may_ask and floor.loaded_at is not None and monotonic() - self._drills_s > DRILLS_LOOK_S:
            self._drills_s = monotonic()
            self._ask_drills()
        if known is None:
            return []
        from console.widgets.recovery import overview_line

        said = overview_line(known, floor.recovery, floor.now(view.desk_now), view)
        return [said] if said else []

    def _ask_drills(self) -> None:
        from console.client import recovery

        self.ask(_DRILLS, lambda api: recovery.history(api, limit=1))

    def refused(self, question: Question, error: "ClientError") -> bool:
        """When the next drill is due can wait; everything else is said."""
        return question.topic == _DRILLS or super().refused(question, error)

    @staticmethod
    def _main_columns(view: View) -> int:
        """Width of the alerts: all of it, or what the right-hand column leaves."""
        return view.width if view.width + 2 < WIDE_COLUMNS else view.width - SIDE_COLUMNS

    def _limits(self, view: View, *, low: bool) -> list[Line]:
        from console.widgets import overview as draw
        from console.widgets.lines import beside

        floor = self.desk.floor
        if floor is None:
            return []
        if low:
            return [] if view.height < LOW_ROWS - 4 else draw.risk_lines(floor, view)[1:]
        if view.width < NARROW_COLUMNS:
            return draw.risk_lines(floor, view)
        if view.width + 2 < WIDE_COLUMNS:
            left_width = view.width - draw.CHAINS_COLUMNS - 1
            return beside(
                draw.risk_lines(floor, view.sized(left_width)),
                draw.chains_lines(floor, view.sized(draw.CHAINS_COLUMNS), 4),
                left_width,
                1,
                view.glyphs,
            )
        return beside(
            draw.risk_lines(floor, view.sized(view.width - SIDE_COLUMNS)),
            draw.chains_lines(floor, view.sized(SIDE_COLUMNS - 4), 4),
            view.width - SIDE_COLUMNS,
            4,
            view.glyphs,
        )

    async def do_why(self, _: str) -> None:
        """Show the facts behind the indicators; Enter follows their links."""
        from console.screens.reading.screen import ReadingScreen

        await self.desk.push_screen(ReadingScreen("Why", self._why))

    def _why(self, view: View) -> "list[Row]":
        from console.widgets.why import why_rows

        floor = self.desk.floor
        return why_rows(floor, view) if floor is not None else []

    @property
    def rows(self) -> Rows:
        """The alerts."""
        return self.query_one("#alerts", Rows)

    def meant(self) -> "list[Alert]":
        """The selected alert."""
        floor = self.desk.floor
        found = floor.alerts.get(self.rows.selected or "") if floor is not None else None
        return [found] if found is not None else []

    def answered(self, question: Question, value: object) -> None:
        """The alert has been acknowledged, and it is said which; the list follows with the stream."""
        from console.widgets.alerts import acknowledged_text
        from contract.alerts import Alert
        from contract.recovery import DrillHistory

        if isinstance(value, DrillHistory):
            self._drills = value
        if is_acknowledgement(question) and isinstance(value, Alert):
            self.desk.say("done", acknowledged_text(value))

    def copy_text(self) -> str:
        """The selected alert in one line."""
        return "".join(f"{one.id} {one.rule} {one.severity.value} {one.scope} {one.message}" for one in self.meant())

    def do_open(self, _: str) -> None:
        """Open the selected alert on its own screen."""
        selected = self.rows.selected
        if selected is not None:
            self.desk.call_later(self.desk.show_link, "alert", selected)
