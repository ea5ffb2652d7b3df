"""Verification of the ledger: start one, see how far it is, read its six verdicts. The run belongs to the server."""

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult

from console.actions import Context
from console.asking import Question
from console.screens.reading.screen import ReadingScreen, Row
from console.state.floor import Floor
from console.state.freshness import exact_age, seconds_between
from console.state.verification import LOOK_S, SHOWN_RUNS, Runs, failed_verdicts, headline
from console.widgets import verification as draw
from console.widgets.lines import EMPTY, Line, line
from console.widgets.panel import Panel
from console.widgets.view import View
from contract.alerts import Link
from contract.base import Page
from contract.verification import Verification, VerificationRequest

if TYPE_CHECKING:
    from datetime import datetime

    from console.client.errors import ClientError

_RUN = "verification"
"""The kind of link that shows another verification on this screen."""


class VerifyScreen(ReadingScreen):
    """Asks the server again and again while a verification is under way; leaving and coming back changes nothing."""

    CSS_PATH = [*ReadingScreen.CSS_PATH, Path(__file__).parent / "screen.tcss"]
    CONTEXTS: ClassVar[tuple[Context, ...]] = (Context.VERIFY, Context.READING)
    CLOSED = False
    IS_PAGE = True

    def __init__(self) -> None:
        super().__init__("Verification", self._page)
        self._runs = Runs()
        self._shown = ""
        """The verification whose verdicts were chosen; empty for the newest."""
        self._problem = ""
        """Why the last look failed."""

    def compose_body(self) -> ComposeResult:
        """What cannot be overlooked, then the page."""
        yield Panel(id="alarm")
        yield from super().compose_body()

    def on_mount(self) -> None:
        """Look at once, then again while there is something to see."""
        self._look()
        self.set_interval(LOOK_S, self._look_again)

    # drawing

    def sentence(self, view: View) -> Line:
        """How the ledger stands."""
        if self._problem and self._runs.heard_at is None:
            return self.headline_line("near", f"Nothing is known of verifications: {self._problem}")
        if self._problem:
            quiet = exact_age(seconds_between(self._runs.heard_at, view.desk_now) or 0.0)
            return self.headline_line("near", f"Nothing heard for {quiet}; what you see is from then. {self._problem}")
        return self.headline_line(*headline(self._runs, self._now(view)))

    def draw(self, view: View) -> None:
        """Bring alarm and page up to date."""
        judged = self._runs.judged
        failed = judged is not None and (failed_verdicts(judged) or judged.passed is False)
        self.query_one("#alarm", Panel).show([draw.alarm_line(judged, view)] if judged is not None and failed else [])
        super().draw(view)

    def _now(self, view: View) -> "datetime":
        return (self.desk.latest or Floor()).now(view.desk_now)

    def _page(self, view: View) -> list[Row]:
        runs, now = self._runs, self._now(view)
        rows: list[Row] = []
        if runs.under_way is not None:
            rows += [(row, None) for row in draw.progress_rows(runs.under_way, runs.pace, now, view)]
        chosen = runs.find(self._shown) or runs.judged or next(iter(runs.ended), None)
        if chosen is not None:
            rows += [(row, None) for row in draw.verdict_rows(chosen, now, view)]
        elif runs.heard_at is not None and runs.under_way is None:
            rows += [(line(("Nothing is known of this ledger's integrity until it is verified.", "dim")), None)]
            rows += [(line(("v", "key"), ("  verifies it.", "dim")), None), (EMPTY, None)]
        if runs.ended:
            rows.append((draw.runs_title(len(runs.ended), view), None))
        for run in runs.ended:
            link = Link(kind=_RUN, id=run.id, label="")
            rows.append((draw.run_row(run, view, shown=run is chosen), link))
        return rows

    # the server

    def _look_again(self) -> None:
        if self._problem or self._runs.is_due(self.desk.now()):
            self._look()

    def _look(self) -> None:
        if not self.questions.is_waiting("runs") and self.desk.api is not None:
            self.ask("runs", lambda api: api.verifications(limit=SHOWN_RUNS))

    def answered(self, question: Question, value: object) -> None:
        """Take in the list, or the verification that was asked for."""
        self._problem = ""
        if isinstance(value, Page):
            self._runs = self._runs.with_all(value.items, self.desk.now())
        elif isinstance(value, Verification):
            joined = self._runs.find(value.id) is not None
            self._runs = self._runs.with_one(value, self.desk.now())
            if joined or (question.about == "full") is not value.full:
                self.desk.say("done", "One was already under way: this is it.")

    def refused(self, question: Question, error: "ClientError") -> bool:
        """A missed look is followed by another; that the line is lost stands in the sentence."""
        from console.client.errors import Unreachable
        from console.state.problems import describe

        if question.topic == "runs" and isinstance(error, Unreachable):
            self._problem = describe(error)
            return True
        return False

    # actions

    async def follow(self, link: Link) -> None:
        """Show the verdicts of the selected verification."""
        if link.kind != _RUN:
            await super().follow(link)
            return
        self._shown = link.id
        self.redraw()

    def do_verify_new(self, _: str) -> None:
        """Verify what was added since the last good verification."""
        self._start(full=False)

    def do_verify_full(self, _: str) -> None:
        """Verify from the first entry on."""
        self._start(full=True)

    def _start(self, *, full: bool) -> None:
        if self.questions.is_waiting("verify"):
            return
        self._shown = ""
        wanted = VerificationRequest(full=full)
        self.ask("verify", lambda api: api.verify_ledger(wanted), "full" if full else "new")
