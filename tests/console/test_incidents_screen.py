"""Incidents: the list, one record that grows while it is looked at, lines and ticks with one key, what is beside it."""

from datetime import timedelta
from pathlib import Path

from contract.incidents import IncidentChanged, IncidentStatus, Severity
from contract.permissions import Permission
from contract.stream import Topic
from tests.console import incident_models as models
from tests.console.driving import Running, running
from tests.console.floor_models import NOW
from tests.console.paper import Paper, refusal

IDENT = models.IDENT
PATH = f"/v1/incidents/{IDENT}"
NOTES = f"{PATH}/timeline"
DRAFT = f"/v1/drafts/note:{IDENT}"


async def open_list(run: Running) -> None:
    """The list, loaded."""
    await run.press("I")
    await run.at("Incidents")
    await run.shows(IDENT)


async def open_record(run: Running) -> None:
    """The incident that goes on, loaded."""
    await open_list(run)
    await run.press("enter")
    await run.at(IDENT)
    await run.shows("TIMELINE")


async def test_the_list_names_the_worst_and_shows_closed_ones_only_when_asked() -> None:
    async with running() as run:
        await open_list(run)
        await run.shows("1 incident is open: INC-2026-014, high, Containment, commander admin1.")
        assert "Gas spike" not in run.screen
        await run.press("a")
        await run.shows("Gas spike")
        await run.press("a")
        await run.hides("Gas spike")


async def test_a_search_is_the_backends_and_finds_closed_ones() -> None:
    async with running() as run:
        await open_list(run)
        await run.press("slash")
        await run.type("gas")
        await run.press("enter")
        await run.shows("Gas spike")
        await run.hides("Losses on arbitrum")
        assert {"limit": "100", "q": "gas"} in [body for _, path, body in run.paper.asked if path == "/v1/incidents"]
        await run.press("escape")
        await run.shows("Losses on arbitrum")


async def test_the_list_and_the_record_follow_the_stream() -> None:
    async with running() as run:
        await open_record(run)
        worse = models.incident(severity=Severity.CRITICAL, version=5, updated_at=NOW)
        run.paper.incidents.items[0] = worse
        run.paper.incidents.lines.insert(0, models.entry(7, NOW, "severity raised to critical by admin1"))
        run.paper.emit(Topic.INCIDENT, IncidentChanged(incident=worse, entries=7))
        await run.shows("severity raised to critical by admin1")
        await run.shows("✖ CRIT")
        await run.press("escape")
        await run.shows("INC-2026-014, critical")


async def test_the_selected_line_stays_selected_when_newer_ones_arrive() -> None:
    async with running() as run:
        await open_record(run)
        await run.press(*["j"] * 11)
        run.paper.incidents.lines.insert(0, models.entry(7, NOW, "something new"))
        run.paper.emit(Topic.INCIDENT, IncidentChanged(incident=models.incident(version=5), entries=7))
        await run.shows("something new")
        await run.press("enter")
        await run.at("Timeline")
        await run.shows("oracle for token X lags 40 blocks")
        assert "something new" not in run.screen


async def test_ticks_and_steps() -> None:
    async with running() as run:
        await open_record(run)
        await run.press("t")
        await run.shows("Done: prevent further damage")
        await run.press(*["j"] * 8, "t")
        await run.shows("Not done after all: prevent further damage")
        await run.press("v")
        await run.shows("The step is Resolution now; 2 earlier actions are not done (t).")
        await run.shows("find the cause")
        await run.shows("▲ not done Containment: prevent")
        await run.press("g", *["j"] * 9, "t")
        await run.shows("Done: prevent further damage")
        await run.hides("not done Containment: prevent")
    acts = [body for path, body in run.paper.acts_below(f"{PATH}/steps")]
    assert [(one.get("number"), one.get("done"), one["step"]) for one in acts] == [
        (2, True, "Containment"),
        (2, False, "Containment"),
        (None, None, "Resolution"),
        (2, True, "Containment"),
    ]


