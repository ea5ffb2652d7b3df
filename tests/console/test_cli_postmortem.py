"""The command line of post-mortems, exports and imported reports, against a real backend."""

import hashlib
import json
import stat
from pathlib import Path

from tests.support.commands import Commands
from tests.support.people import OFFICER, OFFICER2, OPERATOR
from tests.support.reports import REPORTS, real_reports
from tests.support.shared_data import shared_data


def editor(folder: Path, script: str) -> str:
    """An editor that does what a script says with the file it is given."""
    path = folder / "editor"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o700)
    return str(path)


def declared(run: Commands, title: str = "Relay refuses bundles") -> str:
    ran = run(OPERATOR, "incidents", "declare", title, "--severity", "high", "--json")
    assert ran.code == 0, ran.err
    ident: str = ran.body["id"]
    ran = run(OPERATOR, "postmortem", "open", ident)
    assert ran.code == 0, ran.err
    assert ran.out.startswith(f"{ident} post-mortem version 1: draft\n")
    return ident


def test_from_the_editor_to_an_approved_file(run: Commands, tmp_path: Path) -> None:
    ident = declared(run)
    run.monkeypatch.delenv("VISUAL", raising=False)
    for section, words in (("root_cause", "It refused us."), ("Lessons Learned", "Watch it.")):
        run.monkeypatch.setenv("EDITOR", editor(tmp_path, f'printf "%s\\n" "{words}" > "$1"'))
        ran = run(OPERATOR, "postmortem", "edit", ident, section)
        assert (ran.code, ran.out.split(":")[0]) == (0, "Saved"), ran
    run.monkeypatch.setenv("EDITOR", "true")
    assert "Nothing was changed." in run(OPERATOR, "postmortem", "edit", ident, "root_cause").out
    assert run(OPERATOR, "postmortem", "submit", ident).code == 0
    read = run(OFFICER, "postmortem", "show", ident)
    digest = hashlib.sha256(read.out.encode()).hexdigest()
    assert f"SHA-256 {digest}" in read.err
    assert "It refused us." in read.out
    other = run(OFFICER, "postmortem", "approve", ident, "--sha256", "0" * 64)
    assert other.code != 0
    back = run(OFFICER, "postmortem", "send-back", ident, "--why", "who refused us?")
    assert "sent back: who refused us?" in back.out
    assert run(OPERATOR, "postmortem", "submit", ident).code == 0
    ran = run(OFFICER, "postmortem", "approve", ident, "--sha256", digest)
    assert f"approved by {OFFICER.name}\n  SHA-256 {digest}\n" in ran.out
    out = tmp_path / "report.md"
    assert run(OPERATOR, "incidents", "export", ident, "--out", str(out)).code == 0
    assert hashlib.sha256(out.read_bytes()).hexdigest() == digest
    assert run(OPERATOR, "incidents", "export", ident, "--out", str(out)).code == 2, "nothing is overwritten"
    finding = run(OPERATOR, "incidents", "export", ident, "--format", "ocsf", "--out", "-")
    assert json.loads(finding.out)["class_uid"] == 2005


def test_the_file_in_the_editor_is_its_owner_s_alone(run: Commands, tmp_path: Path) -> None:
    ident = declared(run)
    seen = tmp_path / "seen"
    run.monkeypatch.delenv("VISUAL", raising=False)
    run.monkeypatch.setenv("EDITOR", editor(tmp_path, f'stat -c %a "$1" > {seen}; echo "$1" >> {seen}'))
    run(OPERATOR, "postmortem", "edit", ident, "summary")
    mode, path = seen.read_text().split()
    assert mode == "600"
    assert not Path(path).exists()


def test_a_conflict_is_shown_and_saved_by_nobody(run: Commands, tmp_path: Path) -> None:
    ident = declared(run)
    text = tmp_path / "text.md"
    for words in ("First.", "Mine."):
        text.write_text(f"{words}\n")
        assert run(OPERATOR, "postmortem", "edit", ident, "root_cause", "--file", str(text)).code == 0
    text.write_text("Theirs.\n")
    ran = run(OFFICER, "postmortem", "edit", ident, "root_cause", "--file", str(text), "--base", "2")
    assert ran.code == 1
    assert {"Mine.", "Theirs.", "First."} <= set(ran.out.split("\n"))
    made = run(OFFICER, "postmortem", "show", ident, "--json").body
    assert next(one["text"] for one in made["sections"] if one["key"] == "root_cause") == "Mine."


