"""One recovery drill: the checklist with its clock, followed through the time in which nobody can be asked."""

from datetime import datetime
from typing import TYPE_CHECKING, ClassVar, Final

from textual.app import ComposeResult

from console.actions import Context
from console.asking import Question
from console.client import recovery
from console.screens.reading.screen import ReadingScreen, Row
from console.state.floor import Floor
from console.state.freshness import exact_age, seconds_between
from console.state.recovery import clock, is_newer, waiting_step
from console.widgets import recovery_drill as draw
from console.widgets.lines import Line, dimmed
from console.widgets.panel import Panel
from console.widgets.rows import Rows
from console.widgets.view import View
from contract.alerts import Link
from contract.permissions import Permission
from contract.recovery import DrillStep, RecoveryDrill
from contract.recovery_states import ENDED, StepState

if TYPE_CHECKING:
    from console.client.errors import ClientError

_LOOK: Final = "drill"
_REPORT: Final = "report"
LOOK_S: Final = 0.5
"""How often the drill is asked for while it runs: the backend that runs it answers without its database."""
TICK_S: Final = 0.2
"""How often a running clock is painted: one line of the screen."""
_OVER: Final = frozenset({StepState.PASSED, StepState.FAILED, StepState.TIMED_OUT, StepState.INTERRUPTED})


