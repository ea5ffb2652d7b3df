"""Working with alerts: acts on one and on marks, history, what changed around one, runbook, clocks, declaring."""

from datetime import timedelta

import pytest

from console.screens.alerts.screen import AlertsScreen
from console.screens.overview.screen import OverviewScreen
from contract.alerts import Alert, AlertCounts, AlertStatus, Escalation
from contract.permissions import Permission
from contract.stream import AlertsChanged, Topic
from tests.console import alert_models
from tests.console import floor_models as models
from tests.console.alert_models import RUNBOOK, Desk
from tests.console.driving import Running, running
from tests.console.paper import refusal
from tests.console.views import view

ACTS = "/v1/alerts/acts"


async def _alerts(run: Running) -> None:
    await run.press("2")
    await run.at("Alerts")
    await run.shows("RelaySilent")


def _row(run: Running, rule: str) -> str:
    return next(row for row in run.screen.splitlines() if rule in row)


async def test_an_alert_is_acknowledged_with_one_key_from_the_overview() -> None:
    desk = Desk()
    async with running(desk) as run:
        await run.shows("NodeDown")
        await run.press("a")
        await run.shows("Acknowledged")
        assert [path for path, _ in desk.acts_below("/v1/alerts")] == ["/v1/alerts/alert-1/acknowledge"]


async def test_an_alert_is_declared_an_incident_with_two_keys_from_the_overview() -> None:
    desk = Desk()
    desk.overview = desk.overview.model_copy(update={"incidents": []})
    ahead = {"starts_at": models.NOW + timedelta(minutes=2)}
    top = [one.model_copy(update=ahead) for one in desk.overview.alerts]
    desk.overview = desk.overview.model_copy(update={"alerts": top})
    desk.alerts = [one.model_copy(update=ahead) for one in desk.alerts]
    async with running(desk) as run:
        await run.shows("NodeDown")
        await run.opens("i", "Declare an incident")
        assert "DAILY_LOSS_LIMIT" in run.screen
        await run.press("enter")
        await run.until(lambda: bool(desk.posted("/v1/incidents")), "it is declared")
        declared = desk.posted("/v1/incidents")[0]
        assert (declared["alerts"], declared["severity"]) == (["alert-1"], "critical")
        assert declared["commander"] == "officer1", "whoever declares it commands it"
        assert declared["started_at"] is None, "nobody has said so: the backend has its alerts"


async def test_marks_take_the_act_together_after_their_number_was_shown() -> None:
    desk = Desk()
    async with running(desk) as run:
        await _alerts(run)
        await run.press("space", "space")
        await run.shows("2 alerts are marked")
        assert "◆" in _row(run, "LOW_SUCCESS")
        await run.opens("a", "Acknowledge")
        await run.shows("Acknowledge 2 alerts")
        await run.type("on it")
        await run.press("enter")
        await run.pilot.pause()
        assert not desk.posted(ACTS), "Enter in a field does nothing to many"
        await run.press("tab", "enter")
        await run.shows("Acknowledged 2 alerts.")
        (sent,) = desk.posted(ACTS)
        assert sent.pop("idempotency_key")
        assert sent == {"ids": ["alert-1", "alert-2"], "act": "acknowledge", "comment": "on it", "to": None}
        await run.hides("marked")
        assert "✔ officer1" in _row(run, "DAILY_LOSS")


async def test_esc_in_the_dialog_does_nothing_and_esc_on_the_list_unmarks() -> None:
    desk = Desk()
    async with running(desk) as run:
        await _alerts(run)
        await run.press("asterisk")
        await run.shows("5 alerts are marked")
        await run.opens("n", "Note")
        await run.press("escape")
        await run.at("Alerts")
        assert not desk.posted(ACTS)
        await run.press("escape")
        await run.hides("marked")
        assert run.title == "Alerts"


async def test_marking_all_again_unmarks_all() -> None:
    async with running(Desk()) as run:
        await _alerts(run)
        await run.press("asterisk")
        await run.shows("5 alerts are marked")
        await run.press("asterisk")
        await run.hides("marked")


async def test_what_is_refused_is_said_with_its_reason_and_stays_marked() -> None:
    desk = Desk(refused_ids=frozenset({"alert-2"}))
    async with running(desk) as run:
        await _alerts(run)
        await run.press("space", "space")
        await run.opens("A", "Acknowledge")
        await run.press("enter", "tab", "enter")
        await run.shows("Acknowledged 1 alert; 1 refused: It has cleared.")
        await run.press("escape")
        await run.shows("1 alert is marked")


async def test_an_act_that_no_alert_took_keeps_its_dialog() -> None:
    desk = Desk(refused_ids=frozenset({"alert-1"}))
    async with running(desk) as run:
        await _alerts(run)
        await run.opens("n", "Note")
        await run.type("so")
        await run.press("enter")
        await run.shows("REFUSED It has cleared.")
        assert run.title == "Note"


