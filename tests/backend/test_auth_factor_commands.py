"""`watchfloor user` for hardware keys, the sealed account and one's own factors; QR codes that a camera can read."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import segno

from console.commands.qr import qr_lines
from contract.hardware import SK_ED25519
from tests.support.hardware import Desk, desk
from watchfloor.commands import run_server_command

Run = Callable[..., int]


@pytest.fixture
def held() -> Iterator[Desk]:
    with desk() as made:
        yield made


@pytest.fixture
def run(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command on the test's own database."""
    monkeypatch.setenv("WATCHFLOOR_DATABASE_URL", database_url)
    monkeypatch.delenv("WATCHFLOOR_POLICY", raising=False)
    return lambda *arguments: run_server_command("user", list(arguments))


def test_a_key_is_enrolled_listed_and_removed(
    run: Run, held: Desk, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "key.pub"
    file.write_text(f"{held.key.line(SK_ED25519)}\n")
    assert run("add", "nora", "--role", "mev_admin") == 0
    assert run("enroll-key", "nora", "--public-key", str(file), "--json") == 0
    made = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (made["schema"], made["type"]) == ("watchfloor.user.enroll_key/1", SK_ED25519)
    assert made["fingerprint"] == held.public(SK_ED25519).fingerprint
    assert run("keys", "nora") == 0
    assert made["fingerprint"] in capsys.readouterr().out
    assert run("remove-key", "nora", made["fingerprint"]) == 0
    capsys.readouterr()
    assert run("keys", "nora", "--json") == 0
    assert json.loads(capsys.readouterr().out)["keys"] == []
    assert run("remove-key", "nora", made["fingerprint"]) == 5


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA me", "ordinary SSH key"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----", "private key"),
        ("", "no hardware key"),
    ],
)
def test_what_is_no_hardware_key_is_refused_in_a_sentence(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], line: str, told: str
) -> None:
    file = tmp_path / "key.pub"
    file.write_text(line)
    assert run("add", "nora", "--role", "mev_admin") == 0
    assert run("enroll-key", "nora", "--public-key", str(file)) == 2
    assert told in capsys.readouterr().err


def test_the_envelopes_are_printed_apart_and_once(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("break-glass") == 0
    first, second = capsys.readouterr().out.split("\f")
    password = re.search(r"^Password +(\S+)$", first, re.MULTILINE)
    code = re.search(r"^Code +(\S+)$", second, re.MULTILINE)
    assert password is not None
    assert code is not None
    assert password.group(1) not in second
    assert code.group(1) not in first
    assert run("break-glass", "--json") == 0
    again = json.loads(capsys.readouterr().out)
    assert (again["password"], again["code"]) != (password.group(1), code.group(1))


def test_recovery_codes_are_printed_with_a_new_account_and_a_reset(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("add", "nora", "--role", "mev_operator", "--json") == 0
    first = json.loads(capsys.readouterr().out)["recovery_codes"]
    assert run("reset-totp", "nora", "--json") == 0
    second = json.loads(capsys.readouterr().out)["recovery_codes"]
    assert len(first) == len(second) == 10
    assert not set(first) & set(second)
    assert run("reset-totp", "nora") == 0
    assert len(re.findall(r"(?:[a-z2-7]{4}-){3}[a-z2-7]{4}", capsys.readouterr().out)) == 10


def test_a_weak_password_is_refused(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "password"
    file.write_text("password1234\n")
    assert run("add", "nora", "--role", "mev_operator", "--password-file", str(file)) == 2
    err = capsys.readouterr().err
    assert "guessed first" in err
    assert "password1234" not in err


def test_a_qr_code_fits_the_smallest_terminal_and_says_what_it_should() -> None:
    uri = f"otpauth://totp/Watchfloor:{'n' * 40}?secret={'A' * 32}&issuer=Watchfloor"
    lines = [re.sub("\x1b\\[[0-9;]*m", "", row) for row in qr_lines(uri)]
    assert len(lines) <= 24
    assert {len(row) for row in lines} == {len(lines[0])}
    assert len(lines[0]) <= 80
    halves = {" ": (0, 0), "▀": (1, 0), "▄": (0, 1), "█": (1, 1)}
    modules = [[halves[char][half] for char in row] for row in lines for half in (0, 1)]
    wanted = [[int(bool(module)) for module in row] for row in segno.make_qr(uri, error="l").matrix_iter(border=2)]
    assert modules[: len(wanted)] == wanted
