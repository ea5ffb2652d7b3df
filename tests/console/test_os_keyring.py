"""Tokens in the system's keyring where one works, in the private file where none does."""

import json
from collections.abc import Iterator
from pathlib import Path

import keyring
import pytest

from console.client import os_keyring, session
from console.client.session import Session, SessionError
from tests.support import desk_keyring

SECRET = "tok-7a20-not-to-be-shown"
URL = "http://127.0.0.1:8420"


@pytest.fixture(autouse=True)
def library() -> Iterator[None]:
    """Each test chooses a keyring of its own; the library remembers the first one."""
    before = keyring.core._keyring_backend
    keyring.core._keyring_backend = None
    yield
    keyring.core._keyring_backend = before


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"XDG_STATE_HOME": str(tmp_path / "state"), "HOME": str(tmp_path)}


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A desktop with a keyring; the file that stands for what it keeps."""
    place = tmp_path / "desk"
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", desk_keyring.CHOSEN)
    monkeypatch.setenv(desk_keyring.PLACE, str(place))
    return place


def _stored(token: str = SECRET) -> Session:
    return Session(URL, "nora", token, "2030-01-01T00:00:00Z")


def _file(environ: dict[str, str]) -> str:
    return Path(session.sessions_path(environ)).read_text()


def test_the_keyring_has_the_token_and_the_file_has_not(environ: dict[str, str], desk: Path) -> None:
    session.save(environ, _stored())
    assert SECRET not in _file(environ)
    assert list(json.loads(desk.read_text()).values()) == [SECRET]
    assert session.load(environ, URL) == _stored()
    assert session.resolve(environ, URL).token == SECRET


def test_the_next_sign_in_and_the_sign_out_leave_nothing_behind(environ: dict[str, str], desk: Path) -> None:
    session.save(environ, _stored("first"))
    session.save(environ, _stored("second"))
    assert list(json.loads(desk.read_text()).values()) == ["second"]
    assert session.forget(environ, URL)
    assert json.loads(desk.read_text()) == {}
    assert session.load(environ, URL) is None
    assert not session.forget(environ, URL)


def test_two_people_of_one_desk_do_not_overwrite_each_other(
    environ: dict[str, str], desk: Path, tmp_path: Path
) -> None:
    other = environ | {"XDG_STATE_HOME": str(tmp_path / "other")}
    session.save(environ, _stored("mine"))
    session.save(other, _stored("theirs"))
    session.forget(other, URL)
    assert session.resolve(environ, URL).token == "mine"
    assert len(json.loads(desk.read_text())) == 1


@pytest.mark.parametrize(
    "chosen", [desk_keyring.WEAK, "keyring.backends.fail.Keyring", "keyring.backends.null.Keyring"]
)
def test_a_keyring_no_better_than_a_file_is_not_used(
    environ: dict[str, str], desk: Path, monkeypatch: pytest.MonkeyPatch, chosen: str
) -> None:
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", chosen)
    session.save(environ, _stored())
    assert not desk.exists()
    assert json.loads(_file(environ))["sessions"][URL]["token"] == SECRET
    assert session.resolve(environ, URL).token == SECRET


def test_a_locked_keyring_takes_nothing_and_says_so_without_its_text(environ: dict[str, str], desk: Path) -> None:
    session.save(environ, _stored())
    kept = desk.read_text()
    desk.write_text(desk_keyring.LOCKED)
    with pytest.raises(SessionError) as refused:
        session.resolve(environ, URL)
    assert "KeyringLocked" in refused.value.message
    assert "wfs_" not in refused.value.message + refused.value.hint
    session.save(environ, _stored("anew"))
    assert json.loads(_file(environ))["sessions"][URL]["token"] == "anew"
    desk.write_text(kept)
    assert session.resolve(environ, URL).token == "anew"


def test_an_entry_that_was_deleted_by_hand_means_signed_out(environ: dict[str, str], desk: Path) -> None:
    session.save(environ, _stored())
    desk.write_text("{}")
    assert session.resolve(environ, URL).token is None
    assert session.forget(environ, URL)


def test_a_keyring_that_never_answers_is_not_waited_for(
    environ: dict[str, str], desk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A prompt on a desktop where nobody sits."""
    import threading

    forever = threading.Event()
    monkeypatch.setattr(os_keyring, "LIMIT_S", 0.2)
    monkeypatch.setattr(desk_keyring.DeskKeyring, "set_password", lambda *_: forever.wait())
    session.save(environ, _stored())
    forever.set()
    assert json.loads(_file(environ))["sessions"][URL]["token"] == SECRET


def test_without_the_library_everything_is_in_the_file(
    environ: dict[str, str], desk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "keyring", None)
    session.save(environ, _stored())
    assert not desk.exists()
    assert session.resolve(environ, URL).token == SECRET
