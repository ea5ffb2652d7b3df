"""The overview, the status and the compliance document's dashboard."""

from datetime import UTC, datetime
from decimal import Decimal

from backend.events import publish
from contract.alerts import AlertStatus
from contract.overview import ComplianceMetrics, Overview, Status
from contract.stream import Topic, TransactionsStored
from contract.version import __version__
from tests.support.app import App, started_app
from tests.support.clocks import SetClock
from tests.support.holds import renew
from tests.support.people import ADMIN, AUDITOR, EXECUTOR, OPERATOR
from tests.support.trades import assess, store, trade


async def test_the_overview_of_an_empty_floor_is_honest(app: App) -> None:
    answer = await (await app.as_(AUDITOR)).get("/v1/overview")
    found = Overview.model_validate_json(answer.content)
    assert found.risk.assessed_at is None
    assert (found.alerts, found.freezes, found.executors, found.executors_total) == ([], [], [], 0)


async def lose(app: App) -> None:
    """A loss over the limit that two assessments of different data confirm."""
    for profit in (-11, -1):
        await store(app, trade(datetime.now(UTC), profit_eth=Decimal(profit)))
        await assess(app)


async def test_the_overview_holds_everything_in_one_answer(app: App) -> None:
    await renew(app.runtime, "bot-1")
    await lose(app)
    answer = await (await app.as_(OPERATOR)).get("/v1/overview")
    found = Overview.model_validate_json(answer.content)
    assert [one.name for one in found.executors] == ["bot-1"]
    assert [one.rule for one in found.alerts] == ["DAILY_LOSS_LIMIT"]
    assert found.alert_counts.critical == found.alert_counts.total == 1
    assert [one.automatic_rule for one in found.freezes] == ["DAILY_LOSS_LIMIT"]
    assert found.risk.assessed_at is not None


async def test_the_overview_names_the_last_event_it_contains(app: App) -> None:
    client = await app.as_(OPERATOR)
    before = Overview.model_validate_json((await client.get("/v1/overview")).content)
    async with app.runtime.database.transaction() as session:
        now = datetime.now(UTC)
        publish(session, Topic.TRANSACTIONS, TransactionsStored(count=1, first_block_time=now, last_block_time=now))
        during = Overview.model_validate_json((await client.get("/v1/overview")).content)
    after = Overview.model_validate_json((await client.get("/v1/overview")).content)
    assert before.event_id == during.event_id < after.event_id


async def test_the_status_is_one_lines_worth(app: App) -> None:
    await renew(app.runtime, "bot-1")
    await lose(app)
    found = Status.model_validate_json((await (await app.as_(OPERATOR)).get("/v1/status")).content)
    assert (found.version, found.freezes, found.executors_total, found.executors_silent) == (__version__, 1, 1, 0)
    assert found.alert_counts.critical == 1
    assert found.assessed_at is not None


async def test_the_dashboard_has_the_documents_three_parts(app: App) -> None:
    await lose(app)
    answer = await (await app.as_(AUDITOR)).get("/api/compliance/metrics")
    assert set(answer.json()) == {"risks", "metrics", "alerts"}
    found = ComplianceMetrics.model_validate_json(answer.content)
    assert found.risks == {"regulatory": "LOW", "operational": "CRITICAL", "security": "LOW"}
    assert [one.rule for one in found.alerts] == ["DAILY_LOSS_LIMIT"]
    assert answer.headers["content-type"] == "application/json"
    assert found.metrics.assessed_at is not None
    shown = await (await app.as_(AUDITOR)).get("/v1/risk")
    assert answer.json()["metrics"] == shown.json()


async def test_the_dashboard_is_honest_before_the_first_assessment(app: App) -> None:
    answer = await (await app.as_(AUDITOR)).get("/api/compliance/metrics")
    found = ComplianceMetrics.model_validate_json(answer.content)
    assert set(found.risks.values()) == {"UNKNOWN"}
    assert (found.metrics.assessed_at, found.alerts) == (None, [])


async def test_a_machine_may_not_read_the_dashboard(app: App) -> None:
    assert (await (await app.as_(EXECUTOR)).get("/api/compliance/metrics")).status_code == 403
    assert (await app.http.get("/api/compliance/metrics")).status_code == 401


async def test_the_dashboard_follows_every_change_on_every_backend(app: App, database_url: str) -> None:
    async with started_app(database_url) as other:
        readers = [await app.as_(ADMIN), await other.as_(AUDITOR)]

        async def shown() -> ComplianceMetrics:
            bodies = {(await reader.get("/api/compliance/metrics")).content for reader in readers}
            assert len(bodies) == 1
            return ComplianceMetrics.model_validate_json(bodies.pop())

        await assess(app)
        calm = await shown()
        assert await shown() == calm
        await store(app, trade(datetime.now(UTC), profit_eth=Decimal(-11)))
        await assess(app)
        [alert] = (await shown()).alerts
        assert alert.status is AlertStatus.OPEN
        await readers[0].post(f"/v1/alerts/{alert.id}/acknowledge", json={})
        assert [one.status for one in (await shown()).alerts] == [AlertStatus.ACKNOWLEDGED]
        before = await assess(app)
        await assess(app)
        assert (await shown()).metrics.assessed_at != before.assessed_at


async def test_a_dashboard_nobody_assesses_any_more_says_so(database_url: str) -> None:
    clock = SetClock()
    async with started_app(database_url, clock=clock.clock) as app:
        reader = await app.as_(AUDITOR)
        await assess(app)
        fresh = ComplianceMetrics.model_validate_json((await reader.get("/api/compliance/metrics")).content)
        assert fresh.risks["security"] == "LOW"
        for _ in range(2):
            clock.pass_(minutes=10)
            stale = ComplianceMetrics.model_validate_json((await reader.get("/api/compliance/metrics")).content)
            assert set(stale.risks.values()) == {"UNKNOWN"}
            age = (clock.at - fresh.metrics.assessed_at).total_seconds() if fresh.metrics.assessed_at else 0
            assert f"{int(age):,} s old" in stale.metrics.indicators[0].reasons[0].text


async def test_a_kept_dashboard_is_not_given_to_who_signed_out(app: App) -> None:
    await assess(app)
    reader = await app.as_(AUDITOR)
    assert (await reader.get("/api/compliance/metrics")).status_code == 200
    await reader.post("/v1/auth/logout")
    assert (await reader.get("/api/compliance/metrics")).status_code == 401
