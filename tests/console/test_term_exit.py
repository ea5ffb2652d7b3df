"""However the console ends, it ends, says how in its exit code, and leaves the terminal as it found it."""

import os
import signal
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.support.modes import leftovers
from tests.support.terminal import Terminal

PROGRAM = [sys.executable, "-m", "tests.console.term_standin"]
ROOT = str(Path(__file__).parents[2])
IGNORING_HANG_UP = ["/bin/sh", "-c", "trap '' HUP; exec \"$@\"", "sh", *PROGRAM]


@contextmanager
def running(argv: list[str] = PROGRAM, **env: str) -> Iterator[Terminal]:
    with Terminal(argv, env=env, cwd=ROOT) as terminal:
        before = termios.tcgetattr(terminal._fd)
        terminal.wait_for("ready")
        yield terminal
        terminal.pump(0.3)
        assert leftovers(bytes(terminal.received)) == set()
        if terminal._fd >= 0:
            assert termios.tcgetattr(terminal._fd) == before


def test_quit() -> None:
    with running() as terminal:
        terminal.press("q")
        assert terminal.wait_exit() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_it_with_128_and_its_number(number: signal.Signals) -> None:
    with running() as terminal:
        os.kill(terminal.pid, number)
        assert terminal.wait_exit() == 128 + number


@pytest.mark.parametrize("key", ["h", "w"])
def test_a_hanging_console_ends_by_force_and_restores(key: str) -> None:
    with running() as terminal:
        terminal.press(key)
        terminal.pump(0.5)
        os.kill(terminal.pid, signal.SIGTERM)
        assert terminal.wait_exit() == 128 + signal.SIGTERM


def test_quit_does_not_wait_for_a_blocked_worker() -> None:
    with running() as terminal:
        terminal.press("w", "q")
        assert terminal.wait_exit() == 0


@pytest.mark.parametrize("argv", [PROGRAM, IGNORING_HANG_UP], ids=["SIGHUP", "SIGHUP ignored"])
def test_a_lost_terminal_ends_it(argv: list[str]) -> None:
    with Terminal(argv, cwd=ROOT) as terminal:
        terminal.wait_for("ready")
        process = psutil.Process(terminal.pid)
        terminal.hang_up()
        assert terminal.wait_exit() == 128 + signal.SIGHUP
        assert not process.is_running()


def test_a_terminal_that_takes_no_more_output_cannot_hold_it() -> None:
    with Terminal(PROGRAM, cwd=ROOT) as terminal:
        terminal.wait_for("ready")
        terminal.type("f")
        time.sleep(0.5)  # nobody reads: the kernel's buffer fills, then the writer's queue, then the program blocks
        os.kill(terminal.pid, signal.SIGTERM)
        _, status = os.waitpid(terminal.pid, 0)
        terminal._status = status
        assert os.waitstatus_to_exitcode(status) == 128 + signal.SIGTERM


def test_it_ends_with_the_supervisor_that_started_it() -> None:
    supervisor = (
        "import os,subprocess,sys;os.environ['WATCHFLOOR_PARENT_PID']=str(os.getpid());"
        f"p=subprocess.Popen({PROGRAM!r});p.wait()"
    )
    with Terminal([sys.executable, "-c", supervisor], cwd=ROOT) as terminal:
        terminal.wait_for("ready")
        (console,) = psutil.Process(terminal.pid).children()
        os.kill(terminal.pid, signal.SIGKILL)
        terminal.wait_exit()
        psutil.wait_procs([console], timeout=30)
        assert not console.is_running()


def test_stopping_and_continuing_repaints() -> None:
    with running() as terminal:
        terminal.press("a", "z")
        process = psutil.Process(terminal.pid)
        while process.status() != psutil.STATUS_STOPPED:
            terminal.pump()
        assert leftovers(bytes(terminal.received)) == set()
        terminal.screen.reset()
        os.kill(terminal.pid, signal.SIGCONT)
        terminal.wait_for("ready typed='az'")
        terminal.press("b")
        terminal.wait_for("typed='azb'")
        terminal.press("q")
        assert terminal.wait_exit() == 0


def test_an_unannounced_stop_is_survived() -> None:
    with running() as terminal:
        os.kill(terminal.pid, signal.SIGSTOP)
        os.kill(terminal.pid, signal.SIGCONT)
        terminal.press("b")
        terminal.wait_for("typed='b'")
        terminal.press("q")
        assert terminal.wait_exit() == 0


@pytest.mark.parametrize("way", ["quit", "SIGTERM", "lost terminal"])
def test_with_another_textual_it_ends_as_well(way: str) -> None:
    with Terminal([*IGNORING_HANG_UP, "plain"], cwd=ROOT) as terminal:
        before = termios.tcgetattr(terminal._fd)
        terminal.wait_for("ready")
        if way == "quit":
            terminal.press("q")
        elif way == "SIGTERM":
            os.kill(terminal.pid, signal.SIGTERM)
        else:
            terminal.hang_up()
        assert terminal.wait_exit() == {"quit": 0, "SIGTERM": 143, "lost terminal": 129}[way]
        terminal.pump(0.3)
        if way != "lost terminal":
            assert leftovers(bytes(terminal.received)) == set()
            assert termios.tcgetattr(terminal._fd) == before


def test_a_crash_restores_the_terminal() -> None:
    with running() as terminal:
        terminal.press("x")
        assert terminal.wait_exit() == 1
        assert b"made up for the test" in terminal.received
        assert b"tok_secret" not in terminal.received


def test_copying_reaches_the_terminal_and_a_refusal_is_shown() -> None:
    with running() as terminal:
        terminal.press("c")
        terminal.pump(0.3)
        assert b"\x1b]52;c;RlJaLTMx\x07" in terminal.received
        terminal.press("C")
        terminal.wait_for("Too large to copy")
        terminal.press("q")
        assert terminal.wait_exit() == 0