def test_a_conflict_met_in_the_editor_is_resolved_there(run: Commands, tmp_path: Path) -> None:
    ident = declared(run)
    text = tmp_path / "text.md"
    text.write_text("First.")
    assert run(OPERATOR, "postmortem", "edit", ident, "root_cause", "--file", str(text)).code == 0
    # while the editor is open, the officer saves the same line: the first call of the editor does that behind its back
    other = tmp_path / "other.py"
    other.write_text(
        "import json, os, sys, urllib.request as web\n"
        "path = f\"{os.environ['WATCHFLOOR_URL']}/v1/incidents/{sys.argv[1]}/postmortem/sections/root_cause\"\n"
        "body = json.dumps({'text': 'Theirs.', 'base_version': 2}).encode()\n"
        "head = {'authorization': 'Bearer ' + sys.argv[2], 'content-type': 'application/json'}\n"
        "web.urlopen(web.Request(path, body, head, method='PUT')).read()\n"
    )
    token = run.floor.token(OFFICER)
    script = (
        f'if grep -q "<<<<<<<" "$1"; then echo Both. > "$1"; '
        f'else python3 {other} {ident} {token} && echo Mine. > "$1"; fi'
    )
    run.monkeypatch.delenv("VISUAL", raising=False)
    run.monkeypatch.setenv("EDITOR", editor(tmp_path, script))
    ran = run(OPERATOR, "postmortem", "edit", ident, "root_cause", "--json")
    assert (ran.code, ran.body["section"]["text"]) == (0, "Both."), ran
    [kept] = (run.state / "watchfloor" / "unsent").iterdir()
    assert (kept.read_text(), stat.S_IMODE(kept.stat().st_mode)) == ("Mine.", 0o600)


def test_what_cannot_be_sent_is_kept(run: Commands, tmp_path: Path) -> None:
    ident = declared(run)
    text = tmp_path / "text.md"
    text.write_text("Words.")
    ran = run(OPERATOR, "postmortem", "edit", ident, "root_cause", "--file", str(text), "--base", "7")
    assert ran.code != 0
    assert "What you wrote is kept in" in ran.err
    [kept] = (run.state / "watchfloor" / "unsent").iterdir()
    assert kept.read_text() == "Words."
    unknown = run(OPERATOR, "postmortem", "edit", ident, "no such", "--file", str(text))
    assert unknown.code == 2
    assert "root_cause" in unknown.err


def test_reports_are_imported_from_folders_and_found(run: Commands, tmp_path: Path) -> None:
    folder = shared_data("incidents/dfds")
    ran = run(OFFICER, "incidents", "import", str(folder), "--collection", "dfds")
    assert ran.code == 0, ran.err
    assert ran.out.startswith("Imported 40 reports; 0 unchanged, 0 refused.\n")
    again = run(OFFICER, "incidents", "import", str(folder), "--collection", "dfds", "--json").body
    assert (len(again["imported"]), len(again["unchanged"])) == (0, 40)
    found = run(OPERATOR, "incidents", "reports", "list", "--q", '"Malformed IngressRoute"', "--json").body
    [one] = found["items"]
    assert (one["date"], one["title"]) == ("2021-09-01", "All services returning 404 in Kubernetes")
    shown = run(OPERATOR, "incidents", "reports", "show", one["id"])
    assert shown.out == real_reports()[f"dfds/{one['name']}"]
    assert len(real_reports()) == REPORTS


def test_files_that_are_no_reports_are_named_and_the_others_taken(run: Commands, tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("# A\x1b[2J title\n")
    (tmp_path / "b.md").write_bytes(b"\xff\xfe")
    (tmp_path / "c.md").write_text("")
    (tmp_path / "d.txt").write_text("# not searched for")
    ran = run(OFFICER, "incidents", "import", str(tmp_path))
    assert ran.code == 1
    assert "Imported 1 report; 0 unchanged, 2 refused." in ran.out
    assert "Refused b.md: it is not UTF-8" in ran.out
    assert "\x1b" not in ran.out
    assert run(OPERATOR, "incidents", "import", str(tmp_path / "d.txt")).code == 4
    assert run(OFFICER2, "incidents", "import", str(tmp_path / "d.txt")).code == 0


def test_without_an_editor_the_way_out_is_named(run: Commands) -> None:
    ident = declared(run)
    for name in ("VISUAL", "EDITOR"):
        run.monkeypatch.delenv(name, raising=False)
    ran = run(OPERATOR, "postmortem", "edit", ident, "summary")
    assert ran.code == 2
    assert "--file" in ran.err
