"""The main job, from a fresh data directory to the audit log, through the real `watchfloor demo` in a pty."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pyotp
import pytest

from tests.support.demo import command, environment
from tests.support.places import public_directory
from tests.support.processes import marked, until_gone
from tests.support.terminal import Terminal

pytestmark = pytest.mark.e2e
PAST_DAY = date(2024, 3, 9)
TRADES = 40
GAS_ETH = "0.4"
"""Forty trades of 0.4 ETH gas are 16 ETH on one day, over the policy's 5."""
DEAF_S = 0.6
"""A dialog takes no key in its first moments: what was typed before it was seen must not answer it."""


@dataclass
class Walk:
    """A demo with its console on the screen, and its command line beside it."""

    terminal: Terminal
    data_dir: Path
    state: Path
    beside: str = ""
    """Who is signed in at the command line."""

    @property
    def users(self) -> dict[str, dict[str, str]]:
        """The demo's accounts."""
        body: dict[str, dict[str, dict[str, str]]] = json.loads((self.data_dir / "demo-users.json").read_text())
        return body["users"]

    @property
    def agent(self) -> str:
        """Where the SSH agent with the software key of whoever is at the command line listens."""
        return str(self.data_dir / "keys" / "agents" / self.beside)

    def run(self, url: str, *arguments: str, given: str = "") -> dict[str, Any]:
        """One command of the command line, with --json."""
        done = subprocess.run(
            [sys.executable, "-P", "-m", "watchfloor", *arguments, "--url", url, "--json"],
            env=environment(self.data_dir, {"XDG_STATE_HOME": str(self.state), "SSH_AUTH_SOCK": self.agent}),
            input=given, capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, f"{arguments}: {done.stderr}"
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    def sign_in_beside(self, url: str, name: str) -> None:
        """Sign the command line in as somebody else than the console."""
        self.beside, user = name, self.users[name]
        code = pyotp.TOTP(user["totp_secret"]).now()
        self.run(url, "login", "--user", name, "--password-file", "-", "--totp", code, given=user["password"])


@pytest.fixture
def walk() -> Iterator[Walk]:
    with public_directory() as directory:
        data_dir = directory / "data"
        environ = environment(data_dir, {"XDG_STATE_HOME": str(directory / "state"), "WATCHFLOOR_THEME": "dark"})
        with Terminal(command(data_dir, "--seed", "7", headless=False), env=environ) as terminal:
            yield Walk(terminal, data_dir, directory / "state-beside")
        until_gone(str(data_dir))


def _trades_file(path: Path) -> Path:
    lines = ["chain,tx_hash,block_time,wallet,strategy,profit_eth,gas_cost_eth,status"]
    lines += [
        f"ethereum,0x{n:064x},{PAST_DAY}T{n % 24:02d}:00:00Z,0x{n % 3:040x},liquidation,0.01,{GAS_ETH},success"
        for n in range(TRADES)
    ]
    path.write_text("\n".join(lines) + "\n")
    return path


def _log_in(terminal: Terminal, name: str = "officer1") -> str:
    """Sign in as a demonstration user by F3; return the backend's address. A code works once: use each name once."""
    screen = terminal.wait_for("One-time code", name)
    found = re.search(r"http://\S+", screen)
    assert found is not None, screen
    while re.search(rf"User +{name}", terminal.text) is None:
        terminal.press("\x1bOR")  # F3 fills in the next one
        terminal.settle(0.2)
    terminal.press("enter")
    terminal.wait_for("Overview", name, "live")
    return found.group()


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
    url = _log_in(terminal)
    terminal.wait_for("Position", "ETH", "● ok", "16 trading")

    walk.sign_in_beside(url, "operator1")
    trades = _trades_file(tmp_path / "trades.csv")
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
    url = _log_in(terminal)
    walk.sign_in_beside(url, "operator1")
    walk.run(url, "transactions", "import", str(_trades_file(tmp_path / "trades.csv")))
    walk.sign_in_beside(url, "admin1")
    frozen = walk.run(url, "freeze", "--scope", "chain:zksync", "--reason", "walk", "--wait", "acked")
    terminal.wait_for("FROZEN", "GAS_SPEND_LIMIT")
    terminal.hang_up()
    until_gone(str(walk.data_dir))

    environ = environment(walk.data_dir, {"XDG_STATE_HOME": str(walk.state)})
    with Terminal(command(walk.data_dir, headless=False), env=environ) as again:
        _log_in(again, "officer2")
        again.wait_for("FROZEN", "zksync", "GAS_SPEND_LIMIT")
        again.press("q")
        assert again.wait_exit() == 0
    assert (frozen["ref"], frozen["outcome"], frozen["not_confirmed"]) == ("FRZ-0001", "done", [])
