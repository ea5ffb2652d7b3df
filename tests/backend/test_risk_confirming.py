"""An automatic freeze takes several assessments: what counts as one, what survives, what the alert says meanwhile."""

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import func, select

from backend.risk import monitor
from backend.risk.tables import Confirmation
from contract.alerts import Alert, AlertStatus
from contract.base import Page
from contract.freeze import Freeze
from contract.overview import Overview
from tests.support.app import App, started_app
from tests.support.clocks import SetClock
from tests.support.holds import freeze, hold_position, renew
from tests.support.people import ADMIN, OPERATOR
from tests.support.trades import assess, store, trade

D = Decimal


@pytest.fixture
def time() -> SetClock:
    return SetClock()


@pytest.fixture
async def app(database_url: str, time: SetClock) -> AsyncIterator[App]:
    async with started_app(database_url, clock=time.clock) as started:
        yield started


async def alerts(app: App) -> list[Alert]:
    answer = await (await app.as_(OPERATOR)).get("/v1/alerts")
    return Page[Alert].model_validate_json(answer.content).items


async def holds(app: App) -> list[Freeze]:
    answer = await (await app.as_(OPERATOR)).get("/v1/overview")
    return Overview.model_validate_json(answer.content).freezes


async def position(app: App, eth: int) -> None:
    await hold_position(app.runtime, "bot-1", D(eth))


async def lose(app: App, time: SetClock, eth: str) -> None:
    await store(app, trade(time.at, profit_eth=-D(eth)))


async def wanted_s(app: App) -> float | None:
    """How soon the monitor wants to look again after one tick."""
    async with app.runtime.database.transaction() as session:
        return await monitor.tick(session, app.runtime)


async def waiting(app: App) -> int:
    async with app.runtime.database.read() as session:
        return (await session.execute(select(func.count()).select_from(Confirmation))).scalar_one()


async def test_one_bad_report_alerts_at_once_and_never_freezes(app: App, time: SetClock) -> None:
    await position(app, 1_000)
    await assess(app)
    [alert] = await alerts(app)
    assert (alert.status, alert.action_taken) == (AlertStatus.OPEN, "freezes if confirmed: 1 of 2")
    await position(app, 10)
    for _ in range(5):
        time.pass_(seconds=20)
        await assess(app)
    [alert] = await alerts(app)
    assert (alert.status, alert.action_taken) == (AlertStatus.CLEARED, "nothing was frozen: it was not confirmed")
    assert await holds(app) == []
    assert await waiting(app) == 0


async def test_a_second_report_of_the_same_position_confirms_it(app: App, time: SetClock) -> None:
    await position(app, 1_000)
    await assess(app)
    time.pass_(seconds=1)
    await assess(app)
    assert await holds(app) == [], "nobody has reported again"
    for _ in range(300):  # the clock of assessments stands still: only a stored report can confirm
        await renew(app.runtime, "bot-1", position_eth=D(1_000))
        await assess(app)
        if await holds(app):
            break
        await asyncio.sleep(0.1)
    [hold] = await holds(app)
    assert hold.reason.endswith("Confirmed by 2 of 2 assessments.")
    assert hold.automatic_rule == "POSITION_SIZE_EXCEEDED"


async def test_the_same_trades_looked_at_twice_confirm_nothing_but_new_ones_do(app: App, time: SetClock) -> None:
    await lose(app, time, "11")
    for _ in range(5):
        await assess(app)
        time.pass_(seconds=1)
    assert await holds(app) == []
    await lose(app, time, "0.1")
    await assess(app)
    assert [str(hold.scope) for hold in await holds(app)] == ["strategy:arbitrage"]


async def test_a_true_loss_on_a_feed_that_stands_still_freezes_in_a_bounded_time(app: App, time: SetClock) -> None:
    await lose(app, time, "11")
    await assess(app)
    for _ in range(9):
        time.pass_(seconds=1)
        await assess(app)
    assert await holds(app) == []
    time.pass_(seconds=1)
    await assess(app)
    assert len(await holds(app)) == 1


async def test_a_crossing_that_flickers_is_confirmed_although_its_alert_clears(app: App, time: SetClock) -> None:
    for eth in (1_000, 10, 1_001):
        await position(app, eth)
        await assess(app)
        time.pass_(seconds=1)
    newest, oldest = await alerts(app)
    assert (oldest.status, newest.status) == (AlertStatus.CLEARED, AlertStatus.OPEN)
    [hold] = await holds(app)
    assert newest.action_taken == f"{hold.ref} (reduce-only) placed on {hold.scope}, confirmed by 2 of 3 assessments"


async def test_crossings_further_apart_than_the_window_confirm_nothing(app: App, time: SetClock) -> None:
    for eth in (1_000, 10, 11, 12, 1_001):
        await position(app, eth)
        await assess(app)
        time.pass_(seconds=1)
    assert await holds(app) == []
    assert (await alerts(app))[0].action_taken == "freezes if confirmed: 1 of 2"


async def test_the_count_survives_a_change_of_leader_and_a_restart(app: App, time: SetClock, database_url: str) -> None:
    await lose(app, time, "11")
    await assess(app)
    time.pass_(seconds=3)
    async with started_app(database_url, clock=time.clock) as other:
        await lose(other, time, "0.1")
        await assess(other)
        assert len(await holds(other)) == 1


async def test_the_monitor_looks_again_within_a_second_only_while_it_waits(app: App, time: SetClock) -> None:
    assert await wanted_s(app) is None
    await lose(app, time, "11")
    soon = await wanted_s(app)
    assert soon is not None
    assert soon < 1
    await lose(app, time, "0.1")
    assert await wanted_s(app) is None
    assert len(await holds(app)) == 1


async def test_a_hold_that_stands_already_needs_no_confirmation(app: App, time: SetClock) -> None:
    await freeze(await app.as_(ADMIN), "global")
    await lose(app, time, "11")
    assert await wanted_s(app) is None
    [alert] = await alerts(app)
    assert alert.action_taken == "none needed: FRZ-0001 (halt) already holds global"


async def test_the_day_ends_what_it_began(app: App, time: SetClock) -> None:
    time.at = time.at.replace(hour=23, minute=59, second=58)
    await lose(app, time, "11")
    await assess(app)
    time.pass_(seconds=5)
    await assess(app)
    assert await holds(app) == []
    assert await waiting(app) == 0
    assert await wanted_s(app) is None


@pytest.fixture
def hasty(tmp_path: Path) -> str:
    """A policy under which one assessment is enough to halt a loss."""
    file = tmp_path / "policy.toml"
    rule = "[watchfloor.automatic_freezes.rules.daily_loss]\nconfirmations = 1\nof_assessments = 1\n"
    file.write_text(f'extends = "mev"\n{rule}')
    return str(file)


async def test_a_rule_may_have_numbers_of_its_own(database_url: str, time: SetClock, hasty: str) -> None:
    async with started_app(database_url, clock=time.clock, policy=hasty) as app:
        await lose(app, time, "11")
        await assess(app)
        [hold] = await holds(app)
        assert hold.reason == "Strategy arbitrage lost 11.00 ETH today, over the limit of 10 ETH."
