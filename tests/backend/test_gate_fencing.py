"""A checker at the choke point against the real backend: what it lets pass, and when it lets nothing pass any more."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, text, update
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from backend.freeze.store import fence
from backend.freeze.tables import FreezeRow
from gate import AsyncGate, Checker, Reason
from tests.backend.test_gate_whole import PLACE, SMALL, until
from tests.support.app import App
from tests.support.backends import serving
from tests.support.holds import freeze
from tests.support.outage import outage
from tests.support.people import ADMIN, EXECUTOR, OFFICER, sign_in


def _passes(checker: Checker, gate: AsyncGate) -> bool:
    return bool(gate.may_send(amount_eth=SMALL) and checker.check(gate.permit, amount_eth=SMALL))


@asynccontextmanager
async def choke_point(app: App) -> AsyncIterator[tuple[Checker, AsyncGate]]:
    """A checker with the permit of a running executor to look at."""
    token = await sign_in(app.runtime, EXECUTOR)
    async with serving(app.app) as url, AsyncGate(url, token, executor="bot-1", **PLACE) as gate:
        checker = Checker(None, url, token)
        checker.start()
        try:
            await until(lambda: _passes(checker, gate), "a permit passes")
            yield checker, gate
        finally:
            await asyncio.to_thread(checker.close)


async def test_a_permit_from_before_a_freeze_is_refused_and_one_of_elsewhere_passes(app: App) -> None:
    admin = await app.as_(ADMIN)
    async with choke_point(app) as (checker, gate):
        before = gate.permit
        await freeze(admin, "chain:base")
        await until(lambda: checker.check(gate.permit, amount_eth=SMALL), "a freeze elsewhere changes nothing")
        await freeze(admin, "executor:bot-1")
        await until(lambda: checker.check(before).reason is Reason.OUTDATED, "it has heard of the freeze")
        await until(lambda: checker.check(gate.permit).reason is Reason.HELD, "the permit itself says halt")
        assert checker.check(before, cancels=True)


async def test_a_permit_from_before_a_freeze_stays_worthless_after_the_thaw(app: App) -> None:
    admin = await app.as_(ADMIN)
    async with choke_point(app) as (checker, gate):
        before = gate.permit
        await freeze(admin, "executor:bot-1")
        await until(lambda: checker.check(before).reason is Reason.OUTDATED, "it has heard of the freeze")
        async with app.runtime.database.transaction() as session:
            await session.execute(update(FreezeRow).values(status="thawed", thawed_at=func.clock_timestamp()))
        await until(lambda: _passes(checker, gate), "a new permit passes")
        assert checker.check(before).reason is Reason.OUTDATED


async def test_without_the_database_nothing_but_cancels_passes(app: App, database_url: str) -> None:
    async with choke_point(app) as (checker, gate):
        with outage(database_url):
            await until(lambda: checker.check(gate.permit).reason is Reason.UNINFORMED, "its word has grown old")
            assert checker.check(gate.permit, cancels=True)
        await until(lambda: _passes(checker, gate), "it comes back")


async def test_while_a_freeze_is_latched_no_word_is_given(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    async with choke_point(app) as (checker, gate):
        monkeypatch.setattr(type(app.runtime.latched), "pending", lambda _: True)  # a journal that is not empty
        await until(lambda: checker.check(gate.permit).reason is Reason.UNINFORMED, "its word has grown old")


@pytest.mark.parametrize("question", ["", "nonsense", '{"type":"watch"}', '{"type":"renew","nonce":"x"}', "x" * 5_000])
async def test_what_is_no_question_is_told_so_and_closed(app: App, question: str) -> None:
    token = await sign_in(app.runtime, EXECUTOR)
    async with serving(app.app) as url, watching(url, token) as line:
        await line.send(question)
        assert json.loads(await line.recv())["type"] == "refused"
        with pytest.raises(ConnectionClosed):
            await line.recv()


async def test_who_may_not_renew_may_not_watch_and_an_ended_token_is_told(app: App) -> None:
    officer, token = await sign_in(app.runtime, OFFICER), await sign_in(app.runtime, EXECUTOR)
    async with serving(app.app) as url:
        with pytest.raises(Exception, match="403"):
            async with watching(url, officer):
                pass
        async with watching(url, token) as line:
            async with app.runtime.database.transaction() as session:
                await session.execute(text("UPDATE service_tokens SET disabled = true"))
            await line.send('{"type":"watch","nonce":"n"}')
            assert "ended" in json.loads(await line.recv())["message"]


@asynccontextmanager
async def watching(url: str, token: str) -> AsyncIterator[Any]:
    """A bare line, greeted."""
    address = url.replace("http", "ws", 1) + "/v1/gate/watch"
    headers = {"authorization": f"Bearer {token}"}
    async with connect(address, subprotocols=["watchfloor.gate.1"], additional_headers=headers) as line:  # type: ignore[list-item]
        assert json.loads(await line.recv())["type"] == "hello"
        yield line


async def test_one_floor_stands_for_all_freezes_whose_permits_are_dead(app: App) -> None:
    admin = await app.as_(ADMIN)
    for scope in ("chain:base", "chain:zksync", "executor:bot-1"):
        await freeze(admin, scope)
    async with app.runtime.database.transaction() as session:
        lifted = update(FreezeRow).values(status="thawed", thawed_at=func.clock_timestamp())
        await session.execute(lifted.where(FreezeRow.number <= 2))
        long_ago = update(FreezeRow).values(held_since=func.clock_timestamp() - timedelta(minutes=1))
        await session.execute(long_ago.where(FreezeRow.number == 1))
    async with app.runtime.database.read() as session:
        found = await fence(session)
    assert found is not None
    assert found["epoch"] == 3
    assert found["lifted"] == [{"scope": "global", "epoch": 1}, {"scope": "chain:zksync", "epoch": 2}]
    assert [(hold["scope"], hold["epoch"]) for hold in found["holds"]] == [("executor:bot-1", 3)]
