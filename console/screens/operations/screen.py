"""Operations: freezes above, executors below, and the ways to freeze and thaw."""

from typing import Final

from textual import events, on
from textual.app import ComposeResult

from console import actions
from console.actions import Context
from console.asking import Question
from console.screens.base import FloorScreen
from console.screens.reading.screen import ReadingScreen, Row
from console.state.floor import Floor
from console.state.headline import latched, of_executors
from console.state.matching import matches
from console.widgets import executors as draw
from console.widgets.holds import freeze_row
from console.widgets.lines import Line, line, titled_rule
from console.widgets.overview import feed_age
from console.widgets.panel import Panel
from console.widgets.rows import Rows
from console.widgets.view import View
from contract.executors import Executor, ExecutorState
from contract.freeze import Freeze

_FREEZE_ROWS_MAX: Final = 6
"""More freezes than this scroll."""
LOW_ROWS: Final = 16

_ORDER: Final = (
    ExecutorState.SILENT,
    ExecutorState.FREEZING,
    ExecutorState.REDUCING,
    ExecutorState.FROZEN,
    ExecutorState.TRADING,
)
"""What needs a person comes first."""


class OperationsScreen(FloorScreen):
    """Executors and freezes."""

    CSS_PATH = ["../base.tcss", "screen.tcss"]
    TITLE_TEXT = "Operations"
    CONTEXTS = (Context.OPERATIONS,)
    AUTO_FOCUS = "#executors"

    def __init__(self) -> None:
        super().__init__()
        self._source: tuple[object, ...] = ()
        self._ids: list[str] = []

    def compose_body(self) -> ComposeResult:
        """Two lists, each with its heading."""
        yield Panel(id="freezes-title", grows=False)
        yield Rows(id="freezes")
        yield Panel(id="executors-title")
        yield Rows(id="executors")

    def sentence(self, view: View) -> Line:
        """What the executors do, in one line."""
        floor = self.desk.floor
        if floor is None or floor.loaded_at is None:
            return line((f" {view.glyphs.unknown} ", "dim"), ("Nothing is known yet.", "dim"))
        found = latched(floor) or of_executors(floor)
        return self.headline_line(found.mood, found.text)

    def draw(self, view: View) -> None:
        """Draw both lists."""
        floor = self.desk.floor or Floor()
        inner = view.sized(view.width - 2)
        holds = self._holds(floor)
        freezes = self.query_one("#freezes", Rows)
        room = max(1, min(len(holds), _FREEZE_ROWS_MAX, max(view.height // 4, 1)))
        freezes.styles.height = room
        none = line(("No freeze is in force." if floor.loaded_at is not None else "Not known yet.", "dim"))
        freezes.load(list(holds), lambda ident, width: freeze_row(holds[ident], view.sized(width)), [none])
        state = (f"{len(holds)} in force", "frozen") if holds else ("none in force", "dim")
        title = titled_rule((("FREEZES ", "head"), state), inner.width, view.glyphs, feed_age(floor, inner))
        self.query_one("#freezes-title", Panel).show([title])
        self._draw_executors(floor, view, inner)

    def _draw_executors(self, floor: Floor, view: View, inner: View) -> None:
        known = self._known(floor)
        head = [draw.list_title(floor, len(known), self.filter_text, inner)]
        if view.height >= LOW_ROWS:
            head.append(draw.head_row(inner))
        self.query_one("#executors-title", Panel).show(head)
        empty = "None contains that; Esc clears the filter." if floor.executors else "No executor has registered."
        self.query_one("#executors", Rows).load(
            known,
            lambda ident, width: draw.executor_row(floor.executors[ident], floor, view.sized(width)),
            [line((empty if floor.loaded_at is not None else "Not known yet.", "dim"))],
        )

    @staticmethod
    def _holds(floor: Floor) -> dict[str, Freeze]:
        holds = sorted(floor.freezes.values(), key=lambda hold: (hold.created_at, hold.ref), reverse=True)
        return {hold.id: hold for hold in holds}

    def _known(self, floor: Floor) -> list[str]:
        """Names of the executors that pass the filter, those that need a person first."""
        source = (floor.executors, self.filter_text)
        if not self._source or any(a is not b for a, b in zip(source, self._source, strict=True)):
            self._source = source
            words = self.filter_text.split()
            kept = [one for one in floor.executors.values() if _matches(one, words)]
            self._ids = [
                one.name for one in sorted(kept, key=lambda one: (_ORDER.index(one.state), one.chain, one.name))
            ]
        return self._ids

    # selection

    def _list(self) -> Rows:
        return self.query_one("#freezes" if self._on_freezes else "#executors", Rows)

    @property
    def _on_freezes(self) -> bool:
        return self.focused is not None and self.focused.id == "freezes"

    def _freeze(self, argument: str) -> Freeze | None:
        """The freeze that is named, or selected, or the only one."""
        floor = self.desk.latest or Floor()
        holds = self._holds(floor)
        if argument:
            found = [hold for hold in holds.values() if argument.casefold() in {hold.ref.casefold(), hold.id}]
        else:
            selected = self.query_one("#freezes", Rows).selected
            found = [holds[selected]] if selected in holds else []
            if not self._on_freezes and len(holds) > 1:
                found = []
        if not found:
            text = "No freeze is in force." if not holds else "Select a freeze first: Tab goes to the freezes."
            self.desk.say("refused", text)
            return None
        return found[0]

    def reveal(self, ident: str) -> None:
        """Select a freeze or an executor."""
        self.filter_text = ""
        self.redraw()
        holds = self._holds(self.desk.floor or Floor())
        wanted = next((hold.id for hold in holds.values() if ident in {hold.id, hold.ref}), None)
        rows = self.query_one("#freezes" if wanted else "#executors", Rows)
        self.set_focus(rows)
        if not rows.select(wanted or ident):
            self.desk.say("refused", f"{ident} is not among the freezes in force or the executors that are known.")

    @on(events.DescendantFocus)
    def _other_list(self) -> None:
        self.redraw_keys(self.view())

    @on(Rows.Opened)
    async def _opened(self) -> None:
        await self.perform(actions.by_id("open"))

    # actions

    def do_pane_next(self, _: str) -> None:
        """Go to the other list."""
        self.set_focus(self.query_one("#executors" if self._on_freezes else "#freezes", Rows))

    async def do_open(self, _: str) -> None:
        """Show the board of a freeze, or everything about an executor."""
        selected = self._list().selected
        floor = self.desk.floor or Floor()
        if selected is None:
            return
        if self._on_freezes and selected in floor.freezes:
            await self.desk.show_board(floor.freezes[selected])
        elif selected in floor.executors:
            await self.desk.push_screen(ReadingScreen("Executor", lambda view: self._executor_page(selected, view)))

    def _executor_page(self, name: str, view: View) -> list[Row]:
        floor = self.desk.floor or Floor()
        executor = floor.executors.get(name)
        if executor is None:
            return [(line(("It is not known any more.", "dim")), None)]
        return [(row, None) for row in draw.detail_rows(executor, floor, view)]

    async def do_freeze_incident(self, argument: str) -> None:
        """Declare an incident from a freeze, or make it part of an open one."""
        from console.screens.board.declaring import declare_from

        if (freeze := self._freeze(argument)) is not None:
            await declare_from(self.desk, freeze)

    async def do_thaw_request(self, argument: str) -> None:
        """Ask for a freeze to be lifted."""
        from console.screens.thaw.screen import ThawScreen

        freeze = self._freeze(argument)
        if freeze is None:
            return
        if freeze.status == "thawing":
            self.desk.say("refused", f"{freeze.ref} is being lifted in stages already; S puts it back.")
            return
        await self.desk.push_screen(ThawScreen(freeze, approve=False))

    async def do_thaw_approve(self, argument: str) -> None:
        """Approve a thaw as the second person."""
        from console.screens.thaw.screen import ThawScreen

        freeze = self._freeze(argument)
        if freeze is None:
            return
        if freeze.status == "thawing":
            self.desk.say("refused", f"{freeze.ref} is being lifted in stages already; S puts it back.")
            return
        if freeze.status != "thaw_requested":
            self.desk.say(
                "refused", f"Nobody has asked for the thaw of {freeze.ref} yet: one person asks (t), another approves."
            )
            return
        await self.desk.push_screen(ThawScreen(freeze, approve=True))

    def do_thaw_stop(self, argument: str) -> None:
        """Put a freeze back that is being lifted, or turn down its thaw: the safe direction asks nothing."""
        freeze = self._freeze(argument)
        if freeze is None:
            return
        if freeze.status not in {"thawing", "thaw_requested"}:
            self.desk.say("refused", f"Nobody has asked for the thaw of {freeze.ref}: there is nothing to stop.")
            return
        self.ask("stop", lambda api: api.withdraw_thaw(freeze.id), freeze.id)

    def answered(self, question: Question, value: object) -> None:  # noqa: ARG002  one topic
        """A thaw was stopped."""
        if isinstance(value, Freeze):
            self.desk.say("done", f"{value.ref} is in force as before.")

    def copy_text(self) -> str:
        """The selected freeze or executor in one line."""
        selected = self._list().selected or ""
        floor = self.desk.floor or Floor()
        if self._on_freezes and selected in floor.freezes:
            hold = floor.freezes[selected]
            return f"{hold.ref} {hold.scope} {hold.mode} {hold.status} {hold.halted}/{hold.covered} {hold.reason}"
        executor = floor.executors.get(selected)
        return (
            f"{executor.name} {executor.chain} {executor.strategy} {executor.wallet} {executor.state}"
            if executor
            else ""
        )


def _matches(executor: Executor, words: list[str]) -> bool:
    return matches(words, executor.name, executor.chain, executor.strategy, executor.wallet, executor.state.value)
