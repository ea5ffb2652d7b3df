"""Commands that take entries out and foreign logs in, follow and save searches, against a real backend."""

import gzip
import json
from pathlib import Path

import pytest

from console.client.imports import foreign
from console.client.session import resolve
from console.commands.audit_filters import answer_entries
from console.commands.base import Call
from contract.audit import AuditPage
from contract.errors import ExitCode
from tests.support.commands import Commands
from tests.support.ledger import settled
from tests.support.people import ADMIN, AUDITOR, OFFICER, OPERATOR
from tests.support.shared_data import shared_data


def _freeze(run: Commands, scope: str) -> None:
    assert run(OFFICER, "freeze", "--scope", scope, "--reason", "a test", "--json").code == 0


@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet", "ocsf", "syslog"])
def test_an_export_is_a_whole_file(run: Commands, tmp_path: Path, form: str) -> None:
    _freeze(run, "chain:exported")
    out = tmp_path / "out"
    ran = run(OFFICER, "audit", "export", "--format", form, "--event", "freeze.*", "--out", str(out))
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith(f"Exported {out.stat().st_size:,} bytes of {form}")
    assert out.stat().st_size > 100
    assert [path for path in tmp_path.iterdir() if path != run.state] == [out]


def test_an_export_goes_to_stdout(run: Commands) -> None:
    _freeze(run, "chain:piped")
    ran = run(OFFICER, "audit", "export", "--event", "freeze.hold.created", "--out", "-")
    assert ran.code == 0
    assert {json.loads(line)["event_type"] for line in ran.out.splitlines()} == {"freeze.hold.created"}


def test_a_refused_export_leaves_no_file(run: Commands, tmp_path: Path) -> None:
    kept = tmp_path / "kept.csv"
    kept.write_text("as it was")
    ran = run(AUDITOR, "audit", "export", "--format", "csv", "--out", str(kept))
    assert ran.code == ExitCode.NOT_ALLOWED
    assert kept.read_text() == "as it was"
    assert list(tmp_path.iterdir()) == [kept]
    assert run(OFFICER, "audit", "export", "--out", str(tmp_path / "no" / "x")).code == ExitCode.USAGE


