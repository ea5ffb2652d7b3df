"""A night from the page to the post-mortem that somebody else has approved, through the real demo in a pty.

What stands on the screens is kept as text, without times and amounts: `UPDATE_GOLDEN=1` writes it anew.
"""

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from console.widgets.rows import UNREAD_S
from tests.e2e.walking import DEAF_S, Walk, log_in, trades_file, walking
from tests.support.terminal import Terminal, TimedOutError

pytestmark = pytest.mark.e2e
GOLDEN = Path(__file__).parent / "golden"
SECTIONS_MOST = 12
"""More sections than any template has."""


@pytest.fixture
def walk() -> Iterator[Walk]:
    with walking() as one:
        yield one


def _plain(screen: str) -> str:
    """What a screen says, without what differs from run to run: hashes, numbers, and the room that they take."""
    text = re.sub(r"\b[0-9a-f]{16,}…?", "HASH", screen)
    text = re.sub(r"\d+(?:[.,:]\d+)*", "0", text)
    text = re.sub(r"\b(?:0[dhms])+\b|\bnow\b", "AGE", text)
    return "\n".join(re.sub(r"[ ▁▂▃▄▅▆▇█·─]{2,}", "  ", line).rstrip() for line in text.splitlines()).rstrip() + "\n"


def _keep(terminal: Terminal, name: str, *, about: str = "") -> None:
    """Compare a screen, or its rows about something, with what is stored; what arrives late has time to."""
    path = GOLDEN / f"{name}.txt"

    def now() -> str:
        return "".join(row for row in _plain(terminal.text).splitlines(keepends=True) if about in row)

    if os.environ.get("UPDATE_GOLDEN"):
        terminal.settle(2.0)
        path.write_text(now())
    wanted = path.read_text()
    try:
        terminal.wait_until(lambda _: now() == wanted, name)
    except TimedOutError:
        assert now() == wanted, f"{name} changed; UPDATE_GOLDEN=1 writes it anew"


def _dialog(terminal: Terminal, key: str, *said: str) -> None:
    """Open a dialog and wait until it takes keys."""
    terminal.press(key)
    terminal.wait_for(*said)
    terminal.settle(DEAF_S)


def _write_every_section(terminal: Terminal) -> None:
    for number in range(SECTIONS_MOST):
        terminal.press("s")
        screen = terminal.wait_until(lambda text: "in review" in text or "REFUSED" in text, "an answer to submitting")
        if "in review" in screen:
            return
        terminal.press("e")
        terminal.wait_for("F3 save")
        terminal.type(f"Said {number}: the relay cost too much gas.")
        terminal.wait_for(f"Said {number}")
        terminal.press("\x1bOR")
        terminal.wait_for("Saved:")
    raise AssertionError(terminal.text)


def _write_it(terminal: Terminal) -> None:
    _dialog(terminal, "n", "Open the post-mortem")
    terminal.press("enter")
    terminal.wait_for("POST-MORTEM", "draft", "Root Cause")
    _keep(terminal, "4-draft")
    _write_every_section(terminal)


def test_from_the_page_to_the_approved_post_mortem(walk: Walk, tmp_path: Path) -> None:
    terminal = walk.terminal
    url = log_in(terminal)
    walk.sign_in_beside(url, "operator1")
    walk.run(url, "transactions", "import", str(trades_file(tmp_path / "trades.csv")))
    terminal.wait_for("GAS_SPEND_LIMIT", "has not been seen by anybody")
    _keep(terminal, "1-paged", about="GAS")

    time.sleep(2 * UNREAD_S)  # what has just come under the cursor nobody has read yet
    terminal.press("a")
    terminal.wait_for("Acknowledged")
    _dialog(terminal, "i", "Declare an incident", "officer1")
    _keep(terminal, "2-declare")
    terminal.press("enter")
    terminal.wait_for("INC-", "TIMELINE", "acknowledged")
    terminal.settle(DEAF_S)

    _dialog(terminal, "n", "NOTE")
    terminal.type("the relay asks ten times the usual price")
    terminal.press("enter")
    terminal.wait_for("the relay asks ten times", gone=" NOTE ")
    terminal.press("v")
    terminal.wait_for("The step is")
    _keep(terminal, "3-record")
    _dialog(terminal, "R", "Resolve the incident")
    terminal.type("the relay is not used any more")
    terminal.press("enter", "enter", "tab", "enter")
    terminal.wait_for("is resolved")

    terminal.press("P")
    terminal.wait_for("Nobody has opened it yet")
    _write_it(terminal)
    _keep(terminal, "5-in-review")

    terminal.press("\x1b[24~")  # F12: the next person signs in at the same terminal
    log_in(terminal, "admin1")
    terminal.press("I")
    terminal.wait_for("Incidents", "GAS_SPEND_LIMIT")
    terminal.press("enter")
    terminal.wait_for("INC-", "in review")
    terminal.press("P")
    terminal.wait_for("It waits for you")
    terminal.press("r")
    terminal.wait_for("sha256")
    terminal.press("esc")
    terminal.wait_for("POST-MORTEM")
    _dialog(terminal, "T", "Approve the post-mortem")
    _keep(terminal, "6-approve")
    terminal.press("tab", "enter")
    terminal.wait_for("Approved by admin1; it never changes again.")
    _keep(terminal, "7-approved")

    terminal.press("q", "q", "q", "q")
    assert terminal.wait_exit() == 0
