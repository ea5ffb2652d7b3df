"""The risk monitor over hours and days: one alert a crossing, what it does about it, and when it ends."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import func, select

from backend.audit.tables import AuditLog
from backend.risk.tables import Assessment, StrategyReview
from backend.stream.tables import StreamEvent
from contract.alerts import Alert, AlertStatus
from contract.base import Page
from contract.freeze import Freeze
from contract.overview import Overview
from contract.risk import MeasureState, RiskLevel, RiskRule, RiskSnapshot
from tests.support.app import App, started_app
from tests.support.clocks import SetClock
from tests.support.holds import approve, hold_position, renew
from tests.support.people import OFFICER, OFFICER2, OPERATOR
from tests.support.trades import assess, measure, store, trade

D = Decimal


@dataclass
class Watch:
    """A backend whose time the test sets."""

    app: App
    time: SetClock

    @property
    def now(self) -> datetime:
        return self.time.at

    async def trade(self, *profits: str, **changes: Any) -> None:
        await store(self.app, *(trade(self.now, profit_eth=D(profit), **changes) for profit in profits))

    async def outcomes(self, won: int, lost: int, **changes: Any) -> None:
        each = {"profit_eth": D(0), "gas_cost_eth": D(0)} | changes
        results = ["success"] * won + ["failed"] * lost
        await store(self.app, *(trade(self.now, status=status, **each) for status in results))

    async def assess(self, **passed: float) -> RiskSnapshot:
        self.time.pass_(**passed)
        return await assess(self.app)

    async def confirm(self) -> RiskSnapshot:
        """Two assessments of the same data, so far apart that both count."""
        await self.assess()
        return await self.assess(seconds=10)

    async def alerts(self) -> list[Alert]:
        answer = await (await self.app.as_(OPERATOR)).get("/v1/alerts")
        return Page[Alert].model_validate_json(answer.content).items

    async def live(self) -> list[tuple[str, str]]:
        return [(one.rule, str(one.scope)) for one in await self.alerts() if one.status is not AlertStatus.CLEARED]

    async def freezes(self) -> list[Freeze]:
        answer = await (await self.app.as_(OPERATOR)).get("/v1/overview")
        return Overview.model_validate_json(answer.content).freezes

    async def events(self, topic: str) -> int:
        async with self.app.runtime.database.read() as session:
            wanted = select(func.count()).where(StreamEvent.topic == topic)
            return (await session.execute(wanted)).scalar_one()


@pytest.fixture
async def watch(database_url: str) -> AsyncIterator[Watch]:
    time = SetClock()
    async with started_app(database_url, clock=time.clock) as app:
        yield Watch(app, time)


async def test_a_drawdown_raises_one_alert_halts_the_strategy_and_ends_at_midnight(watch: Watch) -> None:
    await watch.trade("-4", "-5")
    await watch.trade("3", strategy="liquidation", wallet="0xbb")
    await watch.assess()
    assert await watch.live() == []
    await watch.trade("-3.5")
    for _ in range(5):
        await watch.assess(minutes=1)
    [alert] = await watch.alerts()
    assert (alert.rule, str(alert.scope), alert.severity.value) == (
        "DAILY_LOSS_LIMIT",
        "strategy:arbitrage",
        "critical",
    )
    assert alert.message == "Strategy arbitrage lost 12.50 ETH today, over the limit of 10 ETH."
    [hold] = await watch.freezes()
    assert (str(hold.scope), hold.mode.value, hold.automatic_rule) == ("strategy:arbitrage", "halt", "DAILY_LOSS_LIMIT")
    assert alert.action_taken == f"{hold.ref} (halt) placed on strategy:arbitrage, confirmed by 2 of 2 assessments"
    assert hold.reason == f"{alert.message} Confirmed by 2 of 2 assessments."
    assert [link.label for link in alert.links if link.kind == "freeze"] == [hold.ref]
    await watch.assess(hours=11)
    assert await watch.live() == [("DAILY_LOSS_LIMIT", "strategy:arbitrage")]
    await watch.assess(minutes=40)
    [alert] = await watch.alerts()
    assert alert.status is AlertStatus.CLEARED
    assert len(await watch.freezes()) == 1  # only people lift a hold


async def test_the_next_day_may_cross_again(watch: Watch) -> None:
    await watch.trade("-11")
    await watch.assess()
    await watch.assess(hours=12)
    await watch.trade("-12")
    await watch.assess()
    assert len(await watch.alerts()) == 2
    assert await watch.live() == [("DAILY_LOSS_LIMIT", "strategy:arbitrage")]


async def test_a_lifted_hold_stays_lifted_while_the_day_is_still_over_its_limit(watch: Watch) -> None:
    await watch.trade("-11")
    await watch.confirm()
    [hold] = await watch.freezes()
    first, second = await watch.app.as_(OFFICER), await watch.app.as_(OFFICER2)
    assert (await first.post(f"/v1/freezes/{hold.id}/thaw", json={"reason": "reviewed"})).status_code < 300
    assert (await approve(second, hold.id)).status_code < 300
    await watch.trade("-1")
    await watch.assess(minutes=1)
    assert await watch.freezes() == []
    assert len(await watch.alerts()) == 1


async def test_a_hold_on_everything_is_not_doubled(watch: Watch) -> None:
    officer = await watch.app.as_(OFFICER)
    await officer.post("/v1/freezes", json={"scope": {"kind": "global"}, "reason": "drill"})
    await watch.trade("-11")
    await watch.assess()
    assert len(await watch.freezes()) == 1
    [alert] = await watch.alerts()
    assert alert.action_taken is not None
    assert alert.action_taken.startswith("none needed: FRZ-0001")


async def test_profit_of_the_same_day_clears_the_loss(watch: Watch) -> None:
    await watch.trade("-11")
    await watch.assess()
    await watch.trade("1.1")
    await watch.assess(minutes=1)
    assert await watch.live() != []  # 9.9 ETH: under the limit, within the margin
    await watch.trade("0.2")
    await watch.assess(minutes=1)
    assert await watch.live() == []


async def test_a_position_over_its_limit_is_held_to_reducing_and_clears_at_once(watch: Watch) -> None:
    await renew(watch.app.runtime, "bot-1", position_eth=D("-60"), chain="base", strategy="a")
    await renew(watch.app.runtime, "bot-2", position_eth=D("55"), chain="zksync", strategy="b")
    await renew(watch.app.runtime, "bot-3", position_eth=None, chain="base", strategy="a")
    snapshot = await watch.confirm()
    found = measure(snapshot, RiskRule.POSITION)
    assert (found.value, found.samples, found.unknown, found.state) == (D(115), 3, 1, MeasureState.CROSSED)
    assert await watch.live() == [("POSITION_SIZE_EXCEEDED", "global")]
    [hold] = await watch.freezes()
    assert (str(hold.scope), hold.mode.value) == ("global", "reduce-only")
    await hold_position(watch.app.runtime, "bot-2", D("39"), chain="zksync", strategy="b")
    await watch.assess(seconds=5)
    assert await watch.live() != []  # 99 ETH: within the margin
    await hold_position(watch.app.runtime, "bot-2", D("38"), chain="zksync", strategy="b")
    await watch.assess(seconds=5)
    assert await watch.live() == []


async def test_a_low_success_rate_asks_for_one_review(watch: Watch) -> None:
    await watch.outcomes(10, 9)
    await watch.assess()
    assert await watch.live() == []  # 19 samples say nothing
    await watch.outcomes(0, 6)
    for _ in range(3):
        await watch.assess(minutes=1)
    assert await watch.live() == [("LOW_SUCCESS_RATE", "strategy:arbitrage")]
    async with watch.app.runtime.database.read() as session:
        assert len((await session.execute(select(StrategyReview))).all()) == 1
        entries = select(AuditLog.user_id).where(AuditLog.event_type == "risk.review.requested")
        assert (await session.execute(entries)).scalars().all() == ["system:risk-monitor"]
    await watch.outcomes(80, 0)
    await watch.assess(minutes=1)
    assert await watch.live() == []
    assert await watch.freezes() == []


async def test_only_the_newest_trades_count_for_the_success_rate(watch: Watch) -> None:
    await watch.outcomes(0, 150)
    watch.time.pass_(minutes=5)
    await watch.outcomes(190, 10)
    found = measure(await watch.assess(), RiskRule.SUCCESS_RATE)
    assert (found.value, found.samples) == (D("0.95"), 200)


async def test_an_old_run_of_failures_says_nothing_about_now(watch: Watch) -> None:
    await watch.outcomes(0, 100)
    snapshot = await watch.assess(hours=26)
    assert measure(snapshot, RiskRule.SUCCESS_RATE).state is MeasureState.UNKNOWN
    assert ("LOW_SUCCESS_RATE", "global") not in await watch.live()


async def test_gas_is_a_rule_like_the_others_and_only_tells(watch: Watch) -> None:
    await watch.trade("0", gas_cost_eth=D("5.2"))
    await watch.assess()
    [alert] = await watch.alerts()
    assert (alert.rule, alert.severity.value, alert.action_taken) == ("GAS_SPEND_LIMIT", "medium", None)
    assert await watch.freezes() == []


async def test_what_is_unknown_trips_nothing_and_is_not_ok(watch: Watch) -> None:
    await store(watch.app, *(trade(watch.now, profit_eth=None, profit_usd=D(-99_999)) for _ in range(5)))
    snapshot = await watch.assess()
    found = measure(snapshot, RiskRule.DAILY_LOSS)
    assert (found.value, found.state, found.unknown) == (None, MeasureState.UNKNOWN, 5)
    assert await watch.alerts() == []


async def test_past_days_never_freeze_anything(watch: Watch) -> None:
    await store(watch.app, trade(watch.now - timedelta(days=1), profit_eth=D(-500)))
    await watch.assess()
    assert await watch.live() == [("DAILY_LOSS_LIMIT", "global")]
    assert await watch.freezes() == []


async def test_batches_of_past_days_share_one_alert_until_it_is_acknowledged(watch: Watch) -> None:
    for day in (1, 2, 3):
        await store(watch.app, trade(watch.now - timedelta(days=day), profit_eth=D(-15 + day)))
    [alert] = await watch.alerts()
    assert alert.message == (
        "The platform lost 14.00 ETH on 2026-03-09, the worst of 3 past days, over the limit of 10 ETH a day."
    )
    assert (alert.facts["first_day"], alert.facts["last_day"]) == ("2026-03-07", "2026-03-09")
    client = await watch.app.as_(OPERATOR)
    await client.post(f"/v1/alerts/{alert.id}/acknowledge", json={})
    assert await watch.live() == []


async def test_two_assessments_at_once_raise_one_alert_and_one_hold(watch: Watch) -> None:
    await watch.trade("-11")
    for _ in range(2):
        await asyncio.gather(*(assess(watch.app) for _ in range(3)))
        watch.time.pass_(seconds=10)
    assert len(await watch.alerts()) == 1
    assert len(await watch.freezes()) == 1


async def test_a_quiet_floor_publishes_once_an_interval_and_its_age_stays_honest(watch: Watch) -> None:
    await watch.trade("-1")
    await watch.assess()
    for _ in range(12):
        await watch.assess(seconds=4)
    assert await watch.events("risk") == 1
    client = await watch.app.as_(OPERATOR)
    shown = RiskSnapshot.model_validate_json((await client.get("/v1/risk")).content)
    assert shown.assessed_at == watch.now
    await watch.assess(seconds=15)
    assert await watch.events("risk") == 2
    await watch.trade("-1")
    await watch.assess(seconds=1)
    assert await watch.events("risk") == 3


async def test_a_stale_assessment_makes_the_indicators_unknown(watch: Watch) -> None:
    client = await watch.app.as_(OPERATOR)
    before = RiskSnapshot.model_validate_json((await client.get("/v1/risk")).content)
    assert before.assessed_at is None
    assert {one.level for one in before.indicators} == {RiskLevel.UNKNOWN}
    assert {one.state for one in before.measures} == {MeasureState.UNKNOWN}
    await watch.trade("1")
    await watch.assess()
    watch.time.pass_(seconds=120)
    fresh = RiskSnapshot.model_validate_json((await client.get("/v1/risk")).content)
    assert {one.level for one in fresh.indicators} == {RiskLevel.LOW}
    watch.time.pass_(seconds=1)
    stale = RiskSnapshot.model_validate_json((await client.get("/v1/risk")).content)
    assert {one.level for one in stale.indicators} == {RiskLevel.UNKNOWN}


async def test_history_and_projection_of_the_day(watch: Watch) -> None:
    watch.time.at = watch.time.at.replace(hour=10, minute=0)
    await watch.trade("-2", gas_cost_eth=D(0))
    await watch.assess()
    watch.time.pass_(hours=2)
    await watch.trade("-3", gas_cost_eth=D(0))
    snapshot = await watch.assess(minutes=30)
    found = measure(snapshot, RiskRule.DAILY_LOSS)
    assert found.history[-4:] == [None, D(2), D(2), D(5)]
    assert found.projected_hit_at == watch.now + timedelta(hours=5) / 3
    assert len(found.history) == 24


async def test_the_kept_assessments_are_bounded(watch: Watch) -> None:
    await watch.trade("1")
    for _ in range(30):
        await watch.assess(minutes=10)
    for _ in range(5):
        await watch.assess(seconds=1)
    async with watch.app.runtime.database.read() as session:
        kept = (await session.execute(select(func.count()).select_from(Assessment))).scalar_one()
    assert kept <= 12 + 1 + 5  # one a minute for two hours (every tenth here), then one an hour


async def test_a_crossed_limit_shows_in_the_indicators_with_links(watch: Watch) -> None:
    await watch.trade("-11")
    snapshot = await watch.confirm()
    levels = {one.name: one for one in snapshot.indicators}
    assert levels["operational"].level is RiskLevel.CRITICAL
    assert {reason.link.kind for reason in levels["operational"].reasons if reason.link} == {"freeze"}
    snapshot = await watch.assess(minutes=16)
    [overdue] = next(one for one in snapshot.indicators if one.name == "regulatory").reasons
    assert overdue.text.startswith("DAILY_LOSS_LIMIT on strategy:arbitrage is past its response time by 1 min")
