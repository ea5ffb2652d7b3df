"""The demo's users, data directory and port."""

import json
import os
import socket
import stat
from pathlib import Path

import pytest

from backend.policy.load import load_with_warnings
from watchfloor.demo import backing, people, run
from watchfloor.demo.run import listen
from watchfloor.demo.workspace import Workspace
from watchfloor.embedded import ConfigurationError, cluster


def test_users_are_made_once_and_kept_private(tmp_path: Path) -> None:
    path = tmp_path / "users.json"
    made, new = people.load_or_make(path)
    again, new_again = people.load_or_make(path)
    assert (new, new_again) == (True, False)
    assert made == again
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert json.loads(path.read_text())["users"] == people.as_json(made)
    assert list(tmp_path.iterdir()) == [path]
    other, _ = people.load_or_make(tmp_path / "other.json")
    assert not {user.password for user in made.values()} & {user.password for user in other.values()}


def test_two_people_of_every_role_that_approves(tmp_path: Path) -> None:
    made, _ = people.load_or_make(tmp_path / "users.json")
    roles = [user.role for user in made.values()]
    assert (roles.count("mev_admin"), roles.count("compliance_officer")) == (2, 2)


@pytest.mark.parametrize("text", ["", "[]", '{"users": {"x": {"password": "p"}}}'])
def test_a_damaged_users_file_is_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "users.json"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match="is damaged"):
        people.load_or_make(path)


def test_a_second_demo_in_a_directory_is_told_where_the_first_is(tmp_path: Path) -> None:
    with Workspace(tmp_path / "data") as first:
        first.announce("http://127.0.0.1:8420")
        with pytest.raises(
            ConfigurationError, match=rf"pid {os.getpid()}.*watchfloor console --url http://127.0.0.1:8420"
        ):
            Workspace(tmp_path / "data").__enter__()
    with Workspace(tmp_path / "data"):
        pass


def test_data_of_a_newer_version_are_refused(tmp_path: Path) -> None:
    with Workspace(tmp_path / "data"):
        pass
    (tmp_path / "data" / "format").write_text("99\n")
    with pytest.raises(ConfigurationError, match="was written by another version"):
        Workspace(tmp_path / "data").__enter__()


def test_a_data_directory_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="cannot use the data directory"):
        Workspace(tmp_path / "file" / "below").__enter__()


def test_a_port_that_was_asked_for_and_is_taken_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"port {port} cannot be used"):
            listen(port)


def test_without_a_wish_the_usual_port_is_taken_and_then_any_free_one(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        usual = free.getsockname()[1]
    monkeypatch.setattr(run, "PREFERRED_PORT", usual)
    with listen(None) as first, listen(None) as second, listen(0) as third:
        ports = [sock.getsockname()[1] for sock in (first, second, third)]
    assert ports[0] == usual
    assert len(set(ports)) == 3


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("a\nFATAL:  could not write: No space left on device\n", "the disk is full"),
        ("LOG: x\nFATAL:  bad value\nLOG: y\n", "FATAL:  bad value"),
        ("initdb: error: cannot be run as root\nhint: z\n", "initdb: error: cannot be run as root"),
        ("", "it said nothing"),
    ],
)
def test_what_postgres_says_becomes_one_line(output: str, expected: str) -> None:
    assert cluster.explain(output) == expected


def test_the_demos_policy_says_where_its_backups_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WATCHFLOOR_POLICY", raising=False)
    workspace = Workspace(tmp_path / 'a "place"')
    workspace.directory.mkdir()
    loaded = load_with_warnings(backing.policy_of(workspace))
    (source,) = loaded.policy.recovery.backups
    assert (source.data, source.kind, source.location) == (
        "System State",
        "pg_dump",
        str(workspace.directory / "backups"),
    )
