"""The pages made from code: whole, and noticed when they are stale."""

from pathlib import Path

import pytest

from backend.audit.events import AuditEvent
from backend.risk.indicators import RULES
from backend.settings import Settings
from console import actions, cli
from contract.errors import ErrorCode, ExitCode
from scripts import generate_docs
from watchfloor.commands import SERVER_COMMANDS


def test_every_command_setting_key_and_code_has_its_place() -> None:
    commands = generate_docs.cli_page()
    for name in (*SERVER_COMMANDS, *cli.COMMANDS, "thaw approve", "transactions import", "audit search"):
        assert f"# {name}\n" in commands
    settings = generate_docs.settings_page()
    assert all(f"WATCHFLOOR_{name.upper()}" in settings for name in Settings.model_fields)
    keys = generate_docs.keys_page()
    assert all(generate_docs._cell(action.help) in keys for action in actions.ACTIONS)
    errors = generate_docs.errors_page()
    assert all(f"`{code.value}`" in errors for code in ErrorCode)
    assert all(f"| {int(code)} | " in errors for code in ExitCode)


def test_every_rule_and_event_has_its_row_with_a_text() -> None:
    indicators = generate_docs.indicators_page()
    assert all(f"| {rule.id} | {rule.indicator} | " in indicators for rule in RULES)
    events = generate_docs.audit_events_page()
    for event in AuditEvent:
        row = next(line for line in events.splitlines() if line.startswith(f"| `{event.value}` |"))
        assert all(cell.strip() for cell in row.strip("|").split("|")), row


def test_a_stale_page_is_reported_with_what_differs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "docs").mkdir()
    for name, page in generate_docs.PAGES.items():
        (tmp_path / name).write_text(page())
    assert generate_docs.problems(tmp_path) == []
    (tmp_path / "docs/errors.md").write_text(generate_docs.errors_page().replace("| 413 | 2 |", "| 413 | 9 |"))
    (tmp_path / "docs/keys.md").unlink()
    found = generate_docs.problems(tmp_path)
    assert [line for line in found if "stale" in line] == [
        "docs/keys.md is stale; run: python -m scripts.generate_docs",
        "docs/errors.md is stale; run: python -m scripts.generate_docs",
    ]
    assert "  -| `too_large` | 413 | 9 |" in found


def test_pages_do_not_depend_on_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    before = {name: page() for name, page in generate_docs.PAGES.items()}
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("WATCHFLOOR_PORT", "1")
    assert {name: page() for name, page in generate_docs.PAGES.items()} == before