async def test_going_back_a_step_wants_a_reason_and_shows_what_is_not_done() -> None:
    paper = Paper()
    undone = [
        step.model_copy(update={"actions": [one.model_copy(update={"done_at": None}) for one in step.actions]})
        for step in models.steps()
    ]
    paper.incidents.items[0] = models.incident(steps=undone)
    async with running(paper) as run:
        await open_record(run)
        await run.shows("and 2 more of earlier steps: V lists them")
        await run.opens("V", "Go to a step")
        await run.shows("not done Triage: name the commander")
        await run.shows("to do: say why it goes back")
        await run.press("tab")
        await run.type("another wallet")
        await run.press("tab", "tab", "enter")
        await run.shows("The step is Triage now.")
    assert run.paper.posted(f"{PATH}/steps/advance") == [{"step": "Triage", "note": "another wallet"}]


async def test_a_report_to_an_authority_is_recorded_beside_its_clock() -> None:
    async with running() as run:
        await open_record(run)
        await run.shows("initial report due 2026-11-21 07:00 UTC")
        await run.opens("A", "Report sent to an authority")
        await run.shows("initial report due 2026-11-21 07:00 UTC")
        await run.shows("to do: say to whom it was sent")
        await run.press("tab")
        await run.type("BaFin")
        await run.press("tab")
        await run.type("MI-7")
        await run.press("tab", "tab", "tab", "enter")
        await run.shows("Recorded: the initial report went to BaFin.")
        await run.shows("✔ initial report sent 2026-11-21 03:12 UTC to BaFin, MI-7")
    wanted = {"report": "initial", "sent_at": None, "to": "BaFin", "reference": "MI-7"}
    assert run.paper.posted(f"{PATH}/reports-sent") == [wanted]


async def test_without_a_report_due_none_is_recorded() -> None:
    paper = Paper()
    paper.incidents.items[0] = models.incident(clocks=[])
    async with running(paper) as run:
        await open_record(run)
        await run.press("A")
        await run.shows("No report of it to an authority is due")


async def test_reports_written_elsewhere_are_searched_and_read() -> None:
    paper = Paper()
    paper.incidents.reports.append(models.report(2, title="\x1b[2JDisk [red]full[/]", date=None))
    async with running(paper) as run:
        await open_list(run)
        await run.press("r")
        await run.at("Imported reports")
        await run.shows("2 reports written elsewhere. Enter reads one, / searches their texts.")
        await run.shows("no date")
        await run.shows("Disk [red]full[/]")
        assert "\x1b" not in run.screen
        await run.press("slash")
        await run.type("pool")
        await run.press("enter")
        await run.shows("1 report found. Esc shows all.")
        await run.press("enter")
        await run.at("IMP-0001")
        await run.shows("The pool had 20 connections.")
        await run.shows("2021/report-1.md · collection before-2026")
        await run.press("escape")
        await run.at("Imported reports")
        await run.press("escape")
        await run.shows("2 reports written elsewhere.")
    assert {"limit": "100", "q": "pool"} in [body for _, path, body in paper.asked if path.endswith("/reports")]


async def test_no_report_is_said_so() -> None:
    paper = Paper()
    paper.incidents.reports.clear()
    async with running(paper) as run:
        await open_list(run)
        await run.press("r")
        await run.shows("No report has been imported.")
        await run.shows("watchfloor incidents import FOLDER")


async def test_a_hand_over_says_what_the_next_one_has_to_know() -> None:
    async with running() as run:
        await open_record(run)
        await run.opens("r", "Roles")
        await run.press("tab", "tab")
        await run.type("the oracle is the lead")
        await run.press("tab", "tab", "enter")
        await run.shows("commander: officer1.")
    wanted = {"role": "commander", "person": "officer1", "note": "the oracle is the lead"}
    assert run.paper.posted(f"{PATH}/roles") == [wanted]


