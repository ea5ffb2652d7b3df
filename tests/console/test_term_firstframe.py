"""The first frame is there before anything else, loses no key, and is undone when what follows fails."""

import os
import signal
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from tests.support.modes import leftovers
from tests.support.terminal import Terminal

ROOT = str(Path(__file__).parents[2])
STAND_IN = [sys.executable, "-m", "tests.console.term_standin"]
CONSOLE = [sys.executable, "-m", "watchfloor", "console"]
HEAVY = ("textual", "rich", "asyncio", "typing", "json", "logging", "httpx", "pydantic", "click", "re")
PROBE = """
import sys
from console.term import firstframe
before = set(sys.modules)
import watchfloor.entry
frame = firstframe.paint("http://x")
frame.restore()
print("loaded", sorted(sys.modules.keys() & set(sys.argv[1:])))
"""


def test_nothing_heavy_is_imported_for_it() -> None:
    with Terminal([sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {ROOT!r}){PROBE}", *HEAVY]) as terminal:
        assert terminal.wait_exit() == 0
        terminal.pump(0.3)
        assert b"loaded []" in terminal.received


@pytest.mark.parametrize(("columns", "rows"), [(80, 24), (120, 40), (20, 3), (9, 1)])
def test_it_fits_the_terminal(columns: int, rows: int) -> None:
    with Terminal([*STAND_IN, "wait"], columns=columns, rows=rows, cwd=ROOT) as terminal:
        terminal.wait_for(" WATCHFLOOR"[:columns].rstrip())
        terminal.pump(0.3)
        lines = terminal.screen.display
        assert lines[0].startswith(" WATCHFLOOR"[:columns])
        if columns == 80:
            assert lines[0].endswith("connecting… ")
            assert "Connecting to http://127.0.0.1:1" in lines[2]
            assert lines[-1].startswith(" ? help  q quit")


def test_without_utf8_it_is_ascii() -> None:
    with Terminal([*STAND_IN, "wait"], env={"LANG": "C", "LC_ALL": "C"}, cwd=ROOT) as terminal:
        terminal.wait_for("connecting...")
        terminal.pump(0.3)
        assert bytes(terminal.received).isascii()


def test_keys_typed_before_the_console_is_there_arrive_and_do_not_echo() -> None:
    with Terminal([*STAND_IN, "slow"], cwd=ROOT) as terminal:
        terminal.wait_for("Connecting")
        terminal.type("abc")
        terminal.pump(0.3)
        assert "abc" not in terminal.text
        terminal.wait_for("ready typed='abc'")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_while_it_shows_restores_the_terminal(number: signal.Signals) -> None:
    with Terminal([*STAND_IN, "wait"], cwd=ROOT) as terminal:
        before = termios.tcgetattr(terminal._fd)
        terminal.wait_for("Connecting")
        if number == signal.SIGINT:
            terminal.type("\x03")
        else:
            os.kill(terminal.pid, number)
        assert terminal.wait_exit() == 128 + number
        terminal.pump(0.3)
        assert leftovers(bytes(terminal.received)) == set()
        assert termios.tcgetattr(terminal._fd) == before


def test_a_stored_session_that_cannot_be_used_opens_the_login_and_says_why(tmp_path: Path) -> None:
    (tmp_path / "watchfloor").mkdir()
    (tmp_path / "watchfloor" / "sessions.json").write_text("not JSON")
    (tmp_path / "watchfloor" / "sessions.json").chmod(0o600)
    with Terminal(CONSOLE, env={"XDG_STATE_HOME": str(tmp_path)}, columns=200, cwd=ROOT) as terminal:
        terminal.wait_for("Log in to", "The stored session cannot be used.", "is not a list of sessions.")


def test_a_failure_after_it_is_one_line_on_a_restored_terminal(tmp_path: Path) -> None:
    wrong = [*CONSOLE, "--url", "ftp://127.0.0.1"]
    with Terminal(wrong, env={"XDG_STATE_HOME": str(tmp_path)}, columns=200, cwd=ROOT) as terminal:
        before = termios.tcgetattr(terminal._fd)
        assert terminal.wait_exit() == 3
        terminal.pump(0.3)
        assert leftovers(bytes(terminal.received)) == set()
        assert termios.tcgetattr(terminal._fd) == before
        after = bytes(terminal.received).rpartition(b"\x1b[?25h")[2].decode()
        assert after.startswith("watchfloor: cannot open the console: ")
        assert after.count("\n") == 1


def test_without_a_terminal_the_console_says_what_to_use_instead() -> None:
    result = subprocess.run(CONSOLE, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, cwd=ROOT)
    assert result.returncode == 3
    assert result.stdout == ""
    assert "watchfloor status" in result.stderr


@pytest.mark.parametrize(("arguments", "code"), [(["--help"], 0), (["--nonsense"], 2), (["--url"], 2)])
def test_console_options(arguments: list[str], code: int) -> None:
    result = subprocess.run([*CONSOLE, *arguments], capture_output=True, text=True, check=False, cwd=ROOT)
    assert result.returncode == code
    assert "Usage: watchfloor [console]" in result.stdout + result.stderr
