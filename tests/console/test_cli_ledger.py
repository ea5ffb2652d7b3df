"""The commands that verify, prove and bundle the ledger, against a backend that runs its own verifier."""

import json
import subprocess
import sys
from pathlib import Path

from console.commands.verifying import _MEANINGS
from contract.errors import ExitCode
from ledger import verify_bundle
from tests.support.commands import Commands
from tests.support.people import AUDITOR, OFFICER

LONG_AGO, LATER = "2020-01-01T00:00:00Z", "2100-01-01T00:00:00Z"


def test_verify_shows_every_verdict_and_what_was_not_checked(run: Commands) -> None:
    shown = run(AUDITOR, "audit", "verify", "--full")
    assert shown.code == ExitCode.OK, shown
    for name in _MEANINGS:
        assert any(line.split()[:1] == [name] for line in shown.out.splitlines()), shown.out
    assert "verifying: " in shown.err
    assert "\x1b" not in shown.out + shown.err
    again = run(AUDITOR, "audit", "verify", "--json").body
    assert again["passed"] is True
    assert again["full"] is False
    one = run(AUDITOR, "audit", "verify", "--full", "--log", "meta", "--json").body
    assert one["verdicts"]["completeness"]["outcome"] == "not_checked"
    assert one["verdicts"]["linkage"]["outcome"] == "ok"


def test_a_proof_and_a_bundle_are_written_once_and_hold_without_the_backend(run: Commands, tmp_path: Path) -> None:
    found = run(OFFICER, "audit", "search", "--event", "audit.search.run", "--json")
    found = run(OFFICER, "audit", "search", "--event", "audit.search.run", "--json")
    ident = found.body["items"][0]["id"]
    path = tmp_path / "proof.json"
    assert run(OFFICER, "audit", "prove", ident, "--out", str(path)).code == ExitCode.OK
    assert verify_bundle.main([str(path)]) == 0
    assert json.loads(path.read_text())["seq"] >= 0
    assert run(OFFICER, "audit", "prove", ident, "--out", str(path)).code == ExitCode.USAGE
    assert run(OFFICER, "audit", "prove", "no-such-entry").code == ExitCode.NOT_FOUND
    out = tmp_path / "bundle"
    times = ("--from", LONG_AGO, "--to", LATER)
    taken = run(OFFICER, "audit", "bundle", *times, "--out", str(out))
    assert taken.code == ExitCode.OK, taken
    argv = [sys.executable, "-I", str(out / "verify_bundle.py"), str(out)]
    checked = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
    assert run(OFFICER, "audit", "bundle", *times, "--out", str(out)).code == ExitCode.USAGE
    refused = run(AUDITOR, "audit", "bundle", *times, "--out", str(tmp_path / "other"))
    assert refused.code == ExitCode.NOT_ALLOWED