async def test_a_milestone_is_given_as_a_time_of_day() -> None:
    async with running() as run:
        await open_record(run)
        await run.opens("m", "Milestone")
        await run.type("mit")
        await run.press("tab")
        await run.type("25:00")
        await run.shows("to do: write the time as 03:08")
        await run.press(*["backspace"] * 5)
        await run.type("23:58")
        await run.press("tab")
        await run.type("graphs")
        await run.press("tab", "tab", "enter")
        await run.shows("mitigated at 2026-11-20 23:58:00 UTC.")
    wanted = {"name": "mitigated", "occurred_at": "2026-11-20T23:58:00Z", "why": "graphs"}
    assert run.paper.posted(f"{PATH}/milestones") == [wanted]


async def test_resolving_wants_to_know_how_and_points_at_the_post_mortem() -> None:
    async with running() as run:
        await open_record(run)
        await run.opens("R", "Resolve the incident")
        await run.shows("to do: say how it ended")
        await run.type("oracle replaced")
        await run.press("tab", "tab", "tab", "enter")
        await run.shows("INC-2026-014 is resolved. Its post-mortem comes next (P).")
        await run.shows("◐ resolved")


async def test_closing_says_what_the_backend_says_against_it() -> None:
    refused = refusal(409, "conflict", "A high incident is not closed without an approved post-mortem.")
    async with running(Paper(refuse={f"POST {PATH}/close": refused})) as run:
        await open_record(run)
        await run.opens("D", "Close the incident")
        await run.press("tab", "enter")
        await run.shows("REFUSED A high incident is not closed without")
        assert run.paper.incidents.items[0].status is IncidentStatus.OPEN


async def test_only_changed_facts_are_sent_with_the_version_that_was_seen() -> None:
    async with running() as run:
        await open_record(run)
        await run.opens("E", "Edit the incident")
        await run.shows("to do: change something")
        await run.press(*["tab"] * 4)
        await run.type("7.x")
        await run.shows("to do: write the loss in ETH as a number")
        await run.press("backspace")
        await run.type("2")
        await run.press(*["tab"] * 5, "enter")
        await run.shows("Changed: loss eth.")
    sent = [body for method, path, body in run.paper.asked if (method, path) == ("PATCH", PATH)]
    assert sent == [{"loss_eth": "7.2", "version": 4}]


async def test_a_corrected_line_stays_readable() -> None:
    async with running() as run:
        await open_record(run)
        await run.press("C")
        await run.shows("Select the line of the timeline that is wrong.")
        await run.press(*["j"] * 11)
        await run.opens("C", "Correct a line")
        await run.shows("oracle for token X lags 40 blocks")
        await run.type(", not 4")
        await run.press("tab", "tab", "tab", "enter")
        await run.shows("oracle for token X lags 40 blocks, not 4")
        await run.shows("(corrected) oracle for token X lags 40 blocks")
    assert [path for path, _ in run.paper.acts_below(f"{NOTES}/line-6")] == [f"{NOTES}/line-6/correct"]


async def test_a_freeze_is_told_from_an_alert_by_its_reference() -> None:
    async with running() as run:
        await open_record(run)
        await run.opens("l", "Link an alert or a freeze")
        await run.type("FRZ-0031")
        await run.press("tab", "tab", "enter")
        await run.shows("freeze FRZ-0031 is part of INC-2026-014 now.")
    assert run.paper.posted(f"{PATH}/links") == [{"kind": "freeze", "id": "FRZ-0031"}]


async def test_older_lines_are_loaded_when_the_end_is_in_sight() -> None:
    paper = Paper()
    paper.incidents.lines = [
        models.entry(number, NOW - timedelta(minutes=400 - number), f"line number {number}")
        for number in range(300, 0, -1)
    ]
    async with running(paper) as run:
        await open_record(run)
        for _ in range(40):
            if "line number 1 " in run.screen.replace("\n", " "):
                break
            await run.press("G")
            await run.pilot.pause(0.02)
        await run.shows("line number 1\n")
        await run.hides("Older lines follow")


