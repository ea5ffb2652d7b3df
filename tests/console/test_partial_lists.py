"""What is said above a list holds for all there are: a page that holds only some is never called all, nor green."""

from datetime import timedelta

import pytest

from console.screens.reading.watched import PAGE_ROWS
from contract.alerts import Alert, AlertCounts, AlertStatus, Muting
from contract.incidents import Incident, IncidentStatus
from contract.privacy import ErasureStatus
from tests.console import alert_models, incident_models, ledger_models
from tests.console import floor_models as models
from tests.console.alert_models import Desk, group_id
from tests.console.driving import Running, running
from tests.console.paper import Paper

MANY = PAGE_ROWS + 20
MUTING = Muting(kind="silence", id="silence-1", by="ana", comment="relay moves", until=models.NOW + timedelta(hours=1))


def _closed(count: int) -> list[Incident]:
    return [
        incident_models.incident(f"INC-2026-{500 + number}", title=f"Old {number}", status=IncidentStatus.CLOSED)
        for number in range(count)
    ]


async def _incidents(run: Running) -> None:
    await run.press("I")
    await run.at("Incidents")


async def test_an_open_incident_that_is_older_than_the_newest_is_listed_and_named() -> None:
    paper = Paper()
    paper.incidents.items = [*_closed(MANY), incident_models.incident("INC-2026-014")]
    async with running(paper) as run:
        await _incidents(run)
        await run.shows("1 incident is open: INC-2026-014")
        await run.shows("100+ closed: a shows them.")
        await run.shows("Open ones and the newest 100 of all are shown")


async def test_more_open_incidents_than_a_page_holds_are_at_least_so_many() -> None:
    paper = Paper()
    paper.incidents.items = [incident_models.incident(f"INC-2026-{number}") for number in range(100, 100 + MANY)]
    async with running(paper) as run:
        await _incidents(run)
        await run.shows("At least 100 incidents are open")


async def test_drills_that_fill_the_page_are_no_reason_to_say_that_nothing_is_open() -> None:
    paper = Paper()
    drills = [incident_models.incident(f"INC-2026-{number}", drill=True) for number in range(100, 100 + MANY)]
    paper.incidents.items = [*drills, incident_models.incident("INC-2026-014")]
    async with running(paper) as run:
        await _incidents(run)
        await run.shows("The newest 100 that are open are drills; there are more.")
        assert "No incident is open" not in run.screen


async def test_a_search_says_how_many_there_are_and_not_how_many_are_listed() -> None:
    paper = Paper()
    paper.incidents.items = [*_closed(MANY), incident_models.incident("INC-2026-014", title="Old and open")]
    async with running(paper) as run:
        await _incidents(run)
        await run.press("slash")
        await run.type("old")
        await run.press("enter")
        await run.shows("121 incidents contain that, 1 of them open. Esc shows all.")


async def test_more_follow_ups_than_a_page_holds_are_at_least_so_many_and_due_first() -> None:
    paper = Paper()
    late, other = incident_models.follow_ups()
    paper.incidents.follow_ups = [late, *(other.model_copy(update={"id": f"f-{n}", "number": n}) for n in range(MANY))]
    async with running(paper) as run:
        await run.press("O")
        await run.at("Follow-ups")
        await run.shows("At least 100 things are left to do, 1 overdue.")
        await run.press("G")
        await run.shows("Only the 100 that are due first are shown.")


async def test_follow_ups_that_are_done_push_none_out_that_is_left() -> None:
    paper = Paper()
    late, other = incident_models.follow_ups()
    over = [
        other.model_copy(update={"id": f"f-{n}", "number": n, "done_at": models.NOW, "text": f"done {n}"})
        for n in range(MANY)
    ]
    paper.incidents.follow_ups = [*over, late]
    async with running(paper) as run:
        await run.press("O")
        await run.at("Follow-ups")
        await run.shows("1 thing is left to do, 1 overdue.")
        await run.press("a")
        await run.shows("done 1")
        assert "1 thing is left to do, 1 overdue." in run.screen


async def test_a_count_of_a_list_that_goes_on_is_one_of_what_is_shown_and_not_green() -> None:
    paper = Paper()
    first = ledger_models.erasures()[0].model_copy(update={"status": ErasureStatus.ERASED})
    paper.erasures = [first.model_copy(update={"id": f"e-{number}"}) for number in range(MANY)]
    async with running(paper) as run:
        await run.press("colon")
        await run.type("erasures")
        await run.press("enter")
        await run.at("Erasures")
        await run.shows("\u25cb Of the 100 shown: No erasure waits for a second person.")


async def _alerts(run: Running) -> None:
    await run.press("2")
    await run.at("Alerts")


def _desk(alerts: list[Alert], *, counted: int) -> Desk:
    desk = Desk()
    desk.alerts = alerts
    desk.overview = desk.overview.model_copy(update={"alerts": [], "alert_counts": AlertCounts(critical=counted)})
    return desk


async def test_alerts_that_wait_are_at_least_as_many_as_are_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("console.state.alert_book.PAGE_ROWS", 40)
    waiting = [models.alert(f"bulk-{n}", rule=f"Rule{n:03d}", minutes=n + 1) for n in range(120)]
    async with running(_desk(waiting, counted=120)) as run:
        await _alerts(run)
        await run.shows("40+ alerts wait for somebody: press a")


async def test_muted_alerts_that_fill_the_page_do_not_hide_that_others_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("console.state.alert_book.PAGE_ROWS", 40)
    muted = [models.alert(f"bulk-{n}", minutes=n + 1).model_copy(update={"muted_by": [MUTING]}) for n in range(40)]
    async with running(_desk([*muted, models.alert("last", minutes=90)], counted=1)) as run:
        await _alerts(run)
        await run.shows("None of the 40 alerts loaded waits for anybody; more are open.")


async def test_a_group_whose_only_open_alert_is_muted_waits_for_nobody() -> None:
    desk = Desk()
    seen = alert_models.foreign().model_copy(update={"status": AlertStatus.ACKNOWLEDGED, "acknowledged_by": "ana"})
    desk.alerts = [seen, alert_models.muted()]
    assert group_id(desk.alerts[0]) == group_id(desk.alerts[1])
    async with running(desk) as run:
        await _alerts(run)
        await run.press("v")
        await run.at("Alert groups")
        await run.shows("No group waits for anybody.")


async def test_groups_that_wait_are_counted_by_the_backend_and_not_on_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("console.screens.alerts.groups.PAGE_ROWS", 5)
    desk = Desk()
    desk.alerts = [models.alert(f"b-{n}", minutes=n + 1).model_copy(update={"group": f"g-{n}"}) for n in range(30)]
    async with running(desk) as run:
        await _alerts(run)
        await run.press("v")
        await run.at("Alert groups")
        await run.shows("30 groups wait for somebody")
