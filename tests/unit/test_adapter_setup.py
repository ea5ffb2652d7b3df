"""The adapters' command line: wrong set-ups end in one line that repeats no secret; each says what it can prove."""

from pathlib import Path

import pytest

from watchfloor.commands import dispatch

PLACE = ["--executor", "bot-1", "--chain", "c", "--strategy", "s", "--wallet", "w", "--url", "http://127.0.0.1:1"]
SECRET = "whsec_" + "QUJD" * 12


@pytest.fixture
def files(tmp_path: Path) -> Path:
    contents = {"token": "wfs_token", "login": "user:pass", "secret": SECRET, "short": "whsec_c2VjcmV0", "bare": "user"}
    for name, text in (contents | {"shared": SECRET}).items():
        path = tmp_path / name
        path.touch(mode=0o600)
        path.write_text(text)
    (tmp_path / "shared").chmod(0o644)
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["freqtrade", "--api", "http://10.0.0.1:8080", "--login-file", "login"], 3, "use https"),
        (["freqtrade", "--api", "http://127.0.0.1:1", "--login-file", "bare"], 3, "does not hold USER:PASSWORD"),
        (["freqtrade", "--api", "http://127.0.0.1:1", "--login-file", "absent"], 3, "cannot be read"),
        (["freqtrade", "--api", "http://127.0.0.1:1", "--login-file", "login", "--executor", "b"], 2, "one executor"),
        (["freqtrade", "--api", "http://127.0.0.1:1"], 2, "--login-file"),
        (["webhook", "--halt-url", "https://x/", "--secret-file", "short"], 3, "base64 of at least"),
        (["webhook", "--halt-url", "https://x/", "--secret-file", "shared"], 3, "chmod 600"),
        (["webhook", "--halt-url", "https://x/", "--secret-file", "secret", "--check-url", "https://x"], 2, "belong"),
        (["command", "--halt", "true", "--check", "no-such-program"], 3, "not a program"),
        (["command", "--halt", "true", "--check", "true", "--url", "http://10.0.0.1"], 3, "https"),
        (["command", "--halt", "true", "--check", "true", "--evidence", "absent/file"], 3, "cannot be used"),
    ],
)
def test_a_wrong_set_up_is_one_line(
    files: Path, arguments: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    known = {path.name for path in files.iterdir()} | {"absent", "absent/file"}
    given = [str(files / one) if one in known else one for one in arguments[1:]]
    assert dispatch(["adapter", arguments[0], *PLACE, "--token-file", str(files / "token"), *given]) == code
    shown = capsys.readouterr()
    assert said in shown.err
    assert not any(secret in shown.out + shown.err for secret in ("QUJD", "c2Vj", "pass", "wfs_token"))
    assert "Traceback" not in shown.err


@pytest.mark.parametrize("name", ["freqtrade", "webhook", "command"])
def test_each_says_what_it_can_prove_without_any_set_up(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert dispatch(["adapter", name, "--describe"]) == 0
    said = capsys.readouterr().out
    assert "can not\nbound" in said or "can not bound" in said
    assert "onfirm" in said