@pytest.mark.parametrize(
    ("waiting", "said"), [(0, ""), (3, "Waiting: 3 newer entries"), (5_000, "Waiting: 5,000 or more newer entries")]
)
def test_a_search_says_what_is_not_in_the_ledger_yet(
    waiting: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    page = AuditPage(items=[], waiting=waiting)
    answer_entries(Call(resolve({}, "http://127.0.0.1:1"), as_json=False, name="audit.search"), page)
    told = capsys.readouterr()
    assert told.out.startswith("No entries.")
    assert told.err.startswith(said)
    assert bool(told.err) == bool(waiting)
    answer_entries(Call(resolve({}, "http://127.0.0.1:1"), as_json=True, name="audit.search"), page)
    told = capsys.readouterr()
    assert (json.loads(told.out)["waiting"], told.err) == (waiting, "")


def test_searches_are_saved_run_listed_and_deleted(run: Commands) -> None:
    _freeze(run, "chain:saved")
    assert run(AUDITOR, "audit", "saved").out.startswith("No saved searches.")
    run(AUDITOR, "audit", "search", "--event", "freeze.*", "--user", OFFICER.name, "--save", "freezes by oscar")
    (kept,) = run(AUDITOR, "audit", "saved", "--json").body["items"]
    assert kept["filters"] == {"event_type": "freeze.*", "user": OFFICER.name}
    assert "freezes by oscar" in run(AUDITOR, "audit", "saved").out
    found = run(AUDITOR, "audit", "search", "--saved", "freezes by oscar", "--limit", "1", "--json").body["items"]
    assert found[0]["event_type"].startswith("freeze.")
    assert run(OFFICER, "audit", "saved", "--json").body["items"] == []
    assert run(OFFICER, "audit", "search", "--saved", "freezes by oscar").code == ExitCode.USAGE
    assert run(AUDITOR, "audit", "saved", "--delete", "freezes by oscar").code == 0
    assert run(AUDITOR, "audit", "saved", "--delete", "freezes by oscar").code == ExitCode.NOT_FOUND


def test_an_entry_is_followed(run: Commands) -> None:
    _freeze(run, "chain:followed")
    (entry,) = run(AUDITOR, "audit", "search", "--event", "freeze.hold.created", "--limit", "1", "--json").body["items"]
    for by in ("actor", "request", "resource"):
        found = run(AUDITOR, "audit", "follow", entry["id"], "--by", by, "--json").body["items"]
        assert entry["id"] in {one["id"] for one in found}, by
    ran = run(AUDITOR, "audit", "follow", entry["id"], "--by", "incident")
    assert (ran.code, "names no incident" in ran.err) == (ExitCode.USAGE, True)
    assert run(AUDITOR, "audit", "follow", "unheard-of").code == ExitCode.NOT_FOUND


def test_foreign_logs_come_in_and_are_found(run: Commands, tmp_path: Path) -> None:
    records = [{"eventSource": "s3", "eventName": f"Get{n}", "eventTime": "2023-01-01T00:00:00Z"} for n in range(3)]
    (tmp_path / "trail.json.gz").write_bytes(gzip.compress(json.dumps({"Records": records}).encode()))
    (tmp_path / "lines.jsonl").write_text('{"action":"open","ratio":0.10}\nbroken\n\n{"action":"close"}\n')
    ran = run(ADMIN, "audit", "import", str(tmp_path), "--name", "cli", "--json")
    assert ran.code == ExitCode.CHECK_FAILED
    assert {name: ran.body[name] for name in ("files", "records", "imported", "unchanged")} == {
        "files": 2,
        "records": 6,
        "imported": 5,
        "unchanged": 0,
    }
    assert [(one["file"], one["line"]) for one in ran.body["refused"]] == [("lines.jsonl", 2)]
    again = run(ADMIN, "audit", "import", str(tmp_path / "trail.json.gz"), "--name", "cli")
    assert (again.code, "0 entries imported into import:cli, 3 unchanged" in again.out) == (0, True)
    assert (ran.body["retention"], "It is kept 7y." in " ".join(again.out.split())) == ("7y", True)
    other = run(ADMIN, "audit", "import", str(tmp_path / "trail.json.gz"), "--name", "cli", "--retention", "1y")
    assert (other.code, "is kept 7y since its first import" in other.err) == (ExitCode.CHECK_FAILED, True)
    unknown = run(ADMIN, "audit", "import", str(tmp_path / "trail.json.gz"), "--name", "cli2", "--retention", "9y")
    assert (unknown.code, "the policy has 7y, 3y, 1y, forever" in unknown.err) == (ExitCode.USAGE, True)
    run.floor.within(settled)  # a search waits a quarter of a second for the ledger, which a busy machine may exceed
    found = run(AUDITOR, "audit", "search", "--log", "import:cli", "--action", "Get1", "--json").body["items"]
    assert [one["event_type"] for one in found] == ["imported.cloudtrail.event"]
    assert run(OPERATOR, "audit", "import", str(tmp_path), "--name", "cli").code == ExitCode.NOT_ALLOWED
    assert run(ADMIN, "audit", "import", str(tmp_path / "absent"), "--name", "cli").code == ExitCode.USAGE


def test_no_digit_of_an_array_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('[{"a":0.10,"b":123456789012345678901234567890,"c":1E400,"d":NaN}]')
    assert foreign.records_of(path) == [(1, '{"a":0.10,"b":123456789012345678901234567890,"c":1E400,"d":"NaN"}')]
    path.write_text('[{"a":"\\ud800","b":0.10}]')
    ((_, text),) = foreign.records_of(path)
    assert json.loads(text)["a"] == "\ud800"


def test_all_the_recorded_logs_are_read() -> None:
    root = shared_data("audit-events")
    counts = {
        folder: sum(len(foreign.records_of(path)) for path in sorted((root / folder).rglob("*.json*")))
        for folder in ("cloudtrail-invictus", "panther", "stratus")
    }
    assert counts == {"cloudtrail-invictus": 2_900, "panther": 3_053, "stratus": 310}
