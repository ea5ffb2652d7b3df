"""`watchfloor token`: secrets go into new private files, everything else is shown."""

import json
from pathlib import Path

import httpx

from contract.errors import ExitCode
from tests.support.commands import Commands
from tests.support.people import ADMIN, OFFICER


def _works(run: Commands, path: Path) -> bool:
    headers = {"authorization": f"Bearer {path.read_text().strip()}"}
    return httpx.get(f"{run.floor.url}/v1/freezes", headers=headers).status_code == httpx.codes.OK


def test_from_the_first_secret_to_the_last(run: Commands, tmp_path: Path) -> None:
    first, second, third = (tmp_path / name for name in ("first", "second", "third"))
    issue = ("token", "issue", "script", "--permission", "view_freezes", "--executor", "bot-*", "--days", "30")
    made = run(ADMIN, *issue, "--to", str(first), "--json")
    assert (made.code, made.body["token"]["subject"]) == (ExitCode.OK, "service:script")
    assert "Touch your hardware key" in made.err
    assert first.stat().st_mode & 0o777 == 0o600
    assert first.read_text().strip() not in made.out
    assert _works(run, first)
    rotated = run(ADMIN, "token", "rotate", "script", "--to", str(second))
    assert rotated.code == ExitCode.OK
    assert "the secret before works" in rotated.out
    assert second.read_text().strip() not in rotated.out
    assert (_works(run, first), _works(run, second)) == (True, True)
    at_once = run(ADMIN, "token", "rotate", "script", "--now", "--to", str(third))
    assert "the secret before works" not in at_once.out
    assert [_works(run, one) for one in (first, second, third)] == [False, False, True]
    listed = run(ADMIN, "token", "list").out
    assert "speaks for bot-*" in listed
    assert "active  service:script" in listed
    assert "revoked  service:script" in run(ADMIN, "token", "revoke", "script").out
    assert not _works(run, third)
    assert "service:script" not in run(ADMIN, "token", "list").out
    ended = json.loads(run(ADMIN, "token", "list", "--ended", "--json").out)
    assert [one["state"] for one in ended["items"] if one["name"] == "script"] == ["revoked"]


def test_a_refusal_leaves_no_file_and_a_file_is_never_overwritten(run: Commands, tmp_path: Path) -> None:
    path = tmp_path / "token"
    issue = ("token", "issue", "other", "--permission", "view_risk", "--to", str(path))
    assert run(OFFICER, *issue).code == ExitCode.NOT_ALLOWED
    assert run(ADMIN, "token", "rotate", "nobody", "--to", str(path)).code == ExitCode.NOT_FOUND
    assert run(ADMIN, *issue, "--permission", "fly").code == ExitCode.USAGE
    assert run(ADMIN, *issue, "--max-trade-eth", "much").code == ExitCode.USAGE
    assert not path.exists()
    path.write_text("something else")
    assert run(ADMIN, *issue).code == ExitCode.USAGE
    assert path.read_text() == "something else"
    assert "service:other" not in run(ADMIN, "token", "list", "--ended").out