async def test_whoever_assigns_an_alert_takes_it_unless_they_say_otherwise() -> None:
    desk = Desk()
    async with running(desk) as run:
        await _alerts(run)
        await run.opens("r", "Assign")
        await run.press("enter")
        await run.shows("Assigned 1 alert.")
        assert desk.posted(ACTS)[0]["to"] == "officer1"
        await run.shows("assigned      officer1")


async def test_nobody_is_called_by_enter_alone() -> None:
    desk = Desk()
    async with running(desk) as run:
        await _alerts(run)
        await run.opens("E", "Escalate")
        await run.type("cannot reach it")
        await run.press("enter")
        await run.pilot.pause()
        assert not desk.posted(ACTS)
        await run.press("tab", "enter")
        await run.shows("Escalated 1 alert.")
        assert desk.posted(ACTS)[0]["comment"] == "cannot reach it"


async def test_who_may_not_acknowledge_is_told_before_any_dialog() -> None:
    desk = Desk(permissions=frozenset(Permission) - {Permission.ACKNOWLEDGE_ALERTS})
    async with running(desk) as run:
        await _alerts(run)
        await run.press("n")
        await run.shows("may not do this: it lacks acknow")
        assert run.title == "Alerts"


async def test_the_page_of_an_alert_shows_its_history_and_follows_it() -> None:
    desk = Desk()
    async with running(desk, size=(100, 40)) as run:
        await _alerts(run)
        await run.press("enter")
        await run.at("Alert")
        await run.shows("HISTORY 3")
        assert "(recorded" in run.screen, "written down long after it happened"
        assert "then Team lead in 11m unless acknowledged" in run.screen
        desk.events.append(desk.events[0].model_copy(update={"id": "4", "kind": "acknowledged", "text": "seen"}))
        changed = desk.alerts[0].model_copy(
            update={"status": AlertStatus.ACKNOWLEDGED, "acknowledged_by": "bob", "updated_at": models.NOW}
        )
        desk.emit(Topic.ALERT, changed)
        await run.shows("HISTORY 4")
        await run.shows("bob has seen it")


async def test_older_lines_of_a_history_are_loaded_where_it_ends_and_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("console.screens.alerts.page._EVENTS", 10)
    desk = Desk()
    first = desk.events[0]
    desk.events = [
        first.model_copy(update={"id": str(n), "kind": "noted", "text": f"line {n:03d}"}) for n in range(1, 36)
    ]
    async with running(desk, size=(100, 40)) as run:
        await _alerts(run)
        await run.press("h")
        await run.shows("HISTORY 10 loaded")
        await run.shows("There are older ones: Enter loads them.")
        assert len([1 for _, path, _ in desk.asked if path.endswith("/events")]) == 1, "nobody went there"
        await run.press(*["j"] * 11, "enter")
        await run.shows("HISTORY 20 loaded")
        await run.press("G")
        await run.shows("HISTORY 30 loaded")
        await run.press("G")
        await run.shows("line 001")
        await run.press("h")
        await run.shows("HISTORY 35 ")
        desk.events.append(first.model_copy(update={"id": "36", "kind": "noted", "text": "the newest line"}))
        desk.emit(Topic.ALERT, desk.alerts[0].model_copy(update={"updated_at": models.NOW}))
        await run.shows("HISTORY 36 ")
        await run.shows("the newest line")


async def test_a_history_that_cannot_be_had_leaves_the_rest_of_the_page() -> None:
    desk = Desk()
    desk.refuse["GET /v1/alerts/alert-1/events"] = refusal(503, "unavailable", "The database is not answering.")
    async with running(desk, size=(100, 40)) as run:
        await _alerts(run)
        await run.press("h")
        await run.shows("The database is not answering.")
        assert "Lost 7.2 ETH today" in run.screen


async def test_what_changed_around_an_alert_stands_before_and_after_it() -> None:
    async with running(Desk()) as run:
        await _alerts(run)
        await run.press("c")
        await run.at("Around")
        await run.shows("FRZ-0031")
        rows = run.screen.splitlines()
        order = [
            next(i for i, row in enumerate(rows) if text in row) for text in ("max_daily_loss", "began", "FRZ-0031")
        ]
        assert order == sorted(order)
        assert "without view_configurations" in run.screen
        await run.press("G", "k", "enter")
        await run.at("Operations")


async def test_the_runbook_is_shown_and_its_address_copied() -> None:
    async with running(Desk()) as run:
        await _alerts(run)
        await run.press("u")
        await run.at("Runbook")
        assert RUNBOOK in run.screen
        assert "Stop the strategy" in run.screen
        await run.press("y")
        await run.until(lambda: run.app.clipboard == RUNBOOK, "the address is copied")


async def test_an_alert_without_a_runbook_says_so() -> None:
    async with running(Desk()) as run:
        await _alerts(run)
        await run.press("j", "u")
        await run.at("Runbook")
        assert "No runbook is known for LOW_SUCCESS_RATE" in run.screen