class RecoveryDrillScreen(ReadingScreen):
    """Asks again until the drill is over; the clock runs by itself."""

    CONTEXTS: ClassVar[tuple[Context, ...]] = (Context.RECOVERY_DRILL, Context.READING)
    CLOSED = False

    def __init__(self, drill: RecoveryDrill) -> None:
        super().__init__(drill.ref, self._page)
        self._drill = drill
        self._is_whole = False
        """With outputs and log, as only the detail has them."""
        self._heard_at: datetime | None = None
        self._problem = ""
        self._shown_step: int | None = None
        """The waiting step that has been selected once."""

    def compose_body(self) -> ComposeResult:
        """The clock above the checklist."""
        yield Panel(id="clock", grows=False)
        yield from super().compose_body()

    def on_mount(self) -> None:
        """Look at once, then again and again until it is over."""
        self._heard_at = self.desk.now()
        self._look()
        self.set_interval(LOOK_S, self._look_again)
        self.set_interval(TICK_S, self._tick)

    def on_screen_resume(self) -> None:
        """A dialog above may have changed something."""
        self._look()

    def _look_again(self) -> None:
        is_done = self._is_whole and self._drill.state in ENDED
        if not is_done and not self.questions.is_waiting(_LOOK):
            self._look()

    def _look(self) -> None:
        ref = self._drill.ref
        if self.desk.api is not None:
            self.ask(_LOOK, lambda api: recovery.drill(api, ref), ref)

    def _tick(self) -> None:
        """Paint the clock alone while it runs, or while nobody answers the sentence too."""
        if not self.is_current or self.desk.paused_at is not None:
            return
        if self._problem:
            self.redraw()
        elif clock(self._drill, self._now(self.view())).runs:
            self._draw_clock(self.view())

    def take(self, drill: RecoveryDrill, *, whole: bool) -> None:
        """Keep what says more than what is known; an event comes without outputs and log."""
        if not is_newer(drill, self._drill):
            return
        if not whole:
            outputs = {step.number: step.output for step in self._drill.steps}
            steps = [step.model_copy(update={"output": outputs.get(step.number, "")}) for step in drill.steps]
            drill = drill.model_copy(update={"steps": steps, "log": self._drill.log})
            self._is_whole = self._is_whole and drill.version == self._drill.version
        self._drill = drill

    def answered(self, question: Question, value: object) -> None:
        """The drill as it stands now."""
        if question.topic == _LOOK and isinstance(value, RecoveryDrill):
            self._heard_at, self._problem, self._is_whole = self.desk.now(), "", True
            self.take(value, whole=True)

    def refused(self, question: Question, error: "ClientError") -> bool:
        """A missed look is followed by another; the sentence says so meanwhile."""
        from console.state.problems import describe, ends_session

        if question.topic != _LOOK or ends_session(error):
            return False
        self._problem = describe(error)
        return True

    # drawing

    def redraw(self) -> None:
        """Take in what the stream has told since."""
        latest = self.desk.latest if self.is_attached else None
        if latest is not None and latest.recovery is not None and latest.recovery.ref == self._drill.ref:
            self.take(latest.recovery, whole=False)
        super().redraw()

    def draw(self, view: View) -> None:
        """The clock, the checklist; a step that begins to wait is selected once."""
        self._draw_clock(view)
        super().draw(view)
        waiting = waiting_step(self._drill)
        number = waiting.number if waiting is not None else None
        if number != self._shown_step:
            self._shown_step = number
            if number is not None:
                self.query_one("#page", Rows).select(f"step:{number}#1")

    def _draw_clock(self, view: View) -> None:
        now = self._now(view)
        self.query_one("#clock", Panel).show([draw.clock_line(self._drill, now, view, unseen=bool(self._problem))])

    def sentence(self, view: View) -> Line:
        """Where it stands; or that nobody answers, and from when this is."""
        if self._problem:
            age = exact_age(seconds_between(self._heard_at, view.desk_now) or 0.0)
            at = self._now(view) if self._heard_at is None else (self.desk.latest or Floor()).now(self._heard_at)
            runs = " The clock still runs." if clock(self._drill, self._now(view)).runs else ""
            text = f"STALE: no answer for {age}; this is from {at:%H:%M:%S}.{runs} {self._problem}"
            return self.headline_line("bad", text)
        return self.headline_line(*draw.sentence(self._drill, self._now(view)))

    def _page(self, view: View) -> list[Row]:
        now, one = self._now(view), self._drill
        rows: list[Row] = [(row, None) for row in draw.left_lines(one, view)]
        for step in one.steps:
            head, *rest = draw.step_lines(step, now, view)
            rows += [(head, Link(kind="step", id=str(step.number), label=step.title)), *((row, None) for row in rest)]
        rows += [(row, None) for row in draw.below(one, now, view)]
        if self._problem:
            return [(row, link) for row, (_, link) in zip(dimmed(row for row, _ in rows), rows, strict=True)]
        return rows

    def _now(self, view: View) -> datetime:
        return (self.desk.latest or Floor()).now(view.desk_now)

    def end_line(self) -> Line:
        """The place on the page, and what is to be done now."""
        return (*super().end_line(), (f", {draw.keys_hint(self._drill)}", "dim"))

    # actions

    def _selected_step(self) -> DrillStep | None:
        link = self.chosen
        return next((step for step in self._drill.steps if link is not None and link.id == str(step.number)), None)

    async def do_recovery_step(self, _: str) -> None:
        """Let the waiting step run; on a step that is over, show what it printed."""
        from console.screens.recovery.step import StepScreen

        selected, waiting = self._selected_step(), waiting_step(self._drill)
        if selected is not None and selected.state in _OVER:
            title = f"{self._drill.ref} step {selected.number}"
            page = ReadingScreen(title, lambda view: [(row, None) for row in draw.output_lines(selected, view)])
            await self.desk.push_screen(page)
        elif waiting is None:
            self.desk.say("refused", "No step waits for anybody.")
        elif Permission.RUN_RECOVERY_DRILLS not in (self.desk.who.permissions or frozenset(Permission)):
            self.desk.say("refused", f"Your role {self.desk.who.role} may not do this: it lacks run_recovery_drills.")
        else:
            await self.desk.push_screen(StepScreen(self._drill, waiting))

    async def do_recovery_abort(self, _: str) -> None:
        """Open the dialog that ends it."""
        from console.screens.recovery.step import AbortScreen

        if self._drill.state in ENDED:
            self.desk.say("refused", f"{self._drill.ref} has ended: it {self._drill.state.value}.")
            return
        await self.desk.push_screen(AbortScreen(self._drill))

    async def do_recovery_report(self, _: str) -> None:
        """Read the report."""
        from console.screens.recovery.papers import ReportPage

        await self.desk.push_screen(ReportPage(self._drill.ref))

    async def do_recovery_sign(self, _: str) -> None:
        """Open the dialog that signs it off."""
        from console.screens.recovery.papers import SignScreen

        if self._has_ended():
            await self.desk.push_screen(SignScreen(self._drill))

    async def do_recovery_finding(self, _: str) -> None:
        """Open the dialog that keeps a finding."""
        from console.screens.recovery.papers import FindingScreen

        await self.desk.push_screen(FindingScreen(self._drill))

    async def do_recovery_export(self, _: str) -> None:
        """Open the dialog that writes the report into a file."""
        from console.screens.recovery.papers import ExportScreen

        await self.desk.push_screen(ExportScreen(self._drill.ref))

    def _has_ended(self) -> bool:
        if self._drill.state not in ENDED:
            self.desk.say("refused", f"{self._drill.ref} has not ended: there is nothing to sign yet.")
        return self._drill.state in ENDED
