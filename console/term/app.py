"""Owns the base class of the console's application: painting, leaving and copying go through the terminal layer.

Knows nothing of what the screens show.
"""

import asyncio
import contextlib
import gc
import os
from typing import Any, Generic, TypeVar

from rich.console import RenderableType
from textual import events
from textual._compositor import CompositorUpdate
from textual.app import App
from textual.driver import Driver
from textual.screen import Screen

from console.term import painter
from console.term.clipboard import CopyRefusedError, copy_sequence
from console.term.driver import ConsoleDriver, TerminalLink
from console.term.lifecycle import Lifecycle

ResultT = TypeVar("ResultT")
_NEW_OBJECTS = 20_000
"""How many more objects than before call for a garbage collection. With Python's 700, reading a list of five hundred
alerts has all older objects looked through, which holds a key up for a tenth of a second."""


class TerminalApp(App[ResultT], Generic[ResultT]):
    """An application that writes only what changed, ends in time and leaves the terminal as it was."""

    terminal_link: TerminalLink
    lifecycle: Lifecycle | None = None
    """Set by `run_console`; None in tests, where nobody may end the process."""

    def __init__(self, **options: Any) -> None:
        self.painter = painter.Painter()
        self._painted = asyncio.Event()
        self.terminal_link = TerminalLink(on_start=self.painter.forget)
        super().__init__(**options)

    def get_driver_class(self) -> type[Driver]:
        """Use our driver where it fits the installed Textual."""
        if painter.is_supported() and "TEXTUAL_DRIVER" not in os.environ:
            return ConsoleDriver
        return super().get_driver_class()

    def exit(self, result: ResultT | None = None, return_code: int = 0, message: RenderableType | None = None) -> None:
        """Leave; from now on the deadline of the lifecycle runs."""
        if self.lifecycle is not None:
            self.lifecycle.arm(return_code)
        super().exit(result, return_code, message)

    def copy_to_clipboard(self, text: str) -> None:
        """Copy to the operator's own clipboard, and say visibly what became of it."""
        self._clipboard = text
        try:
            sequence = copy_sequence(text, os.environ)
        except CopyRefusedError as refusal:
            self.notify(str(refusal), severity="warning", markup=False)
            return
        if self._driver is not None:
            self._driver.write(sequence)

    async def next_paint(self, limit_s: float) -> None:
        """Wait until something has been painted, so that heavy work begun after it does not hold it up."""
        self._painted = asyncio.Event()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._painted.wait(), limit_s)

    def action_redraw(self) -> None:
        """Paint everything again, after another program wrote over the screen."""
        self.painter.forget()
        self.screen.refresh()

    def _fatal_error(self) -> None:
        """Show where it failed, but not with which values: among them are tokens and passwords."""
        from rich.segment import Segments
        from rich.traceback import Traceback

        self.bell()
        traceback = Traceback(show_locals=False, width=None)
        self._exit_renderables.append(Segments(self.console.render(traceback, self.console.options)))
        self._close_messages_no_wait()

    def _display(self, screen: Screen[Any], renderable: RenderableType | None) -> None:
        """Write what differs; an update that changes nothing writes nothing at all."""
        self._write_update(screen, renderable)
        if renderable is not None:
            self._painted.set()

    def _write_update(self, screen: Screen[Any], renderable: RenderableType | None) -> None:
        if not self._shows_updates():
            super()._display(screen, renderable)
            return
        if not isinstance(renderable, CompositorUpdate):
            if renderable is not None:
                self.painter.forget()
            super()._display(screen, renderable)
            return
        update = self.painter.reduce(renderable, self.console)
        cursor = self.screen.outer_size.clamp_offset(self.cursor_position)
        unchanged = isinstance(update, painter.PaintedUpdate) and not update.sequence
        if unchanged and cursor == self._previous_cursor_position:
            self.post_display_hook()
        else:
            super()._display(screen, update)

    def _shows_updates(self) -> bool:
        """Tell whether Textual would write an update now; if not, it must not count as shown."""
        return (
            not self._batch_count
            and self._running
            and not self._closed
            and not self.is_headless
            and not self.is_inline
            and self._driver is not None
        )

    async def _on_resize(self, _: events.Resize) -> None:
        """A terminal that changed its size shows anything; Textual ignores a change there and back."""
        self.painter.forget()
        if self._running and self._screen_stack:
            self.screen.refresh()

    def _on_ready(self, _: events.Ready) -> None:
        """Start garbage collection, held back by `run_console`; what the start made will not become garbage."""
        if not gc.isenabled():
            gc.freeze()
            gc.set_threshold(_NEW_OBJECTS)
            gc.enable()