async def test_evidence_is_attached_and_saved_privately(tmp_path: Path) -> None:
    log, target = tmp_path / "the log", tmp_path / "saved"
    log.write_bytes(b"\x00\xff raw")
    async with running() as run:
        await open_record(run)
        await run.press("x")
        await run.shows("1 piece of evidence, 18.4 kB")
        await run.opens("n", "Attach a file")
        await run.type(str(log))
        await run.press("tab", "tab", "tab", "enter")
        await run.shows("Kept attached")
        await run.shows("2 pieces of evidence")
        await run.press("g", "j")
        await run.opens("s", "Save evidence")
        await run.type(str(target))
        await run.press("tab", "tab", "enter")
        await run.shows("Wrote 8 bytes to")
    assert target.read_bytes() == b"the log\n"
    assert target.stat().st_mode & 0o077 == 0
    sent = next(body for method, path, body in run.paper.asked if (method, path) == ("POST", f"{PATH}/evidence"))
    assert sent == {"name": "the log", "media_type": "application/octet-stream"}


async def test_follow_ups_of_all_incidents_lead_to_theirs() -> None:
    async with running() as run:
        await run.press("O")
        await run.at("Follow-ups")
        await run.shows("2 things are left to do, 1 overdue.")
        await run.press("g", "j", "j", "d")
        await run.shows("alert when the oracle lags more than 5 blocks is done.")
        await run.shows("1 thing is left to do")
        await run.press("enter")
        await run.at(IDENT)


async def test_a_follow_up_is_written_down_with_owner_and_day() -> None:
    async with running() as run:
        await open_record(run)
        await run.press("o")
        await run.shows("second RPC provider")
        await run.opens("n", "Something to be done")
        await run.type("rehearse the fail-over")
        await run.press("tab", "tab")
        await run.type("2026-13-01")
        await run.shows("to do: write the day as 2026-12-01")
        await run.press(*["backspace"] * 5)
        await run.type("12-01")
        await run.press("tab", "tab", "enter")
        await run.shows("Written down as number 3")
    wanted = {"text": "rehearse the fail-over", "owner": "officer1", "due_on": "2026-12-01"}
    assert run.paper.posted(f"{PATH}/follow-ups") == [wanted]


async def test_figures_of_drills_stand_apart() -> None:
    async with running(size=(80, 40)) as run:
        await open_list(run)
        await run.press("w")
        await run.at("Incident figures")
        await run.shows("4 incidents in 90 days; half of the 3 timed ones were over within 1h06.")
        await run.shows("1 of 3 within 60 min, 1 late, 1 never")
        await run.press("d")
        await run.shows("4 drills in 90 days")
        await run.press("t")
        await run.shows("in 365 days")


async def test_what_was_never_learned_is_not_called_none() -> None:
    paper = Paper(refuse={f"GET {PATH}": refusal(503, "unavailable", "The database is not answering.")})
    async with running(paper) as run:
        await open_list(run)
        await run.press("enter")
        await run.shows("The database is not answering.")
        assert "Nothing has been written" not in run.screen


async def test_hostile_text_shows_as_itself() -> None:
    paper = Paper()
    paper.incidents.items[0] = models.incident(title="\x1b[2J[red]gone[/]\u202e", commander="\x1b]0;x\x07")
    paper.incidents.lines.insert(0, models.entry(7, NOW, "line\x1b[31m\r\nnext [b]bold[/b]" + "e" + "\u0301" * 50))
    async with running(paper) as run:
        await open_record(run)
        await run.shows("[red]gone[/]")
        await run.shows("[b]bold[/b]")
        assert "\x1b" not in run.screen
        assert "\u202e" not in run.screen


async def test_without_the_permission_nothing_is_asked_or_written() -> None:
    allowed = frozenset(Permission) - {Permission.HANDLE_INCIDENTS}
    async with running(Paper(role="external_auditor", permissions=allowed)) as run:
        await open_record(run)
        await run.press("n")
        await run.shows("REFUSED Your role external_auditor may not do this")
        assert "NOTE" not in run.screen
    async with running(Paper(role="bot", permissions=allowed - {Permission.VIEW_INCIDENTS})) as run:
        await run.press("I")
        await run.shows("it lacks view_incidents")
        assert "/v1/incidents" not in [path for _, path, _ in run.paper.asked]
