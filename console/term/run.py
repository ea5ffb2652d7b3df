"""Owns the run of the console from the first frame to the exit code.

Must never import Textual at module level: the caller paints first.
"""

import asyncio
import gc
import os
import sys
import termios
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

from console.term.firstframe import FirstFrame, restore_terminal
from console.term.lifecycle import Lifecycle

if TYPE_CHECKING:
    from console.term.app import TerminalApp

AppFactory = Callable[[], "TerminalApp[Any]"]
"""Imports and builds the application; called after the first frame is on the screen."""


def run_console(app_factory: AppFactory, frame: FirstFrame | None = None) -> NoReturn:
    """Run an application on the terminal and end the process with its exit code; the terminal is as before.

    `frame` is the first frame if one was painted. Exit code 128 + n after signal n, 129 also for a lost terminal. Ends
    without the interpreter's farewell, which would wait for connections and threads that nobody needs any more.

    Raises:
        RuntimeError: Textual did not start.
    """
    os.environ.setdefault("TEXTUAL_ANIMATIONS", "none")
    gc.disable()
    attributes = frame.attributes if frame is not None else _attributes()
    lifecycle = Lifecycle(attributes)
    app = app_factory()
    app.lifecycle = lifecycle
    app.terminal_link.first_frame = frame
    app.terminal_link.on_lost = lifecycle.terminal_lost
    lifecycle.install()
    try:
        asyncio.run(_run(app, lifecycle))
    except BaseException:
        restore_terminal(attributes)
        raise
    raise RuntimeError("Textual did not start")


async def _run(app: "TerminalApp[Any]", lifecycle: Lifecycle) -> None:
    from console.term.painter import is_supported

    def leave(code: int) -> None:
        app.exit(return_code=code)

    lifecycle.attach(asyncio.get_running_loop(), leave)
    if not is_supported():  # Textual's own driver knows nothing of the first frame and does not report a lost terminal
        if app.terminal_link.first_frame is not None:
            app.terminal_link.first_frame.restore()
            app.terminal_link.first_frame = None
        lifecycle.watch_terminal()
    await app.run_async()
    if app.terminal_link.first_frame is None:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(app.return_code or 0)


def _attributes() -> list[Any] | None:
    try:
        return termios.tcgetattr(0)
    except termios.error:
        return None
