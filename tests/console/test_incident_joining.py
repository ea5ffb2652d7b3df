"""Alerts and freezes become part of an incident that is open, or of a new one: what is meant is shown first."""

import httpx
import pytest

from console.screens.alerts.joining import JoinScreen
from console.widgets.rows import Rows
from contract.freeze import FreezeStatus
from contract.incidents import IncidentChanged, IncidentStatus
from contract.stream import Topic
from tests.console import alert_models, incident_models
from tests.console import floor_models as models
from tests.console.alert_models import Desk
from tests.console.driving import Running, running
from tests.console.paper import Paper, refusal

OPEN = "INC-2026-014"
LINKS = f"/v1/incidents/{OPEN}/links"
CHOICE = "Which incident?"
DECLARE = "Declare an incident"


async def _choice(run: Running, *marks: str) -> None:
    await run.press("2")
    await run.at("Alerts")
    await run.shows("RelaySilent")
    await run.press(*marks)
    await run.opens("i", CHOICE)


async def test_marked_alerts_become_part_of_an_open_incident() -> None:
    desk = Desk()
    async with running(desk) as run:
        await _choice(run, "space", "space")
        row = next(row for row in run.screen.splitlines() if OPEN in row)
        assert "Losses on arbitrum" in row
        assert row.endswith("13m"), "its age"
        assert "LOW_SUCCESS_RATE" in run.screen, "what is meant stands above the choice"
        await run.press("j", "enter")
        await run.shows(f"2 alerts are part of {OPEN} now.")
        assert run.title == "Alerts"
    assert desk.posted(LINKS) == [{"kind": "alert", "id": "alert-1"}, {"kind": "alert", "id": "alert-2"}]
    assert not desk.posted("/v1/incidents")


async def test_the_first_row_declares_a_new_one() -> None:
    desk = Desk()
    async with running(desk) as run:
        await _choice(run)
        await run.opens("enter", DECLARE)
        await run.press("enter")
        await run.until(lambda: bool(desk.posted("/v1/incidents")), "it is declared")
    assert desk.posted("/v1/incidents")[0]["alerts"] == ["alert-1"]


async def test_keys_typed_before_the_choice_was_seen_choose_nothing() -> None:
    desk = Desk()
    async with running(desk) as run:
        run.app.push_screen(JoinScreen(desk.alerts[:1]))
        await run.press("j", "enter")
        await run.at(CHOICE)
        await run.listens()
        assert run.title == CHOICE
        assert not desk.posted(LINKS)
        await run.press("escape")
        await run.at("Overview")


async def test_an_alert_of_another_incident_stays_there_and_the_reason_is_said() -> None:
    desk = Desk()
    desk.refuse[f"POST {LINKS}"] = refusal(409, "conflict", "The alert is part of INC-2026-002.")
    async with running(desk) as run:
        await _choice(run)
        await run.press("j", "enter")
        await run.shows("REFUSED The alert is part of INC-2026-002.")
        assert run.title == CHOICE
        desk.refuse[f"POST {LINKS}"] = httpx.ReadTimeout("no answer")
        await run.press("enter")
        await run.shows("UNKNOWN whether it was taken, Enter asks again")


async def test_an_alert_that_is_part_of_an_incident_says_of_which() -> None:
    first, *others = alert_models.alerts()
    part = first.model_copy(update={"incident": OPEN})
    told = alert_models.overview().model_copy(update={"alerts": [part, *others]})
    async with running(Desk(alerts=[part, *others], overview=told)) as run:
        await run.shows("NodeDown")
        await run.press("i")
        await run.shows(f"{first.rule} is part of {OPEN} already.")
        await run.press("2")
        await run.at("Alerts")
        await run.shows(f"incident      {OPEN}")


async def test_a_freeze_is_declared_from_its_board_and_from_the_list() -> None:
    hold = models.freeze()
    for way in (("3", "tab"), ("3", "tab", "enter")):
        paper = Paper()
        async with running(paper) as run:
            await run.press("3")
            await run.at("Operations")
            await run.press(*way[1:])
            if "enter" in way:
                await run.at(f"Freeze {hold.ref}")
            await run.opens("i", DECLARE)
            await run.shows(f"Freeze {hold.ref} of {hold.scope}")
            await run.press("enter")
            await run.at("INC-2026-015")
        assert paper.posted("/v1/incidents")[0]["freezes"] == [hold.id]


async def test_a_freeze_becomes_part_of_an_open_incident() -> None:
    desk = Desk()
    hold = models.freeze()
    async with running(desk) as run:
        await run.press("3")
        await run.at("Operations")
        await run.opens("i", CHOICE)
        assert f"{hold.ref} {hold.scope}" in run.screen
        await run.press("j", "enter")
        await run.shows(f"freeze {hold.ref} is part of {OPEN} now.")
    assert desk.posted(LINKS) == [{"kind": "freeze", "id": hold.id}]


