"""What is under the cursor of a list of alerts: it stays there; what comes there by itself is not acted on at once."""

import httpx
import pytest

from contract.alerts import Alert, AlertStatus, Severity
from contract.stream import Topic
from tests.console import floor_models as models
from tests.console.alert_models import Desk
from tests.console.driving import Running, running

ACTS = "/v1/alerts/acts"
PLACES = ("Overview", "Alerts")


async def _at(run: Running, place: str) -> None:
    await run.shows("NodeDown")
    if place == "Alerts":
        await run.press("2")
        await run.at("Alerts")
        await run.shows("RelaySilent")


def _urgent() -> Alert:
    return models.alert("alert-0", severity=Severity.CRITICAL, rule="FEED_SILENT", minutes=90)


@pytest.mark.parametrize("place", PLACES)
async def test_an_alert_that_arrives_above_does_not_come_under_the_cursor(place: str) -> None:
    desk = Desk()
    async with running(desk) as run:
        await _at(run, place)
        desk.emit(Topic.ALERT, _urgent())
        await run.shows("FEED_SILENT")
        rows = run.screen.splitlines()
        above = [i for i, row in enumerate(rows) if "FEED_SILENT" in row or "DAILY_LOSS_LIMIT" in row]
        assert "FEED_SILENT" in rows[above[0]], "it stands above, in sight"
        await run.press("a")
        await run.shows("Acknowledged DAILY_LOSS_LIMIT")
        assert [path for path, _ in desk.acts_below("/v1/alerts")] == ["/v1/alerts/alert-1/acknowledge"]


async def test_what_came_under_the_cursor_by_itself_is_acknowledged_only_when_it_was_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("console.widgets.rows.UNREAD_S", 3600.0)
    desk = Desk(overview=models.overview().model_copy(update={"alerts": models.alerts()[:1]}), alerts=[])
    (standing,) = desk.overview.alerts
    async with running(desk) as run:
        await run.shows(standing.rule)
        after = {"status": AlertStatus.CLEARED, "cleared_at": models.NOW, "updated_at": models.NOW}
        cleared = standing.model_copy(update=after)
        other = models.alert("alert-9", severity=Severity.HIGH, rule="NodeDown", minutes=1)
        desk.emit(Topic.ALERT, other)
        await run.shows("NodeDown")
        desk.emit(Topic.ALERT, cleared)
        await run.until(lambda: _selected(run) == "alert-9", "the other one is under the cursor")
        await run.press("a")
        await run.shows("NodeDown just came under the cursor: press a again.")
        assert not desk.acts_below("/v1/alerts")
        monkeypatch.setattr("console.widgets.rows.UNREAD_S", 0.0)
        await run.press("a")
        await run.until(lambda: bool(desk.acts_below("/v1/alerts")), "it was read")


async def test_what_the_person_went_to_is_acknowledged_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("console.widgets.rows.UNREAD_S", 3600.0)
    desk = Desk()
    async with running(desk) as run:
        await _at(run, "Alerts")
        await run.press("j", "a")
        await run.shows("Acknowledged LOW_SUCCESS_RATE")


async def test_an_act_without_an_answer_is_sent_again_under_its_key_and_other_words_under_another() -> None:
    desk = Desk()
    desk.refuse[f"POST {ACTS}"] = httpx.ReadTimeout("no answer")
    async with running(desk) as run:
        await _at(run, "Alerts")
        await run.opens("E", "Escalate")
        await run.type("no")
        await run.press("enter", "tab", "enter")
        await run.shows("UNKNOWN whether it was taken")
        await run.press("enter")
        await run.until(lambda: len(desk.posted(ACTS)) == 2, "it is sent again")
        await run.shows("UNKNOWN whether it was taken")
        desk.refuse.clear()
        await run.press("shift+tab", "shift+tab")
        await run.type("body answers")
        await run.press("enter", "tab", "enter")
        await run.shows("Escalated 1 alert.")
    first, second, third = (one["idempotency_key"] for one in desk.posted(ACTS))
    assert first == second
    assert first
    assert third not in {"", first}


def _selected(run: Running) -> str | None:
    from console.screens.alerts.listed import ListedAlerts

    screen = run.app.screen
    return screen.rows.selected if isinstance(screen, ListedAlerts) else None


@pytest.mark.parametrize("key", ["i", "L"])
async def test_what_came_under_the_cursor_by_itself_is_made_part_of_nothing(
    monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setattr("console.widgets.rows.UNREAD_S", 3600.0)
    desk = Desk(overview=models.overview().model_copy(update={"alerts": models.alerts()[:1]}), alerts=[])
    (standing,) = desk.overview.alerts
    async with running(desk) as run:
        await run.shows(standing.rule)
        after = {"status": AlertStatus.CLEARED, "cleared_at": models.NOW, "updated_at": models.NOW}
        other = models.alert("alert-9", severity=Severity.HIGH, rule="NodeDown", minutes=1)
        desk.emit(Topic.ALERT, other)
        await run.shows("NodeDown")
        desk.emit(Topic.ALERT, standing.model_copy(update=after))
        await run.until(lambda: _selected(run) == "alert-9", "the other one is under the cursor")
        await run.press(key)
        await run.shows(f"NodeDown just came under the cursor: press {key} again.")
        assert run.title == "Overview"
