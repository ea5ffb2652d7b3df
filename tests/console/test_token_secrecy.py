"""A session token is in its one place and nowhere else: argv, environments, output, logs, crash reports."""

import os
import subprocess
import sys
from pathlib import Path

import pyotp
import pytest

from tests.support import desk_keyring
from tests.support.floor import Floor
from tests.support.people import AUDITOR, OPERATOR, PASSWORD, TOTP_SECRET, Person
from tests.support.terminal import Terminal

ROOT = Path(__file__).resolve().parents[2]
MAIN = "from watchfloor.entry import main; main()"
CRASHING = """
import os, pathlib
from console.term.app import TerminalApp

def fails():
    holder = pathlib.Path(os.environ["WF_TEST_TOKEN_FILE"])
    token_in_a_local_variable = holder.read_text()
    raise RuntimeError("provoked")

TerminalApp.action_redraw = lambda app: app.call_later(fails)
"""
"""A console that fails, with a token at hand, as soon as somebody presses Ctrl-L."""


def _environment(floor: Floor, tmp_path: Path, kind: str) -> dict[str, str]:
    mine = {
        "WATCHFLOOR_URL": floor.url,
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "HOME": str(tmp_path),
        "LANG": "C.UTF-8",
        "WATCHFLOOR_DEBUG": "1",
        "PYTHON_KEYRING_BACKEND": desk_keyring.CHOSEN if kind == "keyring" else "keyring.backends.fail.Keyring",
        desk_keyring.PLACE: str(tmp_path / "desk"),
    }
    hidden = {"WATCHFLOOR_TOKEN"}
    return {name: value for name, value in os.environ.items() if name not in hidden} | mine


def _run(environ: dict[str, str], *arguments: str, stdin: str = "") -> str:
    ran = subprocess.run(
        [sys.executable, "-c", MAIN, *arguments], env=environ, input=stdin, cwd=ROOT, capture_output=True, text=True,
        check=False, timeout=120,
    )  # fmt: skip
    return ran.stdout + ran.stderr


def _signed_in(environ: dict[str, str], person: Person, tmp_path: Path) -> str:
    """Sign in, and find the token in the one file that may have it."""
    code = pyotp.TOTP(TOTP_SECRET).now()
    told = _run(environ, "login", "--user", person.name, "--password-file", "-", "--totp", code, stdin=f"{PASSWORD}\n")
    assert f"Signed in to {environ['WATCHFLOOR_URL']}" in told, told
    holders = [path for path in tmp_path.rglob("*") if path.is_file() and "eyJ" in path.read_text(errors="replace")]
    assert len(holders) == 1, holders
    text = holders[0].read_text()
    begins = text.index("eyJ")
    token = text[begins : text.index('"', begins)]
    assert token.count(".") == 2
    assert token not in told
    return token


def _of_process(pid: int) -> str:
    """What everybody on the machine, or its owner, can read about a process."""
    return "".join(Path(f"/proc/{pid}/{name}").read_bytes().decode(errors="replace") for name in ("cmdline", "environ"))


def _family(pid: int) -> list[int]:
    found = [pid]
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += _family(int(child))
    return found


@pytest.mark.parametrize(("kind", "person"), [("file", OPERATOR), ("keyring", AUDITOR)])
def test_a_token_is_nowhere_but_in_its_place(floor: Floor, tmp_path: Path, kind: str, person: Person) -> None:
    environ = _environment(floor, tmp_path, kind)
    token = _signed_in(environ, person, tmp_path)
    secret = token.rpartition(".")[2]
    seen = {"whoami": _run(environ, "whoami"), "status": _run(environ, "status", "--json")}
    assert person.name in seen["whoami"]
    away = environ | {"WATCHFLOOR_URL": "http://127.0.0.1:9"}
    seen["failure"] = _run(away, "freezes", "list")
    holder = tmp_path / ("desk" if kind == "keyring" else "state/watchfloor/sessions.json")
    environ["WF_TEST_TOKEN_FILE"] = str(holder)
    with Terminal([sys.executable, "-c", CRASHING + MAIN], environ, cwd=str(ROOT)) as terminal:
        terminal.wait_for(person.name)
        seen["processes"] = "".join(_of_process(pid) for pid in _family(terminal.pid))
        terminal.type("\x0c")
        terminal.wait_until(lambda text: "provoked" in text or terminal.exited(), "the crash")
        terminal.wait_exit()
        terminal.pump()
        seen["crash"] = terminal.received.decode(errors="replace")
    seen["log"] = floor.backend.log.read_text()
    assert "provoked" in seen["crash"]
    assert floor.url in seen["processes"], "else nothing of them was read"
    for where, text in seen.items():
        assert secret not in text, where
        assert secret[:20] not in text, where
    assert secret in holder.read_text()
    others = [path for path in tmp_path.rglob("*") if path.is_file() and path != holder]
    assert not [path for path in others if secret in path.read_text(errors="replace")]
    _run(environ, "logout")
    assert secret not in holder.read_text()
