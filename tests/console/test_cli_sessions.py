"""The commands about sessions."""

import json
from pathlib import Path

from contract.errors import ExitCode
from tests.support.commands import Commands
from tests.support.people import ADMIN, AUDITOR, OFFICER, OPERATOR


def test_ones_own_sessions_are_listed_and_ended(run: Commands) -> None:
    listed = run(OPERATOR, "sessions", "list", "--json").body["items"]
    assert [(one["account"], one["state"]) for one in listed] == [(OPERATOR.name, "open")] * len(listed)
    (own,) = [one for one in listed if one["own"]]
    shown = run(OPERATOR, "sessions", "list").out
    assert own["id"] in shown
    assert "this one" in shown
    assert run(OPERATOR, "sessions", "end-all").code == ExitCode.OK
    assert run(OPERATOR, "sessions", "end", "nothing").code == ExitCode.NOT_FOUND
    assert run(OPERATOR, "sessions", "list", "--all").code == ExitCode.NOT_ALLOWED
    assert run(OPERATOR, "sessions", "end-all", "--user", ADMIN.name).code == ExitCode.NOT_ALLOWED


def test_who_manages_people_ends_theirs(run: Commands) -> None:
    run(AUDITOR, "whoami")
    listed = run(OFFICER, "sessions", "list", "--user", AUDITOR.name, "--json").body["items"]
    assert AUDITOR.name in run(OFFICER, "sessions", "list", "--all").out
    ended = run(OFFICER, "sessions", "end", listed[0]["id"])
    assert (ended.code, ended.out) == (ExitCode.OK, "1 session ended.\n")
    assert run(OFFICER, "sessions", "end-all", "--user", "nobody").code == ExitCode.NOT_FOUND


def test_an_unlocking_needs_a_password(run: Commands, tmp_path: Path) -> None:
    wrong = tmp_path / "password"
    wrong.write_text("not the password\n")
    refused = run(OPERATOR, "sessions", "unlock", "--password-file", str(wrong), "--totp", "000000")
    assert refused.code == ExitCode.NOT_ALLOWED
    assert "wrong" in refused.err
    assert json.dumps("not the password") not in refused.err