async def test_a_freeze_that_waits_for_the_database_is_not_linked_yet() -> None:
    hold = models.freeze().model_copy(update={"status": FreezeStatus.LATCHED})
    paper = Paper()
    paper.overview = paper.overview.model_copy(update={"freezes": [hold]})
    async with running(paper) as run:
        await run.press("3")
        await run.at("Operations")
        await run.press("i")
        await run.shows("waits for the database")


OTHER = "INC-2026-015"


def _chosen(run: Running) -> str | None:
    return run.app.screen.query_one("#choices", Rows).selected


async def test_an_incident_that_came_under_the_cursor_by_itself_is_joined_only_when_it_was_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("console.widgets.rows.UNREAD_S", 3600.0)
    first, other = alert_models.incident(), alert_models.incident(OTHER)
    told = alert_models.overview().model_copy(update={"incidents": [first, other]})
    desk = Desk(overview=told)
    desk.incidents.items.append(incident_models.incident(OTHER))
    async with running(desk) as run:
        await _choice(run)
        await run.press("j")
        assert _chosen(run) == OPEN
        over = first.model_copy(update={"status": IncidentStatus.RESOLVED, "version": 9})
        desk.emit(Topic.INCIDENT, IncidentChanged(incident=over, entries=7))
        await run.until(lambda: _chosen(run) == OTHER, "the other one is under the cursor")
        await run.press("enter")
        await run.shows(f"{OTHER} just came under the cursor: press Enter again.")
        assert run.title == CHOICE
        assert not [path for path, _ in desk.acts_below("/v1/incidents")]
        monkeypatch.setattr("console.widgets.rows.UNREAD_S", 0.0)
        await run.press("enter")
        await run.shows(f"1 alert is part of {OTHER} now.")


async def test_a_drill_is_marked_and_says_that_it_mutes_before_an_alert_becomes_part_of_it() -> None:
    practice = alert_models.incident(OTHER).model_copy(update={"drill": True})
    told = alert_models.overview().model_copy(update={"incidents": [alert_models.incident(), practice]})
    async with running(Desk(overview=told)) as run:
        await _choice(run)
        assert f"{OTHER} ~ DRILL Losses" in run.screen, "word and glyph"
        assert "A drill mutes" not in run.screen
        await run.press("j", "j")
        await run.shows("▲ A drill mutes the alerts that are part of it until it is resolved: nobody")
        await run.press("k")
        await run.hides("A drill mutes")


async def test_a_freeze_is_not_muted_by_a_drill() -> None:
    practice = alert_models.incident(OTHER).model_copy(update={"drill": True})
    told = alert_models.overview().model_copy(update={"incidents": [practice]})
    async with running(Desk(overview=told)) as run:
        await run.press("3")
        await run.at("Operations")
        await run.opens("i", CHOICE)
        await run.press("j")
        await run.pilot.pause()
        assert _chosen(run) == OTHER
        assert "A drill mutes" not in run.screen


async def test_declaring_a_drill_from_an_alert_says_that_it_mutes() -> None:
    async with running(Desk(overview=alert_models.overview().model_copy(update={"incidents": []}))) as run:
        await run.shows("NodeDown")
        await run.opens("i", DECLARE)
        await run.press(*["tab"] * 4)
        await run.type("yes")
        await run.shows("A drill mutes the alerts that are part of it")


def _parted(desk: Desk) -> list[tuple[str, dict[str, object]]]:
    return [(path, body) for method, path, body in desk.asked if method == "POST" and path.endswith("/unlink")]


async def test_an_alert_is_taken_off_its_incident_with_a_reason() -> None:
    desk = Desk()
    async with running(desk) as run:
        await run.press("2")
        await run.at("Alerts")
        await run.shows("RelaySilent")
        await run.press("L")
        await run.shows("DAILY_LOSS_LIMIT is part of no incident.")
        await run.press("asterisk")
        await run.opens("L", "Take off an incident")
        await run.shows(f"Take 1 alert off {OPEN}.")
        await run.shows("to do: say why")
        await run.type("another cause")
        await run.press("enter", "tab", "enter")
        await run.shows("1 alert is part of no incident now.")
        assert run.title == "Alerts"
        await run.until(lambda: not desk.incidents.drafts, "its draft is gone")
    assert _parted(desk) == [(f"/v1/incidents/{OPEN}/unlink", {"alert": "alert-3", "why": "another cause"})]


async def test_an_alert_that_cannot_be_taken_off_says_why() -> None:
    desk = Desk()
    desk.refuse[f"POST /v1/incidents/{OPEN}/unlink"] = refusal(409, "conflict", "It is closed.")
    async with running(desk) as run:
        await run.press("2")
        await run.at("Alerts")
        await run.shows("RelaySilent")
        await run.press("asterisk")
        await run.opens("L", "Take off an incident")
        await run.type("wrong one")
        await run.press("enter", "tab", "enter")
        await run.shows("REFUSED It is closed.")
        assert run.title == "Take off an incident"
