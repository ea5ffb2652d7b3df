"""A demo with its console in a pty and the command line beside it: what the walks through it share."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pyotp

from tests.support.demo import command, environment
from tests.support.places import public_directory
from tests.support.processes import until_gone
from tests.support.terminal import Terminal

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


@contextmanager
def walking() -> Iterator[Walk]:
    """A demo in a directory of its own; nothing of it is left behind."""
    with public_directory() as directory:
        data_dir = directory / "data"
        environ = environment(data_dir, {"XDG_STATE_HOME": str(directory / "state"), "WATCHFLOOR_THEME": "dark"})
        with Terminal(command(data_dir, "--seed", "7", headless=False), env=environ) as terminal:
            yield Walk(terminal, data_dir, directory / "state-beside")
        until_gone(str(data_dir))


def trades_file(path: Path) -> Path:
    """Trades of one day that cost more gas than the policy allows."""
    lines = ["chain,tx_hash,block_time,wallet,strategy,profit_eth,gas_cost_eth,status"]
    lines += [
        f"ethereum,0x{n:064x},{PAST_DAY}T{n % 24:02d}:00:00Z,0x{n % 3:040x},liquidation,0.01,{GAS_ETH},success"
        for n in range(TRADES)
    ]
    path.write_text("\n".join(lines) + "\n")
    return path


def log_in(terminal: Terminal, name: str = "officer1") -> str:
    """Sign in as a demonstration user by F3; return the backend's address. A code works once: use each name once."""
    screen = terminal.wait_for("One-time code")
    found = re.search(r"http://\S+", screen)
    assert found is not None, screen
    while re.search(rf"User +{name}", terminal.text) is None:
        terminal.press("\x1bOR")  # F3 fills in the next one
        terminal.settle(0.2)
    terminal.press("enter")
    terminal.wait_for("Overview", name, "live")
    return found.group()
