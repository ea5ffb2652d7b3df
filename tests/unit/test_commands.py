"""The command line as a whole: what reaches what, and that mistakes are one line with the right exit code."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from backend.audit.heads.configured import witnesses_of
from backend.errors import ConfigurationError
from backend.settings import Settings
from ledger.note import SignerKey
from tests.support.parties import signing
from watchfloor import commands


def run(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("WATCHFLOOR_")}
    return subprocess.run(
        [sys.executable, "-m", "watchfloor", *arguments],
        capture_output=True, text=True, check=False, env={**environ, **env}, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def test_help_names_every_command_with_what_it_does() -> None:
    result = run("--help")
    assert result.returncode == 0
    for name, summary in commands.summaries().items():
        assert f"  {name}" in result.stdout
        assert summary
        assert summary in result.stdout


def test_help_imports_neither_the_backend_nor_textual() -> None:
    code = "import sys; from watchfloor.commands import overview; overview(); print(sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "'textual" not in loaded
    assert "'backend'" not in loaded


@pytest.mark.parametrize("name", sorted(commands.SERVER_COMMANDS))
def test_every_server_command_has_help(name: str) -> None:
    result = run(name, "--help")
    assert result.returncode == 0, result.stderr
    assert f"Usage: watchfloor {name}" in result.stdout


def test_an_unknown_command_is_a_usage_error_with_a_suggestion() -> None:
    result = run("migrat")
    assert result.returncode == 2
    assert result.stderr == "watchfloor: no command 'migrat'. Did you mean `migrate`?\n"


def test_a_hostile_command_is_not_echoed_raw() -> None:
    assert "\x1b" not in run("\x1b]0;x\x07").stderr


@pytest.mark.parametrize(
    ("arguments", "env", "line"),
    [
        (["migrate"], {}, "watchfloor migrate: WATCHFLOOR_DATABASE_URL is not set."),
        (["serve"], {"WATCHFLOOR_DATABASE_URL": "mysql://x"}, "watchfloor serve: WATCHFLOOR_DATABASE_URL is wrong:"),
        (["serve"], {"WATCHFLOOR_DATABASE_URL": "postgresql://127.0.0.1:1/x"}, "watchfloor serve: The database cannot"),
    ],
)
def test_a_wrong_setup_is_one_line_and_exit_code_3(arguments: list[str], env: dict[str, str], line: str) -> None:
    result = run(*arguments, **env)
    assert result.returncode == 3
    assert result.stdout == ""
    assert result.stderr.startswith(line)
    assert result.stderr.count("\n") == 1


def test_a_database_without_schema_says_what_to_do(empty_database_url: str) -> None:
    result = run("serve", "--port", "0", WATCHFLOOR_DATABASE_URL=empty_database_url)
    assert result.returncode == 3
    assert result.stderr == "watchfloor serve: The database is empty: run `watchfloor migrate` first.\n"


def test_migrating_says_what_it_did(empty_database_url: str) -> None:
    first = run("migrate", WATCHFLOOR_DATABASE_URL=empty_database_url)
    second = run("migrate", WATCHFLOOR_DATABASE_URL=empty_database_url)
    assert (first.returncode, second.returncode) == (0, 0)
    assert first.stdout.startswith("Schema none → ")
    assert second.stdout.endswith(": nothing to do.\n")


def test_a_taken_port_and_a_wrong_policy_are_one_line(database_url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        result = run("serve", "--port", port, WATCHFLOOR_DATABASE_URL=database_url)
    assert result.returncode == 3
    assert result.stderr.splitlines()[-1].startswith(f"watchfloor serve: Cannot listen on 127.0.0.1:{port}")
    wrong = run("serve", "--port", "0", WATCHFLOOR_DATABASE_URL=database_url, WATCHFLOOR_POLICY="no-such-policy")
    assert wrong.returncode == 3
    assert wrong.stderr.splitlines()[-1].startswith("watchfloor serve: ")


def test_a_wrong_master_key_is_one_line(database_url: str, tmp_path: Path) -> None:
    env = {"WATCHFLOOR_DATABASE_URL": database_url, "WATCHFLOOR_DATA_DIR": str(tmp_path / "first")}
    with subprocess.Popen(
        [sys.executable, "-m", "watchfloor", "serve", "--port", "0"],
        env={**os.environ, **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as first:
        assert first.stdout is not None
        assert "answers" in first.stdout.readline()
        first.terminate()
    result = run("serve", "--port", "0", **{**env, "WATCHFLOOR_DATA_DIR": str(tmp_path / "second")})
    assert (result.returncode, result.stdout) == (3, "")
    assert "Traceback" not in result.stderr
    last = result.stderr.splitlines()[-1]
    assert last.startswith("watchfloor serve: This database's ledger is under master key ")
    assert "WATCHFLOOR_MASTER_KEY_FILE" in last


def test_a_witness_that_is_written_wrongly_is_one_line(database_url: str) -> None:
    result = run("serve", "--port", "0", WATCHFLOOR_DATABASE_URL=database_url, WATCHFLOOR_WITNESSES="dir:")
    assert (result.returncode, "Traceback" in result.stderr) == (3, False)
    assert result.stderr.splitlines()[-1].startswith("watchfloor serve: WATCHFLOOR_WITNESSES")


@pytest.mark.parametrize("witnesses", ["ftp://x", "https://host", "http://auditor.example/ key", "dir:/a dir:/a"])
def test_what_is_no_witness_is_refused(witnesses: str) -> None:
    with pytest.raises(ConfigurationError, match="WATCHFLOOR_WITNESSES"):
        witnesses_of(Settings(database_url="postgresql://nobody/nothing", witnesses=witnesses))


def test_the_signer_needs_no_database_and_reads_no_address_of_one(tmp_path: Path) -> None:
    code = (
        "import sys; sys.argv = ['watchfloor', 'signer', 'serve', '--data-dir', sys.argv[1]]\n"
        "import witness.asgi as asgi\n"
        "asgi.serve = lambda *a, **k: print(sorted(m for m in sys.modules if m in {'psycopg', 'sqlalchemy'}))\n"
        "from watchfloor.commands import dispatch; sys.exit(dispatch(sys.argv[1:]))"
    )
    found = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"


def test_a_second_signer_in_a_directory_is_refused(tmp_path: Path) -> None:
    with signing(tmp_path):
        result = run("signer", "serve", "--data-dir", str(tmp_path))
    assert result.returncode == 3
    assert result.stderr == f"watchfloor signer: another process works in {tmp_path / 'signer'}.\n"


def test_a_witness_within_reach_of_others_needs_tls(tmp_path: Path) -> None:
    key = SignerKey("watchfloor-x/epoch/1", bytes(32)).verifier.encode()
    result = run("witness", "serve", "--listen", "0.0.0.0:0", "--data-dir", str(tmp_path), "--key", key, "--name", "w")
    assert result.returncode == 3
    assert "--tls-certificate" in result.stderr
