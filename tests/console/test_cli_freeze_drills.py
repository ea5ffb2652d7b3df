"""`watchfloor freezes drill` against a real backend: start, wait, show, evidence, history."""

import json
from pathlib import Path

from contract.errors import ExitCode
from tests.support.commands import Commands
from tests.support.people import ADMIN, AUDITOR, OPERATOR

START = ("freezes", "drill", "start", "--reason", "quarterly")


def test_a_drill_is_started_shown_and_its_evidence_is_written_once(run: Commands, tmp_path: Path) -> None:
    run.floor.renew("drilled", chain="base")
    begun = run(ADMIN, *START, "--scope", "executor:drilled", "--json")
    assert (begun.code, begun.body["covered"], begun.body["ended_at"]) == (0, 1, None)
    ref = begun.body["ref"]
    shown = run(AUDITOR, "freezes", "drill", "show", ref)
    assert "running, 1 executor" in shown.out.replace("\n", " ")
    assert f"drill show {ref}" in shown.out.replace("\n", " ")
    pack = tmp_path / "evidence.json"
    assert run(AUDITOR, "freezes", "drill", "show", ref, "--evidence", str(pack)).code == 0
    assert json.loads(pack.read_text())["drill"]["ref"] == ref
    again = run(AUDITOR, "freezes", "drill", "show", ref, "--evidence", str(pack))
    assert (again.code, "exists" in again.err) == (ExitCode.USAGE, True)
    listed = run(AUDITOR, "freezes", "drill", "list")
    assert ref in listed.out
    assert "time to halt" in listed.out


def test_a_drill_waited_for_in_vain_is_unknown_and_one_that_missed_a_canary_fails(run: Commands) -> None:
    run.floor.renew("deaf-canary", chain="base")
    waited = run(ADMIN, *START, "--scope", "executor:deaf-canary", "--wait", "--timeout", "1", "--json")
    assert waited.code in {ExitCode.TIMED_OUT, ExitCode.CHECK_FAILED}
    assert waited.body["covered"] == 1


def test_what_is_no_canary_is_refused_by_policy(run: Commands) -> None:
    refused = run(ADMIN, *START, "--scope", "global")
    assert (refused.code, refused.out) == (ExitCode.REFUSED_BY_POLICY, "")
    assert "no canary" in refused.err
    assert run(OPERATOR, *START, "--scope", "executor:x").code == ExitCode.NOT_ALLOWED
    assert run(ADMIN, *START, "--scope", "planet:mars").code == ExitCode.USAGE
    assert run(ADMIN, "freezes", "drill", "show", "FD-9999").code == ExitCode.NOT_FOUND