async def test_the_clocks_of_an_alert_count_down_and_stop_when_it_is_seen() -> None:
    desk = Desk()
    async with running(desk) as run:
        await _alerts(run)
        assert "↑ 11m" in _row(run, "DAILY_LOSS")
        assert "↑1 39m" in _row(run, "LOW_SUCCESS")
        run.clock.advance(minutes=5)
        desk.beat()
        await run.until(lambda: "↑ 6m" in _row(run, "DAILY_LOSS"), "six minutes are left")
        await run.press("a")
        await run.until(lambda: "✔ officer1" in _row(run, "DAILY_LOSS"), "it is seen")
        assert "↑" not in _row(run, "DAILY_LOSS")


async def test_muted_alerts_are_listed_and_wait_for_nobody() -> None:
    async with running(Desk()) as run:
        await _alerts(run)
        assert "~ muted 25m" in _row(run, "RelaySilent")
        assert "3 alerts wait for somebody" in run.screen
        assert "ALERTS 4, 1 muted below" in run.screen
        await run.press("slash")
        await run.type("muted")
        await run.press("enter")
        await run.hides("NodeDown")
        assert "RelaySilent" in run.screen


def _bulk(count: int) -> list[Alert]:
    return [models.alert(f"bulk-{n}", rule=f"Rule{n:03d}", minutes=n + 1) for n in range(count)]


async def test_many_alerts_changed_at_once_are_read_again_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("console.client.stream.RELOAD_GAP_S", 0.05)
    monkeypatch.setattr("console.screens.alerts.screen.RENEW_GAP_S", 0.05)
    desk = Desk()
    async with running(desk) as run:
        await _alerts(run)
        desk.alerts = _bulk(30)
        desk.overview = desk.overview.model_copy(
            update={"alerts": desk.alerts, "alert_counts": AlertCounts(critical=30), "event_id": 10_000}
        )
        before = sum(path == "/v1/overview" for _, path, _ in desk.asked)
        for number in range(40):
            desk.emit(Topic.ALERTS, AlertsChanged(count=30 + number, at=models.NOW))
        await run.pilot.pause(0.1)
        desk.beat()
        await run.shows("Rule029")
        await run.hides("RelaySilent")
        await run.shows("ALERTS 30")
        assert sum(path == "/v1/overview" for _, path, _ in desk.asked) - before < 10, "not once an event"
        assert isinstance(run.app.screen, AlertsScreen)


async def test_the_overview_shows_open_incidents_and_what_is_left_to_do() -> None:
    async with running(Desk()) as run:
        await run.shows("INCIDENTS 1 open")
        assert "INC-2026-014 Losses on arbitrum" in run.screen
        assert "FOLLOW-UPS 5 open, 2 overdue" in run.screen
        assert isinstance(run.app.screen, OverviewScreen)


def test_an_escalation_that_is_due_says_so_until_it_happens() -> None:
    from console.state.floor import Floor
    from console.widgets.alert_rows import alert_row
    from console.widgets.lines import text_of

    due = alert_models.alerts()[0]
    assert due.escalation is not None
    late = due.model_copy(
        update={"escalation": due.escalation.model_copy(update={"next_at": models.NOW - timedelta(seconds=1)})}
    )
    assert text_of(alert_row(late, Floor(), view())).endswith("↑ now")


def test_who_has_it_by_name_is_said_beside_the_title() -> None:
    from console.commands.alerts import _details, _entry
    from console.widgets.alert_page import history_rows
    from console.widgets.alerts import escalation_text
    from console.widgets.lines import text_of
    from contract.alert_work import AlertEvent

    here = alert_models.alerts()[1]
    step = Escalation(level=1, to="Team lead", people=["mia.keller", "jo\x1b[31m"])
    one = here.model_copy(update={"escalation": step, "assigned_to": None})
    assert escalation_text(step, models.NOW).startswith("Team lead (mia.keller, jo")
    assert "\x1b" not in escalation_text(step, models.NOW)
    assert "with     Team lead (mia.keller, jo" in "\n".join(_details(one))
    assert "with Team lead (mia.keller, jo" in " ".join(" ".join(_entry(one, "4m")).split())
    line = AlertEvent(
        id="1", kind="named", at=models.NOW, recorded_at=models.NOW, actor="service:alert-clocks",
        facts={"step": "Team lead", "to": "mia.keller"},
    )  # fmt: skip
    assert text_of(history_rows([line], "", view())[-1][0]).endswith("step Team lead, to mia.keller")


def test_every_width_keeps_the_clock_and_the_escalation_of_a_row() -> None:
    from console.state.floor import Floor
    from console.widgets.alert_rows import alert_row
    from console.widgets.lines import text_of, width_of

    for alert in alert_models.alerts():
        for width in range(40, 200):
            row = alert_row(alert, Floor(), view(width), marked=True)
            assert width_of(row) == width
            if alert.escalation is not None:
                assert "↑" in text_of(row)


async def test_an_alert_leads_to_its_incident() -> None:
    async with running(Desk()) as run:
        await _alerts(run)
        await run.press("slash")
        await run.type("GAS_SPEND")
        await run.press("enter")
        await run.hides("NodeDown")
        await run.shows("incident      INC-2026-014")
        await run.press("f")
        await run.at("Alert")
        await run.press("home", *["j"] * 5, "enter")
        await run.until(lambda: run.title not in {"Alert", "Alerts"}, "the incident is shown")
