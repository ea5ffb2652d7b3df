"""`watchfloor incidents`: a whole incident from the command line, in text and JSON, and what it says when refused."""

from pathlib import Path

from rich.cells import cell_len

from console.commands.incident_words import span
from contract.errors import ExitCode
from tests.console.test_cli_shown import HOSTILE, assert_harmless
from tests.support.commands import Commands
from tests.support.people import ADMIN, AUDITOR, OPERATOR


def ok(run: Commands, *arguments: str) -> str:
    """A command of the operator that works, and its text, which fits 80 columns."""
    ran = run(OPERATOR, "incidents", *arguments)
    assert (ran.code, ran.err) == (0, ""), ran
    assert all(cell_len(line) <= 80 for line in ran.out.splitlines()), ran.out
    return ran.out


def test_an_incident_from_the_first_word_to_the_numbers(run: Commands, tmp_path: Path) -> None:
    assert "No incidents" in ok(run, "list")
    said = ok(run, "declare", "Orders time out", "--severity", "low", "--type", "availability", "--commander", "adam")
    assert said.endswith(": Detection, adam commands.\n")
    ident = said.partition(":")[0]
    assert ident in ok(run, "list", "--q", "orders", "--severity", "low")
    ok(run, "note", ident, "venue is asked", "--at", "2h")
    ok(run, "advance", ident, "--note", "seen")
    ok(run, "tick", ident, "Triage", "2")
    ok(run, "assign", ident, "commander", "olga", "--note", "venue answers at 10:00")
    ok(run, "milestone", ident, "started", "--at", "3h", "--why", "the venue's status page")
    ok(run, "change", ident, "--loss-usd", "12.50", "--users", "3", "--service", "gateway", "--severity", "medium")
    log = tmp_path / "a.log"
    log.write_bytes(b"\x00\xff log")
    kept = ok(run, "evidence", "add", ident, str(log), "--description", "the gateway's log")
    piece = kept.splitlines()[1].strip()
    out = tmp_path / "back.log"
    ok(run, "evidence", "get", ident, piece, "--out", str(out))
    assert out.read_bytes() == log.read_bytes()
    ok(run, "evidence", "query", ident, "executors")
    assert "executors.json" in ok(run, "evidence", "list", ident)
    ok(run, "follow-ups", "add", ident, "Raise the time-out", "--owner", "adam", "--due", "2026-01-01")
    assert "OVERDUE" in ok(run, "follow-ups", "list")
    assert "done" in ok(run, "follow-ups", "change", ident, "1", "--done")
    ok(run, "resolve", ident, "--note", "venue is back")
    ok(run, "reopen", ident, "--why", "not quite")
    ok(run, "resolve", ident, "--note", "now it is")
    asked = run(OPERATOR, "incidents", "close", ident)
    assert (asked.code != 0, f"Close {ident} for good?" in asked.err) == (True, True)
    assert "resolved" in ok(run, "show", ident)
    ok(run, "close", ident, "--yes")
    shown = ok(run, "show", ident)
    assert "[x] 2 Assign incident commander (olga)" in shown
    assert "12.5" in shown
    assert "around" not in ok(run, "around", ident, "--minutes", "5")
    refused = run(OPERATOR, "incidents", "report-sent", ident, "initial", "--to", "the bank", "--reference", "MI-7")
    assert (refused.code, "No report" in refused.err) == (ExitCode.REFUSED_BY_POLICY, True)
    told = ok(run, "timeline", ident)
    assert told.index("venue is asked") < told.index("Orders time out"), "by when it happened"
    numbers = ok(run, "stats")
    assert "TTR" in numbers
    assert "3h" in numbers
    body = run(AUDITOR, "incidents", "stats", "--json").body
    assert (body["schema"], body["groups"][0]["incidents"]) == ("watchfloor.incidents.stats/1", 1)


def test_what_is_refused_says_why(run: Commands) -> None:
    assert run(AUDITOR, "incidents", "declare", "t", "--severity", "low").code == ExitCode.NOT_ALLOWED
    wrong = run(ADMIN, "incidents", "declare", "t", "--severity", "low", "--type", "weather")
    assert (wrong.code, "One of:" in wrong.err) == (ExitCode.USAGE, True)
    assert run(ADMIN, "incidents", "show", "INC-2026-999").code == ExitCode.NOT_FOUND
    assert run(ADMIN, "incidents", "declare", "t", "--severity", "low", "--scope", "planet:mars").code == ExitCode.USAGE
    ident = run(ADMIN, "incidents", "declare", "t", "--severity", "high", "--json").body["id"]
    run(ADMIN, "incidents", "resolve", ident, "--note", "over")
    refused = run(ADMIN, "incidents", "close", ident, "--yes")
    assert (refused.code, "post-mortem" in refused.err) == (ExitCode.REFUSED_BY_POLICY, True)


def test_names_that_would_like_to_be_more_than_text_are_text(run: Commands) -> None:
    for text in HOSTILE:
        ident = run(ADMIN, "incidents", "declare", text, "--severity", "low", "--json").body["id"]
        run(ADMIN, "incidents", "note", ident, text)
        run(ADMIN, "incidents", "assign", ident, "scribe", text)
        run(ADMIN, "incidents", "change", ident, "--service", text, "--description", text)
        for command in (("list",), ("show", ident), ("timeline", ident)):
            assert_harmless(run(ADMIN, "incidents", *command).out)


def test_a_length_of_time_is_told_in_its_two_largest_units() -> None:
    assert [span(one) for one in (None, 0, 0.4, 61, 3_600, 90_061)] == ["-", "0s", "0s", "1m 1s", "1h", "1d 1h"]
