"""The overview: can I go back to sleep? Composes and routes; `console.widgets.overview` draws."""

from typing import ClassVar, Final

from textual.app import ComposeResult

from console.actions import Context
from console.screens.base import FloorScreen
from console.widgets.lines import Line, line
from console.widgets.panel import Panel
from console.widgets.rows import Rows
from console.widgets.view import View

WIDE_COLUMNS: Final = 110
"""From here on the facts behind the indicators have a column of their own."""
NARROW_COLUMNS: Final = 72
"""Below this the chains give way to the limits."""
LOW_ROWS: Final = 18
"""Below this only the alerts list keeps its room."""
SIDE_COLUMNS: Final = 44
"""Width of the right-hand column on a wide screen, gap included."""
_ALERT_ROWS_MIN: Final = 3


class OverviewScreen(FloorScreen):
    """Limits, chains, indicators, alerts, freezes and executors on one screen."""

    CSS_PATH: ClassVar[list[str]] = ["../base.tcss", "screen.tcss"]  # type: ignore[assignment]
    TITLE_TEXT = "Overview"
    CONTEXTS = (Context.OVERVIEW,)
    IS_ROOT = True

    def compose_body(self) -> ComposeResult:
        """Limits above, alerts in the middle, freezes and executors below."""
        yield Panel(id="limits")
        yield Panel(id="indicators")
        yield Panel(id="alerts-title", grows=False)
        yield Rows(id="alerts")
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
        from console.widgets import overview as draw

        inner = view.sized(view.width - 2)
        low = view.height < LOW_ROWS
        self.query_one("#limits", Panel).show(self._limits(inner, low=low))
        indicators = draw.indicators_line(floor, inner)
        self.query_one("#indicators", Panel).show([] if low else [indicators])
        self.query_one("#alerts-title", Panel).show([draw.alerts_title(floor, inner)])
        room = 0 if low else max(2, (view.height - 16) // 4)
        below = [draw.executors_line(floor, inner)]
        if not low:
            below = [*draw.freezes_lines(floor, inner, room), *below]
        self.query_one("#holds", Panel).show(below)
        alerts = {alert.id: alert for alert in urgent(floor.alerts)}
        self.query_one("#alerts", Rows).load(
            list(alerts),
            lambda ident, width: draw.alert_row(alerts[ident], floor, view.sized(width)),
            draw.no_alerts(floor, view),
        )

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
        if view.width < WIDE_COLUMNS:
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

    def do_open(self, _: str) -> None:
        """Open the selected alert on its own screen."""
        selected = self.query_one("#alerts", Rows).selected
        if selected is not None:
            self.desk.call_later(self.desk.show_link, "alert", selected)
