"""What commands show: alerts raised by real losses, in 80 columns, and names that would like to be more than text."""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len

from contract.errors import ExitCode
from tests.support.commands import Commands
from tests.support.people import ADMIN, AUDITOR, OFFICER, OPERATOR
from tests.support.shared_data import shared_data

PATIENCE_S = 60.0
"""The risk monitor runs on its own; a loaded machine takes its time."""
HOSTILE = [
    "\x1b]0;owned\x07title",
    "\x1b[2J\x1b[Hcleared",
    "\x9b31mC1",
    "line\nbreak\r\x0bx",
    "[bold red]markup[/]",
    "\u202egnp.exe",
    "q" + "\u0301" * 40,  # no letter is composed of these
    "漢字" * 40,
    "\x7f\x08\x08rubbed out",
    "👩‍👩‍👧‍👦 family",
]


def assert_harmless(text: str) -> None:
    """Nothing but printable text and line ends, at most 80 columns wide."""
    assert all(char == "\n" or (char.isprintable() and char != "\u202e") for char in text), ascii(text)
    assert all(cell_len(line) <= 80 for line in text.split("\n")), text


def alert_of_a_loss(run: Commands, tmp_path: Path) -> dict[str, Any]:
    """The alert that a loss of 50 ETH today raises."""
    path = tmp_path / "loss.csv"
    path.write_text(f"chain,tx_hash,block_time,profit_eth,status\nbase,0xloss,{datetime.now(UTC):%FT%TZ},-50,success\n")
    assert run(ADMIN, "transactions", "import", str(path)).code == 0
    ends_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < ends_s:
        for alert in run(ADMIN, "alerts", "list", "--status", "all", "--json").body["items"]:
            if alert["rule"] == "DAILY_LOSS_LIMIT":
                found: dict[str, Any] = alert
                return found
        time.sleep(0.2)
    raise AssertionError("no alert was raised")


def test_a_loss_is_listed_shown_and_acknowledged(run: Commands, tmp_path: Path) -> None:
    alert = alert_of_a_loss(run, tmp_path)
    listed = run(ADMIN, "alerts", "list")
    assert_harmless(listed.out)
    assert alert["id"] in listed.out
    assert "DAILY_LOSS_LIMIT" in listed.out
    shown = run(OPERATOR, "alerts", "show", alert["id"])
    assert_harmless(shown.out)
    assert f"{alert['scope']['kind']}:{alert['scope']['name']}".rstrip(":") in shown.out
    acknowledged = run(ADMIN, "alerts", "ack", alert["id"], "--comment", "looking", "--json").body
    assert (acknowledged["status"], acknowledged["acknowledged_by"]) == ("acknowledged", ADMIN.name)
    assert "seen by adam" in run(ADMIN, "alerts", "show", alert["id"]).out
    assert run(AUDITOR, "alerts", "ack", alert["id"]).code == ExitCode.NOT_ALLOWED
    status = run(ADMIN, "status", "--json").body
    assert sum(status["alert_counts"].values()) >= 1
    assert_harmless(run(ADMIN, "status").out)
    assert_harmless(run(ADMIN, "risk", "show", "--all").out)
    assert_harmless(run(ADMIN, "compliance", "metrics").out)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_only_text(run: Commands, name: str) -> None:
    run.floor.renew(name[:100], chain=name[:100], strategy=name[:100])
    made = run(OFFICER, "freeze", "--scope", f"strategy:{name[:100]}", "--reason", f"because {name}", "--json")
    assert made.out.isascii()
    assert "\x1b" not in made.out
    for command in (("executors", "list"), ("freezes", "list"), ("freezes", "show", made.body["ref"])):
        assert_harmless(run(ADMIN, *command).out)
    found = run(AUDITOR, "audit", "search", "--user", OFFICER.name, "--json").body["items"]
    assert_harmless(run(AUDITOR, "audit", "search").out)
    assert_harmless(run(AUDITOR, "audit", "show", found[0]["id"]).out)


def test_naughty_strings_as_reasons(run: Commands) -> None:
    folder = shared_data("vectors/naughty-strings")
    text = next(folder.glob("*.txt")).read_text()
    strings = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    for string in strings[::25]:
        run(OFFICER, "freeze", "--scope", "chain:naughty", "--reason", string[:500].replace("\x00", "") or "x")
    assert_harmless(run(ADMIN, "freezes", "list", "--limit", "100").out)
