"""Owns what the operator is told: one message that stays where it is until it is read."""

from typing import TYPE_CHECKING, Any

from textual import on
from textual.worker import Worker, WorkerState

from console.asking import Told
from console.screens.base import FloorScreen
from console.term.app import TerminalApp

if TYPE_CHECKING:
    from textual.screen import Screen

    from console.client.errors import ClientError


class Telling(TerminalApp[None]):
    """The message line of the application."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.message: tuple[str, str] = ("", "")
        """Kind and text of what happened last."""

    async def sign_in(self, reason: str = "") -> None:
        """Ask who the operator is."""
        raise NotImplementedError

    async def lock(self, reason: str = "") -> None:
        """Cover the screen until the person has shown every factor."""
        raise NotImplementedError

    def say(self, kind: str, text: str) -> None:
        """Show what happened: `error` stays until dismissed, the others until the next key."""
        self.message = (kind, text)
        self.redraw()

    def on_top(self) -> "Screen[object] | None":
        """What is seen; nothing while the console ends, which takes as long as what it waits for (a hung disk)."""
        return self.screen if self._screen_stack else None

    def redraw(self) -> None:
        """Draw what is seen anew from what is known."""
        screen = self.on_top()
        if isinstance(screen, FloorScreen):
            screen.redraw()

    def tell(self, text: str) -> None:
        """Say from a worker what has to be read while its answer is waited for."""
        self.post_message(Told(text))

    @on(Told)
    def _told(self, event: Told) -> None:
        self.say("notice", event.text)

    def clear_note(self) -> None:
        """Drop a message that has been read."""
        if self.message[1] and self.message[0] != "error":
            self.say("", "")

    def notify(self, message: str, *, severity: str = "information", **_: Any) -> None:
        """Textual's own notices appear where all others do."""
        self.say("error" if severity == "error" else "notice" if severity == "warning" else "done", message)

    def complain(self, error: "ClientError") -> None:
        """Show a refusal in the backend's own words; an ended session goes to the login, a locked one is covered."""
        from console.state.problems import describe, ends_session, locks_session

        if locks_session(error):
            self.call_later(self.lock, error.message)
        elif ends_session(error):
            self.call_later(self.sign_in, describe(error))
        else:
            self.say("error", describe(error))

    @on(Worker.StateChanged)
    def _worker_changed(self, event: Worker.StateChanged) -> None:
        if event.state is WorkerState.ERROR:
            self.worker_failed(event.worker)

    def worker_failed(self, worker: Worker[Any]) -> None:
        """A worker failed in a way nobody foresaw: say so, and keep saying so."""
        self.say("error", f"{worker.name} failed: {type(worker.error).__name__}: {worker.error}")
