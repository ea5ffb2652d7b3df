"""The operator's own editor gets the terminal whole, its file is private, and the console takes both back."""

import stat
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from console.term.external import EditorRefusedError, editor_command, text_file
from tests.support.modes import leftovers
from tests.support.terminal import Terminal

PROGRAM = [sys.executable, "-m", "tests.console.term_standin"]
ROOT = str(Path(__file__).parents[2])


@contextmanager
def _running(tmp_path: Path, script: str) -> Iterator[Terminal]:
    editor = tmp_path / "an editor"
    editor.write_text(f"#!/bin/sh\n{script}\n")
    editor.chmod(0o700)
    with Terminal(PROGRAM, env={"EDITOR": f"'{editor}' --wait", "VISUAL": ""}, cwd=ROOT) as terminal:
        before = termios.tcgetattr(terminal._fd)
        terminal.wait_for("ready")
        yield terminal
        terminal.press("q")
        assert terminal.wait_exit() == 0
        assert leftovers(bytes(terminal.received)) == set()
        assert termios.tcgetattr(terminal._fd) == before


def test_the_editor_has_the_terminal_and_its_text_comes_back(tmp_path: Path) -> None:
    script = 'printf "EDITOR %s " "$1"; cat "$2"; sleep 1.5; read -r typed; printf ", then %s\\n" "$typed" >> "$2"'
    with _running(tmp_path, script) as terminal:
        terminal.press("e")
        terminal.wait_for("EDITOR --wait first words")
        start = len(terminal.received)
        terminal.type("qqq\r")
        terminal.wait_for("edited='first words, then qqq' kept=False")
        meanwhile = bytes(terminal.received)[start:].partition(b"\x1b[?1049h")[0]
        assert b"PAINTED" not in meanwhile


def test_an_editor_that_fails_changes_nothing(tmp_path: Path) -> None:
    with _running(tmp_path, 'echo lost > "$2"; exit 3') as terminal:
        terminal.press("e")
        terminal.wait_for("ended with 3")


def test_an_interrupt_in_the_editor_does_not_end_the_console(tmp_path: Path) -> None:
    with _running(tmp_path, "trap 'exit 0' INT; echo WAITING; while :; do sleep 0.1; done") as terminal:
        terminal.press("e")
        terminal.wait_for("WAITING")
        terminal.type("\x03")
        terminal.wait_for("edited='first words'")


def test_the_file_is_private_and_gone_afterwards() -> None:
    with text_file("a secret\n", "section") as path:
        assert path.read_text() == "a secret\n"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert not path.parent.exists()


def test_visual_wins_and_words_are_taken_apart() -> None:
    assert editor_command({"VISUAL": "code --wait", "EDITOR": "vi"}) == ["code", "--wait"]
    assert editor_command({"VISUAL": " ", "EDITOR": "vi"}) == ["vi"]


@pytest.mark.parametrize("environ", [{}, {"EDITOR": " "}, {"EDITOR": "vi 'x"}], ids=str)
def test_without_an_editor_it_is_said(environ: dict[str, str]) -> None:
    with pytest.raises(EditorRefusedError, match="EDITOR"):
        editor_command(environ)
