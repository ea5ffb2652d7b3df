"""A recovery drill run from real consoles in a pty, each of which is killed in the middle of a step. Judges nothing
but what the next console shows.
"""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from contract.recovery import RecoveryDrill, StepState
from tests.support.demo import environment
from tests.support.recovery_at_demo import PATIENCE_S, RecoveryDesk
from tests.support.recovery_mishaps import STEPS, Round, judged, writing
from tests.support.terminal import Terminal

DEAF_S: Final = 0.6
"""A dialog takes no key in its first moments."""


@contextmanager
def console(desk: RecoveryDesk, data_dir: Path) -> Iterator[Terminal]:
    """A console of whoever is signed in at the demo's command line, on the list of recovery drills."""
    argv = [sys.executable, "-P", "-m", "watchfloor", "console", "--url", desk.url]
    environ = environment(data_dir, {"XDG_STATE_HOME": str(data_dir / "state"), "WATCHFLOOR_THEME": "dark"})
    with Terminal(argv, env=environ) as terminal:
        terminal.wait_for("Overview")
        terminal.press("R")
        terminal.wait_for("Recovery")
        yield terminal


def killed_in_each_step(desk: RecoveryDesk, data_dir: Path) -> Round:
    """Run one drill from its screen to its end; whatever console lets a step run is killed while that is at work."""
    with writing(desk) as writer:
        desk.ready("failover")
        with console(desk, data_dir) as terminal:
            ref = _started(terminal, desk)
            _let_run(terminal, desk.drill(ref), 1)
            _kill(terminal)
        for step in range(1, STEPS):
            with console(desk, data_dir) as terminal:
                _opened(terminal, ref)
                _let_run(terminal, _waiting(desk, ref, step + 1), step + 1)
                _kill(terminal)
        ended = desk.ended(ref)
        with console(desk, data_dir) as terminal:
            _opened(terminal, ref)
            terminal.wait_until(lambda text: _shows(text, STEPS, "passed"), "the last step that passed")
        return judged(desk, writer, ended, "consoles killed in each step")


def _started(terminal: Terminal, desk: RecoveryDesk) -> str:
    """Start the built-in plan step by step from the dialog."""
    before = {one["ref"] for one in desk.ask("GET", "drills").json()["items"]}
    terminal.press("n")
    terminal.wait_for("Start a recovery drill", "It would start.")
    terminal.settle(DEAF_S)
    terminal.press("tab", "tab", "tab")
    terminal.type("practice")
    terminal.wait_until(lambda text: "to do:" not in text, "a button that can be pressed")
    terminal.press("tab", "tab", "tab", "tab", "enter")
    terminal.wait_for("DR-TEST-", "Enter asks for the cluster's name", patience_s=PATIENCE_S)
    (ref,) = {one["ref"] for one in desk.ask("GET", "drills").json()["items"]} - before
    return str(ref)


def _opened(terminal: Terminal, ref: str) -> None:
    """Open the newest drill, which is the one that runs."""
    terminal.wait_for(ref, patience_s=PATIENCE_S)
    terminal.press("enter")
    terminal.wait_for(f"WATCHFLOOR  {ref}", "of 15 min", "Fail back to primary", patience_s=PATIENCE_S)


def _waiting(desk: RecoveryDesk, ref: str, number: int) -> RecoveryDrill:
    """The drill once it has come to a step although the console is gone."""
    return desk.until(ref, lambda one: one.steps[number - 1].state is StepState.WAITING)


def _let_run(terminal: Terminal, drill: RecoveryDrill, number: int) -> None:
    """Let the waiting step run, as the console does it, and wait until it says so."""
    terminal.wait_until(lambda text: _shows(text, number, "WAITS"), f"step {number} that waits")
    terminal.press("enter")
    terminal.wait_for(f"{drill.ref} step {number}")
    terminal.settle(DEAF_S)
    terminal.press("tab")
    if drill.steps[number - 1].destructive:
        terminal.type(drill.cluster)
        terminal.wait_until(lambda text: "to do:" not in text, "a button that can be pressed")
        terminal.press("tab", "tab")
    terminal.press("enter")


def _kill(terminal: Terminal) -> None:
    """Kill the console once it has sent what it was told to."""
    terminal.wait_until(lambda text: "It runs at once" not in text and "DESTRUCTIVE" not in text, "the drill again")
    os.kill(terminal.pid, signal.SIGKILL)
    terminal.wait_exit()


def _shows(text: str, step: int, state: str) -> bool:
    """Whether the checklist has a step in a state."""
    return any(f"{state}" in row and f" {step} " in row for row in text.splitlines())
