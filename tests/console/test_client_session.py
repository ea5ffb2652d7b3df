"""Where tokens live: private, atomic, keyed by address, and never shown."""

import json
import os
import stat
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from console.client import session
from console.client.session import Session, SessionError

SECRET = "tok-3f1c-not-to-be-shown"


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"XDG_STATE_HOME": str(tmp_path / "state"), "HOME": str(tmp_path)}


def stored(url: str = "http://127.0.0.1:8420", token: str = SECRET) -> Session:
    return Session(url, "mev_admin", token, "2030-01-01T00:00:00Z")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("http://LOCALHOST:8420/", "http://localhost:8420"),
        ("  http://localhost:80", "http://localhost"),
        ("HTTPS://Floor.Example:443/base/", "https://floor.example/base"),
        ("http://[::1]:8420", "http://[::1]:8420"),
        ("unix:/run/wf.sock", "http+unix://%2Frun%2Fwf.sock"),
        ("unix:///run/wf.sock", "http+unix://%2Frun%2Fwf.sock"),
        ("http+unix://%2Frun%2Fwf.sock", "http+unix://%2Frun%2Fwf.sock"),
        ("unix:/run/a b/../wf.sock", "http+unix://%2Frun%2Fwf.sock"),
    ],
)
def test_one_spelling_per_server(given: str, expected: str) -> None:
    assert session.normalise_url(given) == expected
    assert session.normalise_url(expected) == expected


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "localhost:8420",
        "ftp://x",
        "http://",
        "http://h:99999",
        "http://h/?a=1",
        "http://h/#f",
        "unix:",
        "http://a b",
    ],
)
def test_a_wrong_address_is_refused_in_one_sentence(wrong: str) -> None:
    with pytest.raises(SessionError) as refused:
        session.normalise_url(wrong)
    assert "\n" not in refused.value.message


def test_an_address_with_a_password_is_refused_without_repeating_it() -> None:
    with pytest.raises(SessionError) as refused:
        session.normalise_url("http://me:hunter2@localhost:8420")
    assert "hunter2" not in refused.value.message + refused.value.hint


def test_sessions_are_kept_per_server_and_survive_a_restart(environ: dict[str, str]) -> None:
    session.save(environ, stored())
    session.save(environ, stored("http://other:1", "second"))
    assert session.load(environ, "http://127.0.0.1:8420/") == stored()
    assert session.forget(environ, "http://127.0.0.1:8420")
    assert not session.forget(environ, "http://127.0.0.1:8420")
    assert session.load(environ, "http://127.0.0.1:8420") is None
    kept = session.load(environ, "http://other:1")
    assert kept is not None
    assert kept.token == "second"


def test_the_file_and_its_directory_are_private(environ: dict[str, str]) -> None:
    old = os.umask(0)
    try:
        session.save(environ, stored())
    finally:
        os.umask(old)
    path = Path(session.sessions_path(environ))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [p.name for p in path.parent.iterdir() if p.name.endswith(".new")] == []


def test_a_file_others_can_read_is_refused(environ: dict[str, str]) -> None:
    session.save(environ, stored())
    Path(session.sessions_path(environ)).chmod(0o640)
    with pytest.raises(SessionError, match="can be read by others") as refused:
        session.resolve(environ)
    assert SECRET not in refused.value.message + refused.value.hint
    assert "chmod 600" in refused.value.hint


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_of_another_user_is_refused(environ: dict[str, str]) -> None:
    session.save(environ, stored())
    os.chown(session.sessions_path(environ), 12345, 12345)
    with pytest.raises(SessionError, match="another user"):
        session.load(environ, "http://127.0.0.1:8420")


def test_a_symbolic_link_or_a_pipe_is_refused(environ: dict[str, str], tmp_path: Path) -> None:
    session.save(environ, stored())
    path = Path(session.sessions_path(environ))
    path.rename(tmp_path / "elsewhere.json")
    path.symlink_to(tmp_path / "elsewhere.json")
    with pytest.raises(SessionError):
        session.load(environ, "http://127.0.0.1:8420")
    path.unlink()
    os.mkfifo(path, 0o600)
    with pytest.raises(SessionError, match="is not a file"):
        session.load(environ, "http://127.0.0.1:8420")


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{", b'{"sessions": {"u": {"token": 3}}}', b"\xff\xfe", b"[" * 100_000]
)
def test_a_damaged_file_is_refused(environ: dict[str, str], content: bytes) -> None:
    session.save(environ, stored())
    Path(session.sessions_path(environ)).write_bytes(content)
    with pytest.raises(SessionError, match="is not a list of sessions"):
        session.load(environ, "http://127.0.0.1:8420")


def test_a_console_opens_signed_out_when_only_the_stored_session_cannot_be_used(environ: dict[str, str]) -> None:
    session.save(environ, stored())
    assert session.resolve_or_why(environ) == (session.resolve(environ), "")
    Path(session.sessions_path(environ)).chmod(0o640)
    target, why = session.resolve_or_why(environ)
    assert (target.url, target.token, "can be read by others" in why) == ("http://127.0.0.1:8420", None, True)
    with pytest.raises(SessionError):
        session.resolve_or_why(environ, "ftp://x")


def test_the_environment_wins_over_the_file(environ: dict[str, str]) -> None:
    session.save(environ, stored())
    assert session.resolve(environ).token == SECRET
    environ |= {"WATCHFLOOR_URL": "http://elsewhere:9/", "WATCHFLOOR_TOKEN": " given "}
    assert session.resolve(environ) == ("http://elsewhere:9", "given")
    assert session.resolve(environ, "http://third:7") == ("http://third:7", "given")


def test_without_a_session_the_target_has_no_token(environ: dict[str, str]) -> None:
    assert session.resolve(environ) == (session.DEFAULT_URL, None)
    assert not Path(session.state_dir(environ)).exists()


def test_a_token_never_shows_in_a_repr(environ: dict[str, str]) -> None:
    session.save(environ, stored())
    assert SECRET not in repr(stored())
    assert SECRET not in repr(session.resolve(environ))


def test_expiry() -> None:
    now = datetime(2029, 12, 31, tzinfo=UTC)
    assert not stored().expired(now)
    assert stored().expired(datetime(2030, 1, 1, tzinfo=UTC))
    assert stored()._replace(expires_at="soon").expired(now)


def test_a_directory_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SessionError, match="Cannot keep sessions"):
        session.save({"XDG_STATE_HOME": str(tmp_path / "file")}, stored())


def test_concurrent_logins_lose_nothing(environ: dict[str, str]) -> None:
    threads = [threading.Thread(target=session.save, args=(environ, stored(f"http://h{n}:1"))) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    entries = json.loads(Path(session.sessions_path(environ)).read_text())["sessions"]
    assert len(entries) == 12
