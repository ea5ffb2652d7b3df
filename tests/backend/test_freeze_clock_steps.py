"""The clock of PostgreSQL's host steps by an hour amid freezes, thaws and drills: what is held stays held."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from backend.freeze import service as freezes
from backend.freeze import thaw_monitor
from contract.executors import ExecutorState
from contract.freeze import Freeze
from contract.freeze_drills import FreezeDrill
from contract.states import HaltState
from tests.support.app import App, started_app
from tests.support.freeze_world import STAGED
from tests.support.holds import approve, ask_for_thaw, freeze, renew
from tests.support.latching import rows
from tests.support.ledger import settled
from tests.support.people import ADMIN, OFFICER
from tests.support.servers import Server, clock_library, migrated, servers

HOUR_S = 3_600.0
STEPS = (HOUR_S, -HOUR_S, 0.0)
TURNS = 600


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    clock_library()
    with servers() as (one,):
        yield migrated(one.create().with_clock().start())


@pytest.fixture
async def app(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[App]:
    """A backend on that server, on a floor where nothing is frozen."""
    server.set_clock(0)
    monkeypatch.setenv("WATCHFLOOR_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("WATCHFLOOR_MASTER_KEY_FILE", str(tmp_path.parent / "master.key"))
    async with started_app(server.url, policy=STAGED) as running:
        yield running
    server.set_clock(0)
    lifted = "UPDATE freezes SET status = 'thawed', thawed_at = clock_timestamp() WHERE status <> 'thawed' RETURNING 1"
    rows(server.url, lifted)


async def follow(app: App) -> None:
    async with app.runtime.database.transaction() as session:
        await freezes.follow(session, app.runtime)


async def tick(app: App) -> None:
    async with app.runtime.database.transaction() as session:
        await thaw_monitor.tick(session, app.runtime)


async def shown(client: Any, ref: str) -> Freeze:
    return Freeze.model_validate((await client.get(f"/v1/freezes/{ref}")).json())


async def states(app: App) -> dict[str, ExecutorState]:
    async with app.runtime.database.read() as session:
        floor = await freezes.floor(session, app.runtime)
    return {facts.name: state for facts, state in floor.executors}


async def stored_orders(app: App, server: Server, name: str, count: int) -> None:
    """Renew until the table has what the executor reports."""
    for _ in range(TURNS):
        await renew(app.runtime, name, chain="base", last_order_seq=count)
        if rows(server.url, "SELECT last_order_seq FROM executors WHERE name = %s", name) == [(count,)]:
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"order {count} of {name} was never stored")


async def test_a_freeze_holds_and_reports_go_on_wherever_the_clock_steps(app: App, server: Server) -> None:
    admin = await app.as_(ADMIN)
    assert (await renew(app.runtime)).may_trade
    await stored_orders(app, server, "bot-2", 1)
    hold = await freeze(admin)
    for count, ahead_s in enumerate(STEPS, start=2):
        server.set_clock(ahead_s)
        for _ in range(3):
            assert not (await renew(app.runtime)).may_trade
        await tick(app)
        await follow(app)
        assert (await shown(admin, hold.ref)).status == "active"
        assert (await renew(app.runtime, "bot-2", chain="base")).may_trade
        await stored_orders(app, server, "bot-2", count)
    other = await freeze(admin, "chain:base")
    server.set_clock(-HOUR_S)
    assert not (await renew(app.runtime, "bot-2", chain="base")).may_trade
    assert {(await shown(admin, ref)).status for ref in (hold.ref, other.ref)} == {"active"}


async def test_no_permit_counts_as_dead_before_its_bound_and_no_executor_as_alive_by_an_old_clock(
    app: App, server: Server
) -> None:
    admin = await app.as_(ADMIN)
    server.set_clock(HOUR_S)
    assert (await renew(app.runtime, "bot-3", chain="old")).may_trade
    server.set_clock(0)
    hold = await freeze(admin, "chain:old")
    [proof] = (await shown(admin, hold.ref)).proofs
    assert proof.state is HaltState.REQUESTED
    assert (await states(app))["bot-3"] is ExecutorState.SILENT, "it has not been seen since"
    await renew(app.runtime, "bot-3", chain="old")
    assert (await states(app))["bot-3"] is ExecutorState.FREEZING


async def watch_left(server: Server, ref: str) -> timedelta:
    number = int(ref.removeprefix("FRZ-"))
    [(until, looked_at)] = rows(
        server.url, "SELECT thaw_watch_until, thaw_looked_at FROM freezes WHERE number = %s", number
    )
    assert isinstance(until, datetime)
    left: timedelta = until - looked_at
    return left


async def test_a_stage_of_a_thaw_is_watched_to_its_end_wherever_the_clock_steps(app: App, server: Server) -> None:
    admin, officer = await app.as_(ADMIN), await app.as_(OFFICER)
    bots = [f"stage-{number}" for number in range(4)]
    for bot in bots:
        assert (await renew(app.runtime, bot, chain="staged")).may_trade
    hold = await freeze(admin, "chain:staged")
    assert (await ask_for_thaw(admin, hold.ref)).is_success
    assert (await approve(officer, hold.ref)).json()["status"] == "thawing"
    left = await watch_left(server, hold.ref)
    for ahead_s in (*STEPS, *reversed(STEPS)):
        await settled(app)  # an entry that seems to wait for an hour is an alert, which breaks a thaw off
        server.set_clock(ahead_s)
        await tick(app)
        await tick(app)
        assert (await shown(admin, hold.ref)).status == "thawing"
        now_left = await watch_left(server, hold.ref)
        assert left - timedelta(minutes=1) < now_left <= left, "nothing is skipped, and no hour is added"
        free = [bot for bot in bots if (await renew(app.runtime, bot, chain="staged")).may_trade]
        assert len(free) == 1, "the first stage is one in four"


async def test_a_request_for_a_thaw_lapses_on_a_clock_put_forward_and_lifts_nothing(app: App, server: Server) -> None:
    admin, officer = await app.as_(ADMIN), await app.as_(OFFICER)
    hold = await freeze(admin, "chain:asked")
    assert (await ask_for_thaw(admin, hold.ref)).is_success
    server.set_clock(HOUR_S)
    assert not (await approve(officer, hold.ref)).is_success
    await tick(app)
    assert (await shown(admin, hold.ref)).status == "active"


@pytest.mark.parametrize("ahead_s", [HOUR_S, -HOUR_S])
async def test_a_drill_ends_its_own_hold_and_no_other_wherever_the_clock_steps(
    app: App, server: Server, ahead_s: float
) -> None:
    admin, bot = await app.as_(ADMIN), f"canary{ahead_s:+.0f}"
    await renew(app.runtime, bot, chain="drilled")
    asked = {"scopes": [{"kind": "executor", "name": bot}], "reason": "quarterly drill"}
    drill = FreezeDrill.model_validate((await admin.post("/v1/freezes/drills", json=asked)).json())
    earnest = await freeze(admin, "chain:drilled")
    server.set_clock(ahead_s)
    await follow(app)
    over = FreezeDrill.model_validate((await admin.get(f"/v1/freezes/drills/{drill.ref}")).json())
    assert (over.ended_at is not None) == (ahead_s > 0), "its time is over, or begins anew"
    assert over.orders_after_halt == 0
    assert not (await renew(app.runtime, bot, chain="drilled")).may_trade
    assert (await shown(admin, earnest.ref)).status == "active"
