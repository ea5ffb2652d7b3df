"""What people are told of incidents outside the console: once, to whom the policy names, and never in drills."""

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from backend.incidents import telling
from tests.backend.test_postmortems import submitted, written
from tests.support.app import SWIFT, App, started_app
from tests.support.clocks import SetClock
from tests.support.incidents import act, declared
from tests.support.notifying import channel_file, delivered, rows
from tests.support.people import ADMIN, OPERATOR
from tests.support.receivers import Receiver, webhook

START = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
SECRET = "T0KENofthechannel"


@pytest.fixture
def hand() -> SetClock:
    return SetClock(START)


@pytest.fixture
def hook() -> Iterator[Receiver]:
    with webhook() as receiver:
        yield receiver


@pytest.fixture
def file(tmp_path: Path, hook: Receiver) -> Path:
    return channel_file(tmp_path / "channels.toml", {"oncall": hook.url(SECRET)})


@pytest.fixture
async def app(database_url: str, hand: SetClock, file: Path, tmp_path: Path) -> AsyncIterator[App]:
    """A backend whose clock stands, that queues and sends when the test says so."""
    policy = tmp_path / "policy.toml"
    policy.write_text(f'extends = "{SWIFT}"\n[watchfloor.notifications]\nper_minute = 3\ntries = 3\n')
    settings = {"notifications_file": file}
    async with started_app(database_url, clock=hand.clock, policy=str(policy), settings=settings) as running:
        yield running


async def test_a_declared_incident_is_told(app: App, hook: Receiver) -> None:
    admin = await app.as_(ADMIN)
    for title, drill in (("Losses @everyone", False), ("Practice", True)):
        body = {"title": title, "severity": "high", "type": "financial loss", "drill": drill}
        answer = await admin.post("/v1/incidents", json=body)
        assert answer.is_success, answer.text
    await delivered(app, "oncall")
    assert hook.titles == ["[HIGH] Incident INC-2026-001: Losses @\u200beveryone"]
    why = {row.subject_id: row.reason for row in await rows(app)}
    assert why == {"INC-2026-001": None, "INC-2026-002": "part of a drill"}


async def test_what_changes_for_people_who_know_of_an_incident_is_told(
    app: App, hook: Receiver, hand: SetClock
) -> None:
    admin = await app.as_(ADMIN)
    for drill in (False, True):
        made = await declared(admin, title="Losses", severity="high", drill=drill)
        for severity in ("critical", "high"):
            answer = await admin.patch(f"/v1/incidents/{made.id}", json={"severity": severity})
            assert answer.is_success, answer.text
        await act(admin, made.id, "roles", role="scribe", person=OPERATOR.name)
        await act(admin, made.id, "roles", role="commander", person=OPERATOR.name)
        await act(admin, made.id, "resolve", note="over")
    await delivered(app, "oncall")
    hand.pass_(minutes=1)
    await delivered(app, "oncall")
    begin = "Incident INC-2026-001"
    assert sorted(hook.titles) == [
        f"[CRITICAL] {begin}: now critical", f"[HIGH] {begin}: Losses", f"[HIGH] {begin}: another commander",
        f"[HIGH] {begin}: resolved",
    ]  # fmt: skip
    assert not any(OPERATOR.name in message["message"] for message in hook.arrived)
    quiet = [row.reason for row in await rows(app) if row.subject_id == "INC-2026-002"]
    assert quiet == ["part of a drill"] * 4


async def test_a_post_mortem_for_review_is_told_to_the_channel_of_reviewers(
    database_url: str, hand: SetClock, file: Path, tmp_path: Path
) -> None:
    policy = tmp_path / "reviewers.toml"
    policy.write_text(f'extends = "{SWIFT}"\n[watchfloor.notifications.incidents]\nreview = ["reviewers"]\n')
    settings = {"notifications_file": file}
    async with started_app(database_url, clock=hand.clock, policy=str(policy), settings=settings) as app:
        client = await app.as_(OPERATOR)
        incident = await written(client, severity="high")
        await submitted(client, incident.id)
        told_of = {(row.channel, row.event.split(":")[0]) for row in await rows(app)}
    assert told_of == {("oncall", "declared"), ("reviewers", "review")}


async def test_reports_to_authorities_that_come_due_or_are_overdue_are_told_once(
    database_url: str, hand: SetClock, file: Path, tmp_path: Path
) -> None:
    policy = tmp_path / "reports.toml"
    policy.write_text(f'extends = "{SWIFT}"\n[watchfloor.incidents.reports]\nenabled = true\n')

    async def looked(app: App) -> list[str]:
        for _ in range(2):
            async with app.runtime.database.transaction() as session:
                await telling.watch_reports(session, app.runtime)
        return sorted(row.event for row in await rows(app) if row.event.startswith("report"))

    settings = {"notifications_file": file}
    async with started_app(database_url, clock=hand.clock, policy=str(policy), settings=settings) as app:
        made = await declared(await app.as_(OPERATOR), severity="critical")
        await declared(await app.as_(OPERATOR), severity="critical", drill=True)
        assert await looked(app) == []
        hand.pass_(hours=3)
        assert await looked(app) == ["report_due:initial"]
        hand.pass_(hours=1, seconds=1)
        assert await looked(app) == ["report_due:initial", "report_overdue:initial"]
        await act(await app.as_(OPERATOR), made.id, "reports-sent", report="initial", to="the bank")
        hand.pass_(hours=49)
        assert (await looked(app))[:2] == ["report_due:initial", "report_due:intermediate"]


async def test_reports_of_every_incident_are_told_of_however_many_there_are(
    database_url: str, hand: SetClock, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = tmp_path / "reports.toml"
    policy.write_text(f'extends = "{SWIFT}"\n[watchfloor.incidents.reports]\nenabled = true\n')
    monkeypatch.setattr(telling, "AT_ONCE", 3)
    async with started_app(
        database_url, clock=hand.clock, policy=str(policy), settings={"notifications_file": file}
    ) as app:
        client = await app.as_(OPERATOR)
        made = {(await declared(client, severity="critical")).id for _ in range(8)}  # all classified at one instant
        hand.pass_(hours=5)
        async with app.runtime.database.transaction() as session:
            await telling.watch_reports(session, app.runtime)
        assert {row.subject_id for row in await rows(app) if row.event.startswith("report_overdue")} == made
