"""`watchfloor policy check` and `show`: exit codes, one line a mistake, 80 columns, JSON."""

import json
from pathlib import Path

import pytest

from backend.policy.layers import BUILT_IN
from watchfloor.commands import run_server_command


def _run(*arguments: str) -> int:
    return run_server_command("policy", list(arguments))


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_right_policy_ends_with_0(capsys: pytest.CaptureFixture[str], name: str) -> None:
    assert _run("check", name) == 0
    assert capsys.readouterr().out.startswith(f"built-in {name}: ok")


def test_each_mistake_is_one_line_and_the_exit_code_is_3(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    file.write_text('extends = "mev"\nx = 1\n[risk.thresholds]\nmax_daily_loss_eth = -1\n')
    assert _run("check", str(file)) == 3
    assert capsys.readouterr().out.splitlines() == [
        f"{file}: risk.thresholds.max_daily_loss_eth: must be greater than 0",
        f"{file}: x: unknown key",
    ]


def test_warnings_are_shown_and_end_with_0(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    file.write_text('extends = "mev"\n[roles.reader]\npermissions = ["view_risk"]\n')
    assert _run("check", str(file)) == 0
    warning, ok = capsys.readouterr().out.splitlines()
    assert warning.startswith(f"{file}: warning: roles.reader: lacks own_session")
    assert ok == f"{file}: ok, over built-in mev"


def test_channels_that_a_file_does_not_have_are_warned_of(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file, channels = tmp_path / "own.toml", tmp_path / "channels.toml"
    file.write_text(
        'extends = "mev"\n[watchfloor.notifications.incidents]\nreview = ["*", "revewers"]\n'
        '[watchfloor.directory.alice]\nchannels = ["reviewers"]\n'
    )
    channels.write_text('[channels.reviewers]\nurl = "json://localhost"\n')
    channels.chmod(0o600)
    assert _run("check", str(file), "--channels", str(channels)) == 0
    warning, _ = capsys.readouterr().out.splitlines()
    assert warning == (
        f"{file}: warning: watchfloor.notifications.incidents.review.1: there is no channel 'revewers' in {channels}; "
        "did you mean 'reviewers'?"
    )
    assert _run("check", "--json", str(file), "--channels", str(channels)) == 0
    assert len(json.loads(capsys.readouterr().out)["warnings"]) == 1
    assert _run("check", str(file), "--channels", str(tmp_path / "none.toml")) == 3


def test_a_hostile_file_reaches_no_terminal(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    file.write_text('extends = "mev"\n"\\u001b[31mred\\u0007" = 1\n')
    assert _run("check", str(file)) == 3
    assert capsys.readouterr().out.rstrip("\n").isprintable()


def test_check_as_json(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    file.write_text('extends = "mev"\nx = 1\n')
    assert _run("check", "--json", str(file)) == 3
    assert json.loads(capsys.readouterr().out) == {
        "schema": "watchfloor.policy.check/1",
        "ok": False,
        "mistakes": [{"file": str(file), "key": "x", "reason": "unknown key"}],
        "warnings": [],
    }
    assert _run("check", "--json", "mev") == 0
    assert json.loads(capsys.readouterr().out)["ok"] is True


@pytest.mark.parametrize("name", BUILT_IN)
@pytest.mark.parametrize("section", [(), ("all",), ("roles",), ("risk.thresholds",)])
def test_everything_fits_80_columns(capsys: pytest.CaptureFixture[str], name: str, section: tuple[str, ...]) -> None:
    assert _run("show", "--policy", name, *section) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines
    assert [line for line in lines if len(line) > 80 or not line.isprintable()] == []


def test_the_whole_policy_shows_every_word_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    """What is shown is complete: every text of the JSON form is somewhere in the text form."""
    assert _run("show", "--json", "--policy", "methtrader") == 0
    policy = json.loads(capsys.readouterr().out)["policy"]
    assert _run("show", "all", "--policy", "methtrader") == 0
    shown = " ".join(capsys.readouterr().out.split())

    def texts(value: object) -> list[str]:
        if isinstance(value, dict):
            return [text for inner in value.values() for text in texts(inner)]
        if isinstance(value, list):
            return [text for inner in value for text in texts(inner)]
        return [value] if isinstance(value, str) else []

    assert [text for text in texts(policy) if text not in shown] == []


def test_a_section_of_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("show", "severities.critical") == 0
    assert [line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines()] == [
        ["response_time_minutes", "15"],
        ["escalation", "Immediate to C-level"],
        ["description", "Service outage, data breach, major financial loss"],
    ]


def test_an_unknown_section_is_a_usage_error_with_a_suggestion(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("show", "rsk") == 2
    assert "did you mean 'risk'?" in capsys.readouterr().err


def test_showing_a_wrong_policy_is_one_line_and_3(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("show", "--policy", "mve") == 3
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "did you mean 'mev'?" in error


def test_the_environment_names_the_policy(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHFLOOR_POLICY", "methtrader")
    assert _run("show", "--json", "severities.critical") == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["policy"]["response_time_minutes"] == 0
    assert answer["files"] == ["built-in methtrader", "built-in mev"]
