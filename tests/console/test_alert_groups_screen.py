"""Alerts by group on the screen: one line a group, its alerts behind Enter, acts on all after they were shown."""

import pytest

from contract.alerts import AlertStatus
from contract.stream import AlertsChanged, Topic
from tests.console import alert_models
from tests.console import floor_models as models
from tests.console.alert_models import PROD, Desk, grouped
from tests.console.driving import Running, running
from tests.console.paper import refusal
from tests.console.views import view

ACTS = "/v1/alerts/acts"


async def _groups(run: Running) -> None:
    await run.press("2")
    await run.at("Alerts")
    await run.press("v")
    await run.at("Alert groups")
    await run.shows("DAILY_LOSS_LIMIT")


async def _on_prod(run: Running) -> None:
    await _groups(run)
    await run.press("slash")
    await run.type("prod")
    await run.press("enter")
    await run.hides("DAILY_LOSS_LIMIT")


async def test_a_group_is_one_line_with_its_worst_severity_its_numbers_and_ages() -> None:
    async with running(Desk()) as run:
        await _groups(run)
        row = next(row for row in run.screen.splitlines() if "NodeDown +1" in row)
        assert row.split()[:3] == ["✖", "CRIT", "NodeDown"]
        assert row.split()[-4:] == ["2", "2", "6m", "50m"], "alerts, open, newest, how long the oldest waits"
        assert "GROUPS 4" in run.screen
        await run.press("v")
        await run.at("Alerts")


async def test_enter_opens_the_alerts_of_a_group_and_nothing_else() -> None:
    desk = Desk()
    async with running(desk) as run:
        await _on_prod(run)
        await run.press("enter")
        await run.at("Alert group")
        await run.shows("RelaySilent")
        assert "DAILY_LOSS_LIMIT" not in run.screen
        other = models.alert("alert-9", rule="NodeUp", minutes=1)
        desk.emit(Topic.ALERT, other)
        desk.emit(Topic.ALERT, other.model_copy(update={"id": "alert-10", "rule": "NodeGone", "group": PROD}))
        await run.shows("NodeGone")
        assert "NodeUp" not in run.screen, "it is of another group"
        await run.press("asterisk")
        await run.shows("3 alerts are marked")
        await run.press("escape", "v")
        await run.at("Alert groups")


async def test_an_act_on_a_group_shows_its_alerts_first() -> None:
    desk = Desk()
    async with running(desk) as run:
        await _on_prod(run)
        await run.opens("a", "Acknowledge")
        await run.shows("Acknowledge 2 alerts")
        assert "RelaySilent" in run.screen
        await run.press("enter")
        await run.pilot.pause()
        assert not desk.posted(ACTS)
        await run.press("tab", "enter")
        await run.shows("Acknowledged 2 alerts.")
        assert run.title == "Alert groups"
        assert sorted(map(str, desk.posted(ACTS)[0]["ids"])) == ["alert-4", "alert-5"]  # type: ignore[call-overload]


async def test_marked_groups_take_an_act_together() -> None:
    desk = Desk()
    async with running(desk) as run:
        await _groups(run)
        await run.press("space", "space")
        await run.shows("2 groups are marked, with 3 alerts")
        await run.opens("n", "Note")
        await run.shows("Note: 3 alerts, 2 of them CRITICAL.")
        await run.press("escape", "escape")
        await run.hides("marked")


async def test_a_silence_of_a_group_starts_with_what_its_alerts_share() -> None:
    async with running(Desk()) as run:
        await _on_prod(run)
        await run.opens("s", "Silence")
        await run.shows('alertname=~"NodeDown|RelaySilent"')


async def test_more_than_an_act_takes_is_refused_with_the_number() -> None:
    many = [models.alert(f"bulk-{n}", minutes=n + 1).model_copy(update={"group": PROD}) for n in range(201)]
    async with running(Desk(alerts=many)) as run:
        await run.press("2")
        await run.at("Alerts")
        await run.press("v")
        await run.shows("GROUPS 1")
        await run.press("a")
        await run.shows("has 201 alerts, an act takes 200")


async def test_groups_follow_what_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("console.screens.alerts.groups.RENEW_GAP_S", 0.05)
    desk = Desk()
    async with running(desk) as run:
        await _groups(run)
        cleared = desk.alerts[0].model_copy(update={"status": AlertStatus.CLEARED, "updated_at": models.NOW})
        desk.alerts = [cleared, *desk.alerts[1:]]
        desk.emit(Topic.ALERT, cleared)
        await run.shows("GROUPS 3")
        await run.hides("DAILY_LOSS_LIMIT")


async def test_the_list_below_the_groups_asks_nothing_until_it_is_seen_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("console.screens.alerts.screen.RENEW_GAP_S", 0.0)
    monkeypatch.setattr("console.screens.alerts.groups.RENEW_GAP_S", 0.0)
    desk = Desk()

    def asked(path: str) -> int:
        return sum((method, where) == ("GET", path) for method, where, _ in desk.asked)

    async with running(desk) as run:
        await _groups(run)
        lists, groups = asked("/v1/alerts"), asked("/v1/alerts/groups")
        desk.emit(Topic.ALERTS, AlertsChanged(count=500, at=models.NOW))
        await run.until(lambda: asked("/v1/alerts/groups") > groups, "groups read again")
        await run.pilot.pause(0.2)
        assert asked("/v1/alerts") == lists
        await run.press("v")
        await run.at("Alerts")
        await run.until(lambda: asked("/v1/alerts") > lists, "the list read again")


async def test_groups_that_cannot_be_had_say_why() -> None:
    desk = Desk()
    desk.refuse["GET /v1/alerts/groups"] = refusal(503, "unavailable", "The database is not answering.")
    async with running(desk) as run:
        await run.press("2")
        await run.at("Alerts")
        await run.press("v")
        await run.shows("Nothing is known: The database is not answering.")


def test_every_width_keeps_the_numbers_of_a_row() -> None:
    from console.state.floor import Floor
    from console.widgets.alert_groups import group_row
    from console.widgets.lines import text_of, width_of

    for group in grouped(alert_models.alerts()):
        for width in range(50, 200):
            row = group_row(group, Floor(), view(width), marked=True)
            assert width_of(row) == width
            assert f"{group.total:,}" in text_of(row)
