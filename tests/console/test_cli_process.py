"""Client commands as the shell runs them: exit codes, prompts, pipes, Ctrl-C, and what the fast one imports."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyotp
import pytest

from contract.errors import ExitCode
from tests.support.floor import Floor
from tests.support.people import ADMIN, OFFICER, OPERATOR, PASSWORD, TOTP_SECRET
from tests.support.terminal import Terminal
from tests.support.touches import agents

WATCHFLOOR = [sys.executable, "-c", "from watchfloor.entry import main; main()"]
HEAVY = ("httpx", "pydantic", "click", "asyncio", "ssl", "textual", "rich", "email")


@pytest.fixture
def environ(floor: Floor, tmp_path: Path) -> dict[str, str]:
    mine = {"WATCHFLOOR_URL": floor.url, "WATCHFLOOR_TOKEN": floor.token(ADMIN), "XDG_STATE_HOME": str(tmp_path)}
    return {**os.environ, "LANG": "C.UTF-8", **mine}


def run(environ: dict[str, str], *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*WATCHFLOOR, *arguments], env=environ, input=stdin, capture_output=True, text=True, check=False, timeout=60
    )


def test_exit_codes_reach_the_shell(environ: dict[str, str]) -> None:
    assert run(environ, "whoami").returncode == 0
    assert run(environ, "freezes", "show", "FRZ-9999").returncode == ExitCode.NOT_FOUND
    assert run(environ, "freeze", "--scope", "x").returncode == ExitCode.USAGE
    assert run(environ | {"WATCHFLOOR_TOKEN": "x"}, "status").returncode == ExitCode.NOT_ALLOWED
    assert run(environ | {"WATCHFLOOR_URL": "http://127.0.0.1:9"}, "status").returncode == ExitCode.UNREACHABLE
    assert run(environ | {"WATCHFLOOR_URL": "http://10.1.1.1"}, "status").returncode == ExitCode.CONFIGURATION


def test_login_by_stdin_then_a_command_without_a_token(environ: dict[str, str]) -> None:
    del environ["WATCHFLOOR_TOKEN"]
    code = pyotp.TOTP(TOTP_SECRET).now()
    login = run(
        environ, "login", "--user", OPERATOR.name, "--password-file", "-", "--totp", code, stdin=f"{PASSWORD}\n"
    )
    assert (login.returncode, login.stderr) == (0, "")
    assert PASSWORD not in login.stdout
    assert run(environ, "whoami").stdout.startswith("olga (mev_operator)")


def test_a_person_at_a_terminal_is_asked_and_the_password_does_not_show(environ: dict[str, str]) -> None:
    del environ["WATCHFLOOR_TOKEN"]
    environ["SSH_AUTH_SOCK"] = str(agents() / OFFICER.name)
    with Terminal([*WATCHFLOOR, "login", "--user", OFFICER.name], environ) as terminal:
        terminal.wait_for("Password of oscar:")
        terminal.type(f"{PASSWORD}\r")
        terminal.wait_for("One-time code")
        terminal.type(f"{pyotp.TOTP(TOTP_SECRET).now()}\r")
        terminal.wait_until(lambda text: "Signed in" in text or terminal.exited(), "the answer")
        assert terminal.wait_exit() == 0
        assert PASSWORD.encode() not in bytes(terminal.received)


def test_a_reader_that_goes_away_ends_it_quietly(environ: dict[str, str]) -> None:
    command = subprocess.Popen(
        [*WATCHFLOOR, "freezes", "watch", "--json"], env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert command.stdout is not None
    assert command.stderr is not None
    run(environ, "freeze", "--scope", "chain:piped", "--reason", "x")
    command.stdout.readline()
    command.stdout.close()
    deadline_s = time.monotonic() + 30
    while command.poll() is None and time.monotonic() < deadline_s:
        run(environ, "freeze", "--scope", "chain:piped", "--reason", "again")
    error = command.stderr.read()
    command.stderr.close()
    assert command.wait(30) == 141
    assert b"Traceback" not in error
    assert b"Exception ignored" not in error


def test_ctrl_c_is_quiet_and_130(environ: dict[str, str]) -> None:
    command = subprocess.Popen(
        [*WATCHFLOOR, "freezes", "watch"], env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert command.stderr is not None
    assert command.stderr.readline() == "live\n"
    command.send_signal(signal.SIGINT)
    _, error = command.communicate(timeout=30)
    assert (command.returncode, error) == (130, "")


def test_colours_only_where_they_are_wanted(environ: dict[str, str]) -> None:
    assert "\x1b" not in run(environ, "risk", "show").stdout
    for extra, coloured in (({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)):
        with Terminal([*WATCHFLOOR, "risk", "show"], environ | extra) as terminal:
            terminal.wait_exit()
            terminal.pump(1.0)
            assert (b"\x1b[" in terminal.received) is coloured
            assert "unknown" in terminal.text


def test_without_unicode_the_meaning_stays(environ: dict[str, str]) -> None:
    out = run(environ | {"PYTHONIOENCODING": "ascii"}, "risk", "show").stdout
    assert out.isascii()
    assert "? unknown" in out


def test_an_import_draws_its_progress_on_a_terminal_only(environ: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / "trades.csv"
    lines = (f"bar,0x{n},2024-03-09T20:42:47Z\n" for n in range(5_000))
    path.write_text("chain,tx_hash,block_time\n" + "".join(lines))
    with Terminal([*WATCHFLOOR, "transactions", "import", str(path)], environ) as terminal:
        terminal.wait_for("5,000 trades imported")
        assert terminal.wait_exit() == 0
        assert b"lines  " in terminal.received
        assert "lines  " not in terminal.text
    assert run(environ, "transactions", "import", str(path)).stderr == ""


def test_status_imports_nothing_heavy(environ: dict[str, str]) -> None:
    program = (
        "import sys; sys.argv = ['watchfloor', 'status']\n"
        "from watchfloor.entry import main\n"
        "try: main()\n"
        f"except SystemExit as end: print(end.code, [name for name in {HEAVY!r} if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", program], env=environ, capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines()[-1] == "0 []"


def test_the_fast_status_says_what_the_full_client_says(environ: dict[str, str]) -> None:
    fast = run(environ, "status")
    full = run(environ, "status", "--url", environ["WATCHFLOOR_URL"] + "/")
    assert fast.stdout.splitlines()[:2] == full.stdout.splitlines()[:2]


def test_an_unexpected_failure_is_one_line(environ: dict[str, str]) -> None:
    program = "from console import cli; cli._MODULES['risk'] = 'nowhere'; raise SystemExit(cli.main(['risk', 'show']))"
    ran = subprocess.run([sys.executable, "-c", program], env=environ, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout) == (ExitCode.CHECK_FAILED, "")
    assert ran.stderr.startswith("watchfloor: Unexpected: ModuleNotFoundError")
    assert "Traceback" not in ran.stderr
