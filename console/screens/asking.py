"""Owns how a screen asks the backend: numbered questions in workers, answers taken in once, failures always seen.

Must never touch a widget from a worker: workers post messages, the handlers here take them.
"""

from typing import TYPE_CHECKING, cast

from textual import on
from textual.screen import Screen
from textual.worker import Worker, WorkerState, WorkType

from console.asking import Answered, Call, Died, Question, Questions, Refused, ask_backend

if TYPE_CHECKING:
    from console.app import WatchfloorApp
    from console.client.errors import ClientError


class AskingScreen(Screen[None]):
    """A screen that asks questions."""

    def __init__(self) -> None:
        super().__init__()
        self.questions = Questions()

    @property
    def desk(self) -> "WatchfloorApp":
        """The application."""
        return cast("WatchfloorApp", self.app)

    def redraw(self) -> None:
        """Bring everything up to date."""

    def answered(self, question: Question, value: object) -> None:
        """Take in an answer that is still waited for."""

    def refused(self, question: Question, error: "ClientError") -> bool:  # noqa: ARG002  for subclasses
        """Take in a refusal; True if the screen shows it itself, so that the message line need not."""
        return False

    def died(self, question: Question) -> None:
        """No answer will come any more; the message line says why."""

    def ask(self, topic: str, call: Call, about: str = "") -> None:
        """Ask the backend in a worker; `answered` or `refused` takes what comes back, unless a newer question does."""
        api = self.desk.api
        if api is None:
            self.desk.say("error", "Not connected: there is nobody to ask.")
            return
        question = self.questions.put(topic, about)

        async def asking() -> None:  # a function, not its coroutine: it may be replaced before it begins
            await ask_backend(self, api, question, call)

        work: WorkType[None] = asking
        named = topic.partition(" ")[0]  # what follows only tells one from the other
        self.run_worker(work, name=named, group=topic, exclusive=True, exit_on_error=False)

    @on(Answered)
    def _answered(self, event: Answered) -> None:
        event.stop()
        if self.questions.settle(event.question):
            self.answered(event.question, event.value)
            self.redraw()

    @on(Refused)
    def _refused(self, event: Refused) -> None:
        event.stop()
        if self.questions.settle(event.question):
            if not self.refused(event.question, event.error):
                self.desk.complain(event.error)
            self.redraw()

    @on(Died)
    def _died(self, event: Died) -> None:
        event.stop()
        if self.questions.settle(event.question):
            self.died(event.question)
            self.redraw()

    @on(Worker.StateChanged)
    def _worker_changed(self, event: Worker.StateChanged) -> None:
        """Every failed worker becomes an error that stays on the screen."""
        if event.state is WorkerState.ERROR:
            self.desk.worker_failed(event.worker)
