"""Owns the run of the console from the first frame to the exit code.

Must never import Textual at module level: the caller paints first.
"""

import asyncio
import gc
import os
import sys
import termios
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from console.term.firstframe import FirstFrame, restore_terminal
from console.term.lifecycle import Lifecycle

if TYPE_CHECKING:
    from console.term.app import TerminalApp

AppFactory = Callable[[], "TerminalApp[Any]"]
"""Imports and builds the application; called after the first frame is on the screen."""


def run_console(app_factory: AppFactory, frame: FirstFrame | None = None) -> int:
    """Run an application on the terminal and return its exit code; the terminal is as before, whatever happens.

    `frame` is the first frame if one was painted. Exit code 128 + n after signal n, 129 also for a lost terminal.
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
    sys.stdout.flush()
    lifecycle.arm(app.return_code or 0)
    if frame is not None and not frame.adopted:
        raise RuntimeError("Textual did not start; set WATCHFLOOR_DEBUG=1 to see why")
    return app.return_code or 0


async def _run(app: "TerminalApp[Any]", lifecycle: Lifecycle) -> None:
    from console.term.painter import is_supported

    def leave(code: int) -> None:
        app.exit(return_code=code)

    lifecycle.attach(asyncio.get_running_loop(), leave)
    if not is_supported():
        lifecycle.watch_terminal()
    await app.run_async()


def _attributes() -> list[Any] | None:
    try:
        return termios.tcgetattr(0)
    except termios.error:
        return None
