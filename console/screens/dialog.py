"""Owns what dialogs and covers share: deaf to keys typed before they were seen; in dialogs Cancel is focused."""

from collections.abc import Callable, Mapping
from time import monotonic
from typing import ClassVar, Final

from textual import events, on

from console.actions import Context
from console.screens.base import FloorScreen
from console.widgets.press import Press

DEAF_S: Final = 0.3
"""How long after it is first seen it takes no key: what was typed ahead must not answer it, or stand in it."""


class DeafScreen(FloorScreen):
    """A screen that comes while somebody may be typing something else."""

    DEAF: ClassVar[float] = DEAF_S

    def __init__(self) -> None:
        super().__init__()
        self._hears_from = float("inf")

    def on_mount(self) -> None:
        """Take keys only once it has been painted."""
        self.call_after_refresh(self._painted)

    def _painted(self) -> None:
        self._hears_from = monotonic() + self.DEAF

    def is_deaf_to(self, event: events.Event) -> bool:
        """Keys and pastes sent before it could be read answer a question nobody has seen."""
        return isinstance(event, events.Key | events.Paste) and event.time < self._hears_from


class DialogScreen(DeafScreen):
    """A dialog about one dangerous act."""

    CONTEXTS = (Context.DIALOG,)
    CLOSED = True
    AUTO_FOCUS = "#cancel"

    def problem_of(self, do: Callable[[], object]) -> str:
        """Do something with what is typed, and return why that could not be done; nothing if it could."""
        try:
            do()
        except Exception as error:  # noqa: BLE001  boundary of one dialog: no text may end the console, or be lost by it
            from console.state.unsendable import why_not_sent

            return why_not_sent(error, self.labels())
        return ""

    def labels(self) -> Mapping[str, str]:
        """What the dialog calls the fields of its request."""
        return {}

    @on(Press.Pressed, "#cancel")
    def _cancelled(self) -> None:
        self.desk.call_later(self.cancel)

    async def do_dialog_close(self, _: str) -> None:
        """Close without doing anything."""
        await self.cancel()

    async def cancel(self) -> None:
        """Close without doing anything."""
        await self.desk.leave(self)

    def do_dialog_next(self, _: str) -> None:
        """Next field."""
        self.focus_next()

    def do_dialog_previous(self, _: str) -> None:
        """Previous field."""
        self.focus_previous()
