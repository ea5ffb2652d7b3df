"""The commands about working alerts and silences."""

import click
import pytest

from console.commands import silences
from contract.errors import ExitCode
from contract.scope import Scope
from tests.backend.test_alerts import draft
from tests.backend.test_alerts import raised as alerts_raised
from tests.support.app import App
from tests.support.commands import Commands
from tests.support.people import ADMIN, AUDITOR, OPERATOR

UNKNOWN = "0192f0c2-7a3b-7c11-8e55-1234567890ab"


def raised(run: Commands, *marks: str) -> list[str]:
    async def raise_all(app: App) -> list[str]:
        return [alert.id for alert, _ in await alerts_raised(app, *map(draft, marks))]

    return run.floor.within(raise_all)


def unwrapped(out: str) -> str:
    return " ".join(out.split())


def _members(run: Commands, ident: str) -> list[dict[str, str]]:
    items: list[dict[str, str]] = run(OPERATOR, "alerts", "list", "--group", ident, "--json").body["items"]
    return items


def test_alerts_are_worked_from_the_command_line(run: Commands) -> None:
    first, second = raised(run, "cli-1", "cli-2")
    run(ADMIN, "whoami")
    both = run(OPERATOR, "alerts", "ack", first, second, "--comment", "both mine")
    assert (both.code, both.out.splitlines()[0]) == (ExitCode.OK, "2 alerts: acknowledge done.")
    given = run(OPERATOR, "alerts", "assign", first, "--to", ADMIN.name)
    assert f"assigned to {ADMIN.name}" in unwrapped(given.out)
    assert run(OPERATOR, "alerts", "note", first, "--text", "\x1b[31mthe venue").code == ExitCode.OK
    up = run(OPERATOR, "alerts", "escalate", first, UNKNOWN)
    assert up.code == ExitCode.NOT_FOUND
    assert "with Team lead" in unwrapped(up.out)
    assert f"not done: {UNKNOWN}" in unwrapped(up.out)
    shown = run(OPERATOR, "alerts", "show", first, "--minutes", "30")
    for told in ("escalated by", "noted by", "assigned by", "acknowledged by", "raised by", "not shown", "both mine"):
        assert told in unwrapped(shown.out)
    assert "\x1b" not in shown.out
    body = run(OPERATOR, "alerts", "show", first, "--json").body
    assert [line["kind"] for line in body["history"]] == ["escalated", "noted", "assigned", "acknowledged", "raised"]
    newest = run(OPERATOR, "alerts", "history", first, "--limit", "2", "--json").body
    older = run(OPERATOR, "alerts", "history", first, "--limit", "3", "--cursor", newest["next_cursor"], "--json").body
    assert [one["kind"] for one in newest["items"] + older["items"]] == [one["kind"] for one in body["history"]]
    assert older["next_cursor"] is None
    assert "raised by" in unwrapped(run(OPERATOR, "alerts", "history", first).out)
    assert second in run(OPERATOR, "alerts", "list", "--assigned", "-", "--status", "acknowledged").out
    narrowed = run(OPERATOR, "alerts", "list", "--assigned", ADMIN.name, "--label", "severity=high", "--json").body
    assert [one["id"] for one in narrowed["items"]] == [first]
    assert run(AUDITOR, "alerts", "note", first, "--text", "x").code == ExitCode.NOT_ALLOWED
    assert run(OPERATOR, "alerts", "note", first, "--text", " ").code == ExitCode.USAGE


def test_a_silence_is_shown_before_it_is_made_and_ends_early(run: Commands) -> None:
    (one,) = raised(run, "cli-silenced")
    scope = str(Scope.parse("strategy:arbitrage"))
    words = ("alerts", "silence", f"scope={scope}", "alertname=~DAILY_.*", "--minutes", "5", "--comment", "moving it")
    looked = run(OPERATOR, *words, "--preview", "--json").body
    assert one in {alert["id"] for alert in looked["alerts"]}
    assert run(OPERATOR, *words).code != ExitCode.OK, "nobody answered the question"
    assert not run(OPERATOR, "silences", "list", "--state", "active", "--json").body["items"]
    made = run(OPERATOR, *words, "--yes")
    assert made.code == ExitCode.OK
    assert "This mutes" in made.err
    (silence,) = run(OPERATOR, "silences", "list", "--state", "active", "--json").body["items"]
    assert silence["id"] in made.out
    assert one in run(OPERATOR, "alerts", "list", "--muted").out
    assert one not in run(OPERATOR, "alerts", "list", "--unmuted").out
    assert "muted: silence" in run(OPERATOR, "alerts", "show", one).out
    assert "moving it" in run(OPERATOR, "silences", "show", silence["id"]).out
    assert run(AUDITOR, "silences", "end", silence["id"], "--yes").code == ExitCode.NOT_ALLOWED
    ended = run(OPERATOR, "silences", "end", silence["id"], "--yes")
    assert f"ended by {OPERATOR.name}" in unwrapped(ended.out)
    assert "raised again" in unwrapped(run(OPERATOR, "alerts", "show", one).out)
    assert run(OPERATOR, "silences", "show", UNKNOWN).code == ExitCode.NOT_FOUND


