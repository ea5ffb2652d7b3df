"""A program for the tests of the terminal layer: starts as the console does, shows little, and can be made to hang."""

import os
import sys
import threading
import time
from itertools import count
from typing import TYPE_CHECKING

from console.term import firstframe

if TYPE_CHECKING:
    from console.term.app import TerminalApp


async def edited(app: "TerminalApp[None]") -> None:
    """Have a text written in the operator's own editor; the screen changes meanwhile."""
    from textual.widgets import Static

    from console.term import external

    told: list[str] = []
    numbers = count()
    beating = app.set_interval(0.01, lambda: app.query_one(Static).update(f"PAINTED {next(numbers)}"))
    try:
        command = external.editor_command(os.environ)
        text = await external.edit_outside(app, "first words", command, lambda path: told.append(str(path)))
        shown = f"edited={text!r} kept={os.path.exists(told[0])}"  # noqa: ASYNC240, PTH110  one look
    except external.EditorRefusedError as error:
        shown = f"refused={error}"
    beating.stop()
    app.query_one(Static).update(shown)


def build() -> object:  # noqa: C901  one class with many small handlers
    """Import Textual, as late as the console does, and return the application."""
    from textual.app import ComposeResult
    from textual.binding import Binding
    from textual.widgets import Static

    from console.term.app import TerminalApp

    class StandIn(TerminalApp[None]):
        """Shows which keys arrived."""

        BINDINGS = [
            Binding("q", "quit"),
            Binding("h", "hang"),
            Binding("w", "block_worker"),
            Binding("z", "suspend_process"),
            Binding("c", "copy"),
            Binding("C", "copy_large"),
            Binding("x", "crash"),
            Binding("f", "flood"),
            Binding("e", "edit"),
        ]

        def __init__(self) -> None:
            super().__init__()
            self.typed = ""

        def compose(self) -> ComposeResult:
            yield Static("ready", id="line")

        def on_key(self, event: object) -> None:
            self.typed += getattr(event, "character", None) or "?"
            self.query_one(Static).update(f"ready typed={self.typed!r}")

        def action_edit(self) -> None:
            self.run_worker(edited(self))

        def action_hang(self) -> None:
            self.set_timer(0.2, lambda: time.sleep(60))

        def action_block_worker(self) -> None:
            self.run_worker(lambda: time.sleep(60), thread=True)
            threading.Thread(target=time.sleep, args=(60,)).start()

        def action_copy(self) -> None:
            self.copy_to_clipboard("FRZ-31")

        def action_copy_large(self) -> None:
            self.copy_to_clipboard("x" * 100_000)

        def action_flood(self) -> None:
            """Write more than the kernel, and then Textual's own queue, will hold."""
            for _ in range(1_000):
                self._driver.write(" \r" * 5_000)  # type: ignore[union-attr]  # it is running

        def action_crash(self) -> None:
            token = "tok-secret".replace("-", "_")  # noqa: F841  must not be shown
            raise RuntimeError("made up for the test")

    return StandIn()


def main() -> int:
    frame = firstframe.paint("http://127.0.0.1:1")
    if "wait" in sys.argv:
        time.sleep(60)
    if "slow" in sys.argv:
        time.sleep(1)
    from console.term.run import run_console

    if "plain" in sys.argv:
        from console.term import painter

        painter.TEXTUAL_VERSION = "0.0.0"  # type: ignore[misc]  # as if another Textual were installed
    run_console(build, frame)  # type: ignore[arg-type]  # the class is local to `build`


if __name__ == "__main__":
    sys.exit(main())
