"""The commands about access: windows, elevations, access reviews."""

import hashlib
import json
from pathlib import Path

from contract.errors import ExitCode
from tests.support.commands import Commands
from tests.support.people import ADMIN, ADMIN2, AUDITOR, OFFICER, OFFICER2, OPERATOR

REASON = ("--reason", "an audit")


def test_an_auditor_is_let_in_and_shut_out(run: Commands) -> None:
    run(AUDITOR, "whoami")
    assert run(OFFICER, "access", "grant", AUDITOR.name, *REASON).code == ExitCode.USAGE
    assert run(AUDITOR, "access", "grant", AUDITOR.name, "--hours", "2", *REASON).code == ExitCode.NOT_ALLOWED
    own = run(OFFICER, "access", "grant", OFFICER.name, "--hours", "2", *REASON)
    assert own.code == ExitCode.REFUSED_BY_POLICY
    long = run(OFFICER, "access", "grant", AUDITOR.name, "--until", "2999-01-01", *REASON)
    assert (long.code, "31 days" in long.err) == (ExitCode.USAGE, True)
    made = run(OFFICER, "access", "grant", AUDITOR.name, "--hours", "2", *REASON, "--json").body
    assert (made["state"], made["account"]) == ("open", AUDITOR.name)
    listed = run(ADMIN, "access", "list").out
    assert made["id"] in listed
    assert f"granted by {OFFICER.name}" in listed
    gone = run(ADMIN, "access", "revoke", made["id"], "--reason", "done")
    assert (gone.code, f"revoked by {ADMIN.name}" in gone.out) == (ExitCode.OK, True)
    assert made["id"] not in run(ADMIN, "access", "list").out
    assert made["id"] in run(ADMIN, "access", "list", "--closed").out


def test_an_operator_asks_and_an_officer_decides(run: Commands) -> None:
    ask = ("elevation", "request", "view_audit_logs", "--minutes", "5", "--reason", "an incident")
    run(OPERATOR, "whoami")
    assert run(OPERATOR, "audit", "search").code == ExitCode.NOT_ALLOWED
    assert run(OPERATOR, "elevation", "request", "fly", "--minutes", "5", *REASON).code == ExitCode.USAGE
    assert run(OPERATOR, "elevation", "request", "configure_system", "--minutes", "5", *REASON).code == (
        ExitCode.REFUSED_BY_POLICY
    )
    asked = run(OPERATOR, *ask, "--json").body
    assert asked["status"] == "requested"
    assert run(OPERATOR, "elevation", "approve", asked["id"]).code == ExitCode.NOT_ALLOWED
    denied = run(OFFICER, "elevation", "deny", asked["id"])
    assert (denied.code, f"decided by {OFFICER.name}" in denied.out) == (ExitCode.OK, True)
    again = run(OPERATOR, *ask, "--json").body
    shown = run(OFFICER, "elevation", "list").out
    assert again["id"] in shown
    assert "view_audit_logs" in shown
    assert asked["id"] not in shown
    ended = run(OPERATOR, "elevation", "end", again["id"])
    assert (ended.code, f"ended by {OPERATOR.name}" in ended.out) == (ExitCode.OK, True)
    assert "denied" in run(OFFICER, "elevation", "list", "--over").out
    assert run(OFFICER, "elevation", "list").out == "No elevations.\n"


def test_whoever_asked_for_an_elevation_cannot_approve_it(run: Commands) -> None:
    ask = ("elevation", "request", "reveal_personal_data", "--minutes", "5", *REASON, "--json")
    asked = run(ADMIN, *ask).body
    assert run(ADMIN, "elevation", "approve", asked["id"]).code == ExitCode.REFUSED_BY_POLICY
    assert run(ADMIN, "elevation", "end", asked["id"]).code == ExitCode.OK


def _decide_all(run: Commands, ident: str) -> None:
    for item in run(OFFICER, "access", "review", "show", ident, "--json").body["items"]:
        if item["decision"]:
            continue
        who = ADMIN if item["name"] == OFFICER.name else OFFICER
        kept = run(who, "access", "review", "decide", ident, str(item["number"]), "keep", *REASON)
        assert (kept.code, "keep by" in kept.out) == (ExitCode.OK, True), kept


def test_a_review_from_the_first_look_to_the_file(run: Commands, tmp_path: Path) -> None:
    for person in (ADMIN, ADMIN2, OFFICER2):
        run(person, "whoami")
    for scheduled in run(OFFICER, "access", "review", "list", "--json").body["items"]:
        _decide_all(run, scheduled["id"])
        assert run(OFFICER, "access", "review", "close", scheduled["id"]).code == ExitCode.OK
    opened = run(OFFICER, "access", "review", "open", "--json").body
    ident = opened["id"]
    assert f"0 of {opened['total']} items decided" in run(OFFICER, "access", "review", "list").out
    items = run(OFFICER, "access", "review", "show", ident, "--json").body["items"]
    decide = ("access", "review", "decide", ident)
    assert run(OFFICER, "access", "review", "close", ident).code == ExitCode.CHECK_FAILED
    own = next(item for item in items if item["name"] == OFFICER.name)
    assert run(OFFICER, *decide, str(own["number"]), "keep", *REASON).code == ExitCode.REFUSED_BY_POLICY
    decided = {item["name"]: str(item["number"]) for item in items}
    moved = run(OFFICER, *decide, decided[ADMIN2.name], "change", "--role", OFFICER.role, *REASON)
    assert (moved.code, "Touch your hardware key" in moved.err) == (ExitCode.OK, True), moved
    assert run(OFFICER, *decide, decided[OFFICER2.name], "revoke", *REASON).code == ExitCode.OK
    _decide_all(run, ident)
    out = tmp_path / "review.json"
    assert run(OFFICER, "access", "review", "export", ident, "--out", str(out)).code == ExitCode.CHECK_FAILED
    assert "closed" in run(OFFICER, "access", "review", "close", ident).out
    written = run(OFFICER, "access", "review", "export", ident, "--out", str(out), "--json").body
    review = json.loads(out.read_text())["review"]
    canonical = json.dumps(review, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert hashlib.sha256(canonical.encode()).hexdigest() == written["sha256"]
    assert run(OFFICER, "access", "review", "export", ident, "--out", str(out)).code == ExitCode.USAGE
