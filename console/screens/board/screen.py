"""The board of one freeze: n of m halted, and every executor's answer. It is read until it proves the freeze."""

from typing import TYPE_CHECKING, ClassVar, Final

from textual.timer import Timer

from console.actions import Context
from console.asking import Question
from console.screens.reading.screen import ReadingScreen, Row
from console.state.floor import Floor
from console.state.freezing import POLL_S, UNKNOWN_AFTER_S, Effect, Outcome, effect_of
from console.state.freshness import seconds_between
from console.widgets.freezes import board_rows, board_sentence
from console.widgets.lines import Line
from console.widgets.view import View
from contract.errors import ExitCode
from contract.freeze import Freeze, FreezeStatus

if TYPE_CHECKING:
    from console.client.errors import ClientError

_NOT_YET: Final = frozenset({ExitCode.UNREACHABLE, ExitCode.NOT_FOUND})


class BoardScreen(ReadingScreen):
    """Polls one freeze until every executor has confirmed, or nobody can tell any more."""

    CONTEXTS: ClassVar[tuple[Context, ...]] = (Context.BOARD, Context.READING)

    def __init__(self, freeze: Freeze) -> None:
        super().__init__(f"Freeze {freeze.ref}", self._board)
        self._freeze = freeze
        self._timer: Timer | None = None

    def on_mount(self) -> None:
        """Look at once, then again and again while it matters."""
        self._look()
        self._timer = self.set_interval(POLL_S, self._look_again)

    def _board(self, view: View) -> list[Row]:
        late = self._effect(view).outcome is Outcome.UNKNOWN
        return [(row, None) for row in board_rows(self._freeze, view, late=late)]

    def sentence(self, view: View) -> Line:
        """How many have halted, and who has not answered."""
        floor = self.desk.latest or Floor()
        mood, text = board_sentence(self._freeze, self._effect(view), floor.now(view.desk_now))
        return self.headline_line(mood, text)

    def _effect(self, view: View) -> Effect:
        floor = self.desk.latest or Floor()
        return effect_of(self._freeze, seconds_between(self._freeze.created_at, floor.now(view.desk_now)) or 0.0)

    def _look_again(self) -> None:
        waited_s = seconds_between(self._freeze.created_at, (self.desk.latest or Floor()).now(self.desk.now())) or 0.0
        effect = self._effect(self.view())
        unsettled = effect.outcome is Outcome.WAITING or bool(effect.still_open)
        if unsettled or waited_s < UNKNOWN_AFTER_S or self._changed():
            self._look()

    def _changed(self) -> bool:
        """Whether the stream knows something of this freeze that the board does not."""
        floor = self.desk.latest
        if floor is None:
            return False
        known = floor.freezes.get(self._freeze.id)
        if known is None:
            return self._freeze.status != "thawed" and floor.loaded_at is not None
        return _counts(known) != _counts(self._freeze)

    def _look(self) -> None:
        if not self.questions.is_waiting("board") and self.desk.api is not None:
            self.ask("board", lambda api: api.freeze_detail(self._freeze.id), self._freeze.id)

    def answered(self, question: Question, value: object) -> None:  # noqa: ARG002  one topic
        """The freeze as it stands now."""
        if isinstance(value, Freeze):
            self._freeze = value
            self.TITLE_TEXT = f"Freeze {value.ref}"  # type: ignore[misc]  # one that was latched has got its ref

    async def do_freeze_incident(self, _: str) -> None:
        """Declare an incident from the freeze, or make it part of an open one."""
        from console.screens.board.declaring import declare_from

        await declare_from(self.desk, self._freeze)

    def refused(self, question: Question, error: "ClientError") -> bool:  # noqa: ARG002  one topic
        """A missed look is followed by another; the frame says that the line is lost."""
        from console.client.errors import Unreachable

        # one that is latched is not known to other backends, nor to a database that is away
        waits = self._freeze.status is FreezeStatus.LATCHED
        return isinstance(error, Unreachable) or (waits and error.exit_code in _NOT_YET)


def _counts(freeze: Freeze) -> tuple[object, ...]:
    progress = (freeze.halted, freeze.covered, freeze.verified, freeze.violations, freeze.still_open)
    return (*progress, freeze.status, freeze.version)
