"""`watchfloor user`: accounts straight in the database, each act recorded, secrets shown once."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from backend.auth import passwords, totp
from watchfloor.commands import run_server_command

Run = Callable[..., int]


@pytest.fixture
def run(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command on the test's own database."""
    monkeypatch.setenv("WATCHFLOOR_DATABASE_URL", database_url)
    monkeypatch.delenv("WATCHFLOOR_POLICY", raising=False)
    return lambda *arguments: run_server_command("user", list(arguments))


def _rows(database_url: str, sql: str) -> list[tuple[object, ...]]:
    with psycopg.connect(database_url) as connection:
        return list(connection.execute(sql.encode()))


AUDIT = (
    "SELECT event_type, user_id, resource_id, new_value::text FROM audit_logs"
    " WHERE event_type LIKE 'auth.%' ORDER BY id"
)


def test_add_prints_what_signs_in(run: Run, database_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("add", "nora", "--role", "mev_admin", "--json") == 0
    made = json.loads(capsys.readouterr().out)
    assert (made["schema"], made["name"], made["role"]) == ("watchfloor.user.add/1", "nora", "mev_admin")
    ((role, stored, secret),) = _rows(database_url, "SELECT role, password_hash, totp_secret FROM users")
    assert role == "mev_admin"
    assert passwords._verify(str(stored), made["password"])
    assert secret == made["totp_secret"]
    assert totp.code_at(made["totp_secret"], datetime.now(UTC)).isdigit()
    ((event, who, name, new),) = _rows(database_url, AUDIT)
    assert (event, who, name) == ("auth.user.added", "system:local", "nora")
    assert made["password"] not in str(new)
    assert made["totp_secret"] not in str(new)


def test_text_output_fits_a_line_a_value(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("add", "nora", "--role", "mev_operator") == 0
    out = capsys.readouterr().out
    assert out.splitlines()[0] == "Account    nora (mev_operator)"
    assert "otpauth://totp/Watchfloor:nora" in out


def test_a_given_password_is_taken_and_not_printed(
    run: Run, database_url: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "password"
    file.write_text("a long enough password\n")
    assert run("add", "nora", "--role", "mev_operator", "--password-file", str(file), "--json") == 0
    out = capsys.readouterr().out
    assert "a long enough password" not in out
    assert "password" not in json.loads(out)
    ((stored,),) = _rows(database_url, "SELECT password_hash FROM users")
    assert passwords._verify(str(stored), "a long enough password")


def test_a_short_password_is_refused(
    run: Run, database_url: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "password"
    file.write_text("short\n")
    assert run("add", "nora", "--role", "mev_operator", "--password-file", str(file)) == 2
    assert capsys.readouterr().err == "watchfloor user: A password has 12 to 1,024 characters.\n"
    assert _rows(database_url, "SELECT username FROM users") == []


def test_disable_and_reset_are_recorded(run: Run, database_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("add", "nora", "--role", "mev_operator", "--json") == 0
    first = json.loads(capsys.readouterr().out)["totp_secret"]
    assert run("reset-totp", "nora", "--json") == 0
    assert json.loads(capsys.readouterr().out)["totp_secret"] != first
    assert run("disable", "nora") == 0
    assert capsys.readouterr().out == "nora is disabled; sessions ended: 0.\n"
    assert _rows(database_url, "SELECT disabled FROM users") == [(True,)]
    events = [row[0] for row in _rows(database_url, AUDIT)]
    assert events == ["auth.user.added", "auth.user.totp_reset", "auth.user.disabled"]


def test_the_last_account_that_may_freeze_is_not_disabled_by_mistake(
    run: Run, database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, role in (("nora", "mev_admin"), ("omar", "compliance_officer"), ("pia", "mev_operator")):
        assert run("add", name, "--role", role, "--json") == 0
    assert run("disable", "omar") == 0
    assert run("disable", "pia") == 0, "who may not freeze is not counted"
    capsys.readouterr()
    assert run("disable", "nora") == 6
    told = capsys.readouterr().err
    assert "'nora' is the last account that may freeze." in told
    assert "role that may first" in told
    assert _rows(database_url, "SELECT disabled FROM users WHERE username = 'nora'") == [(False,)]
    assert run("disable", "nora", "--even-last") == 0


@pytest.mark.parametrize(
    ("arguments", "code", "line"),
    [
        (("add", "Nora", "--role", "mev_admin"), 2, "'Nora' cannot be an account's name."),
        (("add", "nora", "--role", "root"), 2, "The policy has no role 'root'. It has mev_operator,"),
        (("add", "nora"), 2, "Missing option '--role'"),
        (("disable", "nobody"), 5, "There is no account 'nobody'."),
        (("reset-totp", "nobody"), 5, "There is no account 'nobody'."),
    ],
)
def test_refusals_are_one_line_with_the_commands_exit_code(
    run: Run, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], code: int, line: str
) -> None:
    assert run(*arguments) == code
    assert line in capsys.readouterr().err


def test_a_taken_name_is_refused(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("add", "nora", "--role", "mev_operator") == 0
    assert run("add", "nora", "--role", "mev_admin") == 1
    assert "already an account 'nora'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("url", "line"),
    [
        ("postgresql://nobody@127.0.0.1:1/none", "watchfloor user: The database cannot be reached: "),
        ("mysql://x", "watchfloor user: WATCHFLOOR_DATABASE_URL is wrong: "),
    ],
)
def test_a_wrong_database_is_one_line_and_3(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], url: str, line: str
) -> None:
    monkeypatch.setenv("WATCHFLOOR_DATABASE_URL", url)
    assert run_server_command("user", ["disable", "nora"]) == 3
    error = capsys.readouterr().err
    assert error.startswith(line)
    assert error.count("\n") == 1


def test_a_machines_token_goes_into_its_owners_file_and_nowhere_else(
    run: Run, database_url: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "watcher.token"
    assert run("token", "chain-watcher", "--permission", "observe_halts", "--to", str(path)) == 0
    made = path.read_text().strip()
    assert made.startswith("wfs_")
    assert path.stat().st_mode & 0o777 == 0o600
    ((permissions,),) = _rows(database_url, "SELECT permissions::text FROM service_tokens")
    assert "observe_halts" in str(permissions)
    ((event, who, name, new),) = _rows(database_url, AUDIT)
    assert (event, who, name) == ("auth.token.issued", "system:local", "chain-watcher")
    assert made not in str(new) + capsys.readouterr().out


def test_a_token_is_never_both_executor_and_second_source_and_overwrites_nothing(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "token"
    both = ["--permission", "observe_halts", "--permission", "renew_permit"]
    assert run("token", "both", *both, "--to", str(path)) == 2
    assert run("token", "two words", "--permission", "renew_permit", "--to", str(path)) != 0
    assert not path.exists()
    path.write_text("something else")
    assert run("token", "bot", "--permission", "renew_permit", "--to", str(path)) == 2
    assert path.read_text() == "something else"
