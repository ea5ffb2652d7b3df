"""The ledger's state: signed and witnessed heads, the way into it, what is kept. Asks again while it is shown."""

from typing import TYPE_CHECKING, Final

from console.asking import Question
from console.client import retention
from console.screens.reading.screen import ReadingScreen, Row
from console.state.floor import Floor
from console.state.freshness import exact_age, seconds_between
from console.state.ledger_state import LOOK_S, LedgerState, headline
from console.widgets import ledger as draw
from console.widgets.lines import Line
from console.widgets.view import View

if TYPE_CHECKING:
    from console.asking import Call
    from console.client.errors import ClientError

_STALE_LOOKS: Final = 2
"""One missed look is normal, two are not."""


class LedgerScreen(ReadingScreen):
    """Three questions, each answered for itself: one that fails leaves the others standing."""

    CLOSED = False
    IS_PAGE = True

    def __init__(self) -> None:
        super().__init__("Ledger", self._page)
        self._state = LedgerState()
        self._problems: dict[str, str] = {}
        """Why a question was not answered, by its topic."""

    def on_mount(self) -> None:
        """Look at once, then again and again."""
        self._look()
        self.set_interval(LOOK_S, self._look)

    def sentence(self, view: View) -> Line:
        """The worst thing that is known, or that nothing is."""
        heard_s = seconds_between(self._state.heard_at, view.desk_now)
        if self._problems and (heard_s is None or heard_s > LOOK_S * _STALE_LOOKS):
            since = f"Nothing heard for {exact_age(heard_s)}" if heard_s is not None else "Nothing is known"
            return self.headline_line("near", f"{since}: {next(iter(self._problems.values()))}")
        if self._problems:
            return self.headline_line("near", next(iter(self._problems.values())))
        return self.headline_line(*headline(self._state, (self.desk.latest or Floor()).now(view.desk_now)))

    def _page(self, view: View) -> list[Row]:
        now = (self.desk.latest or Floor()).now(view.desk_now)
        return [(row, None) for row in draw.rows(self._state, now, view)]

    def _look(self) -> None:
        if self.desk.api is None:
            return
        asked: dict[str, Call] = {
            "heads": lambda api: api.ledger_heads(),
            "ready": lambda api: api.readiness(),
            "retention": retention.retention,
        }
        for topic, call in asked.items():
            if not self.questions.is_waiting(topic):
                self.ask(topic, call)

    def answered(self, question: Question, value: object) -> None:
        """Take in one of the answers."""
        self._problems.pop(question.topic, None)
        self._state = self._state.with_answer(value, self.desk.now())

    def refused(self, question: Question, error: "ClientError") -> bool:
        """A missed look is followed by another; the sentence says so meanwhile."""
        from console.state.problems import describe, ends_session

        if ends_session(error):
            return False
        self._problems[question.topic] = describe(error)
        return True
