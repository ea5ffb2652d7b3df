"""The freeze drill step on a whole backend: canaries that halt, one that does not, none, and a process that is gone."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeVar

import pytest
from sqlalchemy import func, select, update

from backend.continuity.kinds.base import At, Outcome
from backend.continuity.kinds.registry import KINDS
from backend.freeze import service as freezes
from backend.freeze.tables import FreezeDrillRow, FreezeRow, HaltAck
from contract.states import HaltState
from tests.support.app import App
from tests.support.holds import renew
from tests.support.recovery_steps import MemoryCluster, Stand, step_of

T = TypeVar("T")
SOON_S = 60.0
CANARY = "executor:bot-1"
KIND = KINDS["freeze_drill"]


@pytest.fixture
def stand(app: App) -> Stand:
    """Where the step is run; the leader that follows freezes is moved by `meanwhile`."""
    return Stand(app.runtime, MemoryCluster(), began_at=app.runtime.clock.now())


def at(stand: Stand, *scopes: str) -> At:
    return stand.at(step_of("freeze_drill", scopes=scopes or (CANARY,)))


async def meanwhile(app: App, working: Awaitable[T], act: Callable[[], Awaitable[None]]) -> T:
    """Have something happen once the freeze drill holds, and follow freezes until the step is over."""
    task = asyncio.ensure_future(working)
    has_acted = False
    async with asyncio.timeout(SOON_S):
        while not task.done():
            if not has_acted and await held(app):
                await act()
                has_acted = True
            async with app.runtime.database.transaction() as session:
                await freezes.follow(session, app.runtime)
            await asyncio.sleep(0.05)
    return task.result()


async def held(app: App) -> bool:
    async with app.runtime.database.read() as session:
        return await session.scalar(select(func.count()).select_from(FreezeDrillRow)) == 1


async def acknowledge(app: App, *, orders_after: int = 0) -> None:
    """What a halted executor signs, and what it then says of its orders."""
    async with app.runtime.database.transaction() as session:
        row = await session.scalar(select(FreezeRow).where(FreezeRow.drill_id.is_not(None)))
        assert row is not None
        acked_at = row.created_at + timedelta(milliseconds=180)
        statement = "eyJraWQiOiAiYm9vdC0xIn0.e30.c2ln"
        facts = {"acked_at": acked_at, "last_order_seq": 42, "in_flight": 0, "statement": statement}
        session.add(HaltAck(freeze_id=row.id, executor="bot-1", **facts))
    if orders_after:
        await asyncio.sleep(1.1)  # a report is stored once a second
        await renew(app.runtime, last_order_seq=42 + orders_after)
        await asyncio.sleep(1.1)
    await run_out(app)


async def run_out(app: App) -> None:
    """The drill's longest time is over."""
    async with app.runtime.database.transaction() as session:
        await session.execute(update(FreezeDrillRow).values(ends_at=func.clock_timestamp()))


async def test_a_canary_that_halts_passes_and_is_let_go(app: App, stand: Stand) -> None:
    await renew(app.runtime, last_order_seq=42)

    async def halt() -> None:
        permit = await renew(app.runtime, last_order_seq=42)
        assert not permit.may_trade
        await acknowledge(app)

    outcome: Outcome = await meanwhile(app, KIND.run(at(stand)), halt)
    assert outcome.passed, outcome
    assert outcome.summary == "FD-0001: 1 of 1 halted, 0 orders after that."
    assert f"bot-1: {HaltState.QUIESCED.value}, halted after 0.18 s, orders after it: 0" in outcome.output
    assert outcome.facts == {"freeze_drill": "FD-0001", "executors": 1, "missed": 0, "orders_after_halt": 0}
    assert stand.noted == {"freeze_drill": "FD-0001"}
    assert (await renew(app.runtime, last_order_seq=42)).may_trade


async def test_a_canary_that_never_acknowledges_fails_the_step(app: App, stand: Stand) -> None:
    await renew(app.runtime)
    outcome = await meanwhile(app, KIND.run(at(stand)), lambda: run_out(app))
    assert not outcome.passed
    assert outcome.summary == "FD-0001: 0 of 1 halted, 0 orders after that."
    assert "never acknowledged" in outcome.output
    assert (await renew(app.runtime)).may_trade


async def test_orders_after_the_halt_fail_the_step(app: App, stand: Stand) -> None:
    await renew(app.runtime, last_order_seq=42)
    outcome = await meanwhile(app, KIND.run(at(stand)), lambda: acknowledge(app, orders_after=3))
    assert not outcome.passed
    assert outcome.facts["orders_after_halt"] == 3
    assert outcome.summary == "FD-0001: 1 of 1 halted, 3 orders after that."


async def test_a_drill_in_which_nobody_took_part_has_shown_nothing(app: App, stand: Stand) -> None:
    outcome = await meanwhile(app, KIND.run(at(stand, "executor:nobody")), lambda: run_out(app))
    assert not outcome.passed
    assert "no executor took part: nothing was shown" in outcome.summary


async def test_a_scope_that_is_no_canary_is_refused_and_nothing_is_frozen(app: App, stand: Stand) -> None:
    await renew(app.runtime)
    outcome = await KIND.run(at(stand, "chain:arbitrum"))
    assert not outcome.passed
    assert "chain:arbitrum is no canary" in outcome.summary
    assert not await held(app)
    assert (await renew(app.runtime)).may_trade


async def test_run_again_it_starts_no_second_one_and_a_new_process_finds_it(app: App, stand: Stand) -> None:
    """A process that ends between start and note runs the step's own key again; after the note it looks."""
    await renew(app.runtime, last_order_seq=42)
    cut_off = asyncio.create_task(KIND.run(at(stand)))
    async with asyncio.timeout(SOON_S):
        while not stand.noted:  # noqa: ASYNC110  the step notes it
            await asyncio.sleep(0.05)
    cut_off.cancel()
    await asyncio.gather(cut_off, return_exceptions=True)
    assert await KIND.look(at(stand), {}) is None
    found = await meanwhile(app, KIND.look(at(stand), stand.noted), lambda: acknowledge(app))
    assert found is not None
    assert found.passed
    again = await KIND.run(at(stand))
    assert again.facts["freeze_drill"] == "FD-0001"


async def test_rolling_back_waits_until_what_it_had_frozen_is_free(app: App, stand: Stand) -> None:
    await renew(app.runtime, last_order_seq=42)
    nothing = await KIND.undo(at(stand), {})
    assert nothing.passed
    running = asyncio.create_task(KIND.run(at(stand)))
    async with asyncio.timeout(SOON_S):
        while not stand.noted:  # noqa: ASYNC110  the step notes it
            await asyncio.sleep(0.05)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert not (await renew(app.runtime, last_order_seq=42)).may_trade
    undone = await meanwhile(app, KIND.undo(at(stand), stand.noted), lambda: acknowledge(app))
    assert undone.passed
    assert undone.summary == "FD-0001 is over and what it had frozen is free again."
    assert (await renew(app.runtime, last_order_seq=42)).may_trade
