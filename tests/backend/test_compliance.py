"""The overview, the status and the compliance document's dashboard."""

from datetime import UTC, datetime
from decimal import Decimal

from backend.events import publish
from contract.overview import ComplianceMetrics, Overview, Status
from contract.stream import Topic, TransactionsStored
from contract.version import __version__
from tests.support.app import App
from tests.support.holds import renew
from tests.support.people import AUDITOR, EXECUTOR, OPERATOR
from tests.support.trades import assess, store, trade


async def test_the_overview_of_an_empty_floor_is_honest(app: App) -> None:
    answer = await (await app.as_(AUDITOR)).get("/v1/overview")
    found = Overview.model_validate_json(answer.content)
    assert found.risk.assessed_at is None
    assert (found.alerts, found.freezes, found.executors, found.executors_total) == ([], [], [], 0)


async def test_the_overview_holds_everything_in_one_answer(app: App) -> None:
    await renew(app.runtime, "bot-1")
    await store(app, trade(datetime.now(UTC), profit_eth=Decimal(-11)))
    await assess(app)
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
    await store(app, trade(datetime.now(UTC), profit_eth=Decimal(-11)))
    await assess(app)
    found = Status.model_validate_json((await (await app.as_(OPERATOR)).get("/v1/status")).content)
    assert (found.version, found.freezes, found.executors_total, found.executors_silent) == (__version__, 1, 1, 0)
    assert found.alert_counts.critical == 1
    assert found.assessed_at is not None


async def test_the_dashboard_has_the_documents_three_parts(app: App) -> None:
    await store(app, trade(datetime.now(UTC), profit_eth=Decimal(-11)))
    await assess(app)
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
