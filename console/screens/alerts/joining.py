"""The choice between declaring an incident and making alerts or a freeze part of one that is open.

What is meant stands above the choice. Must never be skipped while an incident is open: nobody should handle one twice.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final

from textual import on
from textual.app import ComposeResult

from console.actions import Context
from console.asking import Question
from console.client import alert_work
from console.client.alert_work import Joined
from console.screens.dialog import DeafScreen
from console.screens.incidents.declare import DeclareDialog
from console.state.floor import SEVERITIES, Floor
from console.state.freshness import coarse_age, seconds_between
from console.widgets import words
from console.widgets.alert_page import DRILL_MUTES, meant_rows
from console.widgets.lines import EMPTY, Line, column, left, line, outside, right, wrap
from console.widgets.panel import Panel
from console.widgets.rows import Rows
from console.widgets.view import View

if TYPE_CHECKING:
    from console.client.errors import ClientError
    from console.doing import Doing
    from contract.alerts import Alert
    from contract.freeze import Freeze
    from contract.incidents import Incident

_HERE: Final = Path(__file__).parent
_NEW: Final = "new"
"""The id of the row that declares another one; no incident is called so."""
_JOIN: Final = "join"
_SIGN, _AGE = 7, 6
_SHOWN: Final = 3
"""Alerts that are listed one by one above the choice."""


async def declare_or_join(desk: "Doing", alerts: "Sequence[Alert]" = (), freeze: "Freeze | None" = None) -> None:
    """Declare an incident at once where none is open; otherwise ask whether it is one of those."""
    if (desk.latest or Floor()).incidents:
        await desk.push_screen(JoinScreen(alerts, freeze))
    else:
        await desk.push_screen(DeclareDialog(alerts, freeze.id if freeze is not None else None))


class JoinScreen(DeafScreen):
    """A new incident, or one of those that are open."""

    CSS_PATH = [_HERE.parent / "base.tcss", _HERE / "joining.tcss"]
    TITLE_TEXT = "Which incident?"
    CONTEXTS: ClassVar[tuple[Context, ...]] = (Context.JOINING,)
    CLOSED = True
    AUTO_FOCUS = "#choices"

    def __init__(self, alerts: "Sequence[Alert]" = (), freeze: "Freeze | None" = None) -> None:
        """Choose for these alerts, or for a freeze."""
        super().__init__()
        self._alerts = list(alerts)
        self._freeze = freeze
        self._problem = ""

    def compose_body(self) -> ComposeResult:
        """What is meant, the choice, and why it was refused."""
        yield Panel(id="about")
        yield Rows(id="choices", sticks=True)
        yield Panel(id="consequence")
        yield Panel(id="problem")

    def sentence(self, view: View) -> Line:  # noqa: ARG002  it says nothing that depends on the room
        """What is asked."""
        open_ones = len(self._incidents())
        text = f"{open_ones:,} incident{' is' if open_ones == 1 else 's are'} open: is it part of one, or a new one?"
        return self.headline_line("near", text)

    def _incidents(self) -> "dict[str, Incident]":
        known = (self.desk.latest or Floor()).incidents.values()
        order = sorted(known, key=lambda one: (one.drill, SEVERITIES.index(one.severity), one.declared_at, one.id))
        return {one.id: one for one in order}

    def draw(self, view: View) -> None:
        """What is meant above, the choice below."""
        inner = view.sized(view.width - 2)
        self.query_one("#about", Panel).show([*self._meant(inner), EMPTY])
        known, floor = self._incidents(), self.desk.latest or Floor()
        new = line(("+ ", "key"), ("A new incident", "bold"), (": declares one with what stands above", "dim"))
        self.query_one("#choices", Rows).load(
            [_NEW, *known],
            lambda ident, width: new if ident == _NEW else _row(known[ident], floor, view.sized(width)),
        )
        self._draw_consequence(inner)
        rows = wrap(outside(self._problem), max(inner.width - 12, 20)) if self._problem else []
        mark = f"{view.glyphs.near} REFUSED "
        self.query_one("#problem", Panel).show(
            [line((" " * len(mark) if index else mark, "near"), row) for index, row in enumerate(rows)]
        )

    def _draw_consequence(self, view: View) -> None:
        """What a drill does to the alerts that become part of it, while one is selected."""
        chosen = self._incidents().get(self.query_one("#choices", Rows).selected or "")
        mutes = chosen is not None and chosen.drill and bool(self._alerts)
        rows = wrap(DRILL_MUTES, max(view.width - 3, 20)) if mutes else []
        mark = f"{view.glyphs.near} "
        self.query_one("#consequence", Panel).show(
            [line((" " * len(mark) if index else mark, "near"), (row, "near")) for index, row in enumerate(rows)]
        )

    def _meant(self, view: View) -> list[Line]:
        if self._freeze is not None:
            hold = self._freeze
            rows = wrap(outside(f"{hold.ref} {hold.scope}: {hold.reason}", 400), max(view.width - 8, 20))
            return [line(("freeze  " if not index else " " * 8, "dim"), row) for index, row in enumerate(rows[:2])]
        return meant_rows(self._alerts, view, _SHOWN)

    @on(Rows.Moved, "#choices")
    def _moved(self) -> None:
        self._draw_consequence(self.view().sized(self.view().width - 2))

    @on(Rows.Opened, "#choices")
    async def _opened(self, event: Rows.Opened) -> None:
        self.pressed_s = event.time
        await self.do_join_choose("")

    # actions

    async def do_join_choose(self, _: str) -> None:
        """Declare a new one, or make what is meant part of the selected one; of none that has just come there."""
        rows = self.query_one("#choices", Rows)
        chosen = rows.selected
        if chosen is not None and rows.is_unread(self.pressed_s):
            which = "A new incident" if chosen == _NEW else outside(chosen, 40)
            self._problem = f"{which} just came under the cursor: press Enter again."
            self.redraw()
        elif chosen == _NEW:
            freeze = self._freeze.id if self._freeze is not None else None
            await self.desk.switch_screen(DeclareDialog(self._alerts, freeze))
        elif chosen is not None and not self.questions.is_waiting(_JOIN):
            self._problem = ""
            freezes = [self._freeze.id] if self._freeze is not None else []
            alerts = [alert.id for alert in self._alerts]
            self.ask(_JOIN, lambda api: alert_work.join(api, chosen, alerts=alerts, freezes=freezes), chosen)

    async def do_join_close(self, _: str) -> None:
        """Close without doing anything."""
        await self.desk.leave(self)

    # answers

    def answered(self, question: Question, value: object) -> None:
        """Say what became part of it, and what did not with the reason."""
        if not isinstance(value, Joined):
            return
        why = "; ".join(sorted({outside(text, 160) for text in value.refused})[:2])
        if not value.done:
            self._problem = why
            return
        what = f"freeze {self._freeze.ref}" if self._freeze is not None else _counted(value.done)
        verb = "is" if value.done == 1 else "are"
        more = f"; {len(value.refused):,} refused: {why}" if value.refused else "."
        self.desk.call_later(self.desk.leave, self)
        self.desk.call_later(self.desk.say, "done", f"{what} {verb} part of {outside(question.about, 40)} now{more}")

    def refused(self, question: Question, error: "ClientError") -> bool:
        """The reason stands below the choice; without an answer nobody knows, and asking again does nothing twice."""
        from console.client.errors import Unreachable
        from console.state.problems import describe, ends_session

        if question.topic != _JOIN or ends_session(error):
            return False
        unknown = "UNKNOWN whether it was taken, Enter asks again: " if isinstance(error, Unreachable) else ""
        self._problem = f"{unknown}{describe(error)}"
        return True


def _row(incident: "Incident", floor: Floor, view: View) -> Line:
    """One incident: severity, id, all of its title that there is room for, age."""
    g = view.glyphs
    sign = words.severity(incident.severity, g)
    ident = f"{outside(incident.id, 20)} "
    drill = (*words.drill(g).spans(), (" ", "")) if incident.drill else ()
    age = coarse_age(seconds_between(incident.declared_at, floor.now(view.desk_now)) or 0.0)
    room = view.width - _SIGN - len(ident) - sum(len(text) for text, _ in drill) - _AGE
    return line(
        (f"{sign.glyph} {left(sign.word, _SIGN - 2, g)}", sign.style),
        (ident, "bold"),
        *drill,
        column(outside(incident.title), room, g),
        (right(age, _AGE, g), "dim"),
    )


def _counted(count: int) -> str:
    return f"{count:,} alert{'' if count == 1 else 's'}"
