"""The main job, from a fresh data directory to the audit log, through the real `watchfloor demo` in a pty."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.walking import DEAF_S, TRADES, Walk, log_in, trades_file, walking
from tests.support.demo import command, environment
from tests.support.processes import marked, until_gone
from tests.support.terminal import Terminal

pytestmark = pytest.mark.e2e


@pytest.fixture
def walk() -> Iterator[Walk]:
    with walking() as one:
        yield one


def _freeze(terminal: Terminal, scope: str, name: str) -> None:
    terminal.press("F", "F")
    terminal.wait_for("Nothing is stopped until you press Freeze")
    terminal.settle(DEAF_S)
    terminal.press("tab")
    terminal.type(scope)
    terminal.wait_for("This stops")
    terminal.press("tab", "tab")
    terminal.type("walk: looks wrong")
    terminal.press("tab")
    terminal.type(name)
    terminal.wait_for(f"Freeze {name} ]")
    terminal.press("tab", "tab", "enter")


def test_the_main_job(walk: Walk, tmp_path: Path) -> None:
    """Start, log in, see live risk, import trades, watch an alert, freeze, see executors stop, find it in the audit."""
    terminal = walk.terminal
    url = log_in(terminal)
    terminal.wait_for("Position", "ETH", "● ok", "16 trading")

    walk.sign_in_beside(url, "operator1")
    trades = trades_file(tmp_path / "trades.csv")
    imported = walk.run(url, "transactions", "import", str(trades))
    assert (imported["imported"], imported["unchanged"], imported["refused"]) == (TRADES, 0, [])
    assert walk.run(url, "transactions", "import", str(trades))["unchanged"] == TRADES

    terminal.wait_for("GAS_SPEND_LIMIT")
    terminal.press("2")
    terminal.wait_for("Alerts", "16.00 ETH on gas on 2024-03-09")
    terminal.press("a")
    terminal.wait_for("Acknowledged")

    _freeze(terminal, "strategy:arbitrage", "arbitrage")
    terminal.wait_for("FROZEN", "arbitrage", "PROOF")
    halted = terminal.wait_for("halted in", "VERIFIED")
    assert "NO ANSWER" not in halted
    terminal.press("esc")  # alone: with a key right behind it a terminal means Alt+key
    terminal.wait_for("Alerts", gone="PROOF")
    terminal.press("3")
    terminal.wait_for("Operations", "FRZ-0001", "FROZEN")

    terminal.press("4")
    terminal.wait_for("Audit", "freeze.hold.created")
    status = walk.run(url, "status")
    assert status["freezes"] == 1
    assert status["executors_trading"] < status["executors_total"]

    terminal.press("q", "q")
    assert terminal.wait_exit() == 0
    assert not marked(str(walk.data_dir))


def test_a_restart_shows_the_same_freezes_and_alerts(walk: Walk, tmp_path: Path) -> None:
    """Nothing is lost by killing the terminal in the middle of a freeze that is in force."""
    terminal = walk.terminal
    url = log_in(terminal)
    walk.sign_in_beside(url, "operator1")
    walk.run(url, "transactions", "import", str(trades_file(tmp_path / "trades.csv")))
    walk.sign_in_beside(url, "admin1")
    frozen = walk.run(url, "freeze", "--scope", "chain:zksync", "--reason", "walk", "--wait", "acked")
    terminal.wait_for("FROZEN", "GAS_SPEND_LIMIT")
    terminal.hang_up()
    until_gone(str(walk.data_dir))

    environ = environment(walk.data_dir, {"XDG_STATE_HOME": str(walk.state)})
    with Terminal(command(walk.data_dir, headless=False), env=environ) as again:
        log_in(again, "officer2")
        again.wait_for("FROZEN", "zksync", "GAS_SPEND_LIMIT")
        again.press("q")
        assert again.wait_exit() == 0
    assert (frozen["ref"], frozen["outcome"], frozen["not_confirmed"]) == ("FRZ-0001", "done", [])