def test_matchers_that_are_none_are_wrong_usage(run: Commands) -> None:
    for matcher in ("chain", "=base", "chain==~", "chain=~(?=a)", 'chain="base'):
        ran = run(OPERATOR, "alerts", "silence", matcher, "--minutes", "5", "--comment", "x", "--yes")
        assert ran.code == (ExitCode.USAGE if matcher != "chain==~" else ExitCode.OK), matcher
    spaced = run(OPERATOR, "alerts", "silence", "team=the desk", "--minutes", "5", "--comment", "x", "--yes", "--json")
    assert spaced.body["matchers"] == [{"name": "team", "op": "=", "value": "the desk"}]


def test_ending_a_silence_says_what_sounds_again_and_asks(run: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    (one,) = raised(run, "cli-sounding")
    made = run(OPERATOR, "alerts", "silence", "alertname=~.+", "--minutes", "5", "--comment", "x", "--yes", "--json")
    ident = made.body["id"]
    unasked = run(OPERATOR, "silences", "end", ident)
    assert (unasked.code, "--yes" in unasked.err) == (ExitCode.USAGE, True), "nobody is there to ask"
    answers = ["n", "y"]
    monkeypatch.setattr(silences, "_is_terminal", lambda: True)
    monkeypatch.setattr(click.termui, "visible_prompt_func", lambda _prompt: answers.pop(0))
    refused = run(OPERATOR, "silences", "end", ident)
    assert refused.code != ExitCode.OK
    assert "again at once:" in refused.err
    assert run(OPERATOR, "silences", "show", ident, "--json").body["state"] == "active"
    rule = run(OPERATOR, "alerts", "show", one, "--json").body["rule"]
    ended = run(OPERATOR, "silences", "end", ident)
    assert rule in ended.err
    assert "ended by" in unwrapped(ended.out)
    assert not answers
    assert run(OPERATOR, "silences", "end", UNKNOWN).code == ExitCode.NOT_FOUND


def test_groups_are_the_twin_of_their_screen(run: Commands) -> None:
    first, second = raised(run, "cli-group-1", "cli-group-2")
    body = run(OPERATOR, "alerts", "groups", "--limit", "1", "--json").body
    assert body["schema"] == "watchfloor.alerts.groups/1"
    (one,) = body["items"]
    listed = run(OPERATOR, "alerts", "list", "--group", one["id"], "--json").body
    assert len(listed["items"]) == one["total"]
    everything = run(OPERATOR, "alerts", "groups", "--json").body
    assert everything["total"] >= 1
    found = {alert["id"] for group in everything["items"] for alert in _members(run, group["id"])}
    assert {first, second} <= found
    shown = run(OPERATOR, "alerts", "groups")
    assert shown.code == ExitCode.OK
    head, row, ident, *_ = shown.out.splitlines()
    assert head.split() == ["SEVERITY", "NEWEST", "RULE", "SCOPE", "ALERTS", "OPEN", "MUTED", "NEWEST", "WAITS"]
    assert one["newest"]["rule"] in row
    assert ident.strip() == one["id"]
    assert all(len(line) <= 80 for line in shown.out.splitlines())
    assert "No groups of alerts" in run(OPERATOR, "alerts", "groups", "--rule", "NO_SUCH_RULE").out
    assert run(OPERATOR, "alerts", "groups", "--status", "cleared").code == ExitCode.USAGE
    assert run(OPERATOR, "alerts", "groups", "--status", "all", "--since", "1h").code == ExitCode.OK


def test_groups_are_paged(run: Commands) -> None:
    raised(run, "cli-page")
    body = run(OPERATOR, "alerts", "groups", "--json").body
    if len(body["items"]) > 1:
        first = run(OPERATOR, "alerts", "groups", "--limit", "1", "--json").body
        then = run(OPERATOR, "alerts", "groups", "--limit", "1", "--cursor", first["next_cursor"], "--json").body
        assert [one["id"] for one in (*first["items"], *then["items"])] == [one["id"] for one in body["items"][:2]]


def test_an_alert_is_taken_off_its_incident_with_a_reason(run: Commands) -> None:
    (one,) = raised(run, "cli-unlink")
    made = run(OPERATOR, "incidents", "declare", "Wrongly linked", "--severity", "low", "--alert", one, "--json").body
    assert run(OPERATOR, "alerts", "show", one, "--json").body["incident"] == made["id"]
    assert run(OPERATOR, "incidents", "unlink", made["id"], one).code == ExitCode.USAGE
    assert run(AUDITOR, "incidents", "unlink", made["id"], one, "--why", "x").code == ExitCode.NOT_ALLOWED
    off = run(OPERATOR, "incidents", "unlink", made["id"], one, "--why", "another cause", "--json")
    assert (off.code, off.body["links"]) == (ExitCode.OK, [])
    assert run(OPERATOR, "alerts", "show", one, "--json").body["incident"] is None
    assert run(OPERATOR, "incidents", "unlink", made["id"], UNKNOWN, "--why", "x").code == ExitCode.NOT_FOUND
