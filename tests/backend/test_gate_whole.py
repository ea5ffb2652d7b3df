"""Gates on threads and on asyncio against the real backend: permits, pushed revocations, signed halts, fates."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from decimal import Decimal
from typing import Any

import pytest

from gate import AsyncGate, Gate, Reason
from tests.support.app import App
from tests.support.backends import serving
from tests.support.holds import freeze
from tests.support.people import ADMIN, EXECUTOR, OFFICER, sign_in

LIMIT_S = 60.0
"""For things that must happen; how soon is measured elsewhere."""
SMALL = Decimal(1)
"""Far below what the policy lets an executor trade at once (ETH)."""
PLACE: dict[str, Any] = {"chain": "arbitrum", "strategy": "arbitrage", "wallet": "0xAB"}


async def until(ready: Callable[[], Any], what: str) -> None:
    end = time.monotonic() + LIMIT_S
    while not (found := ready()) or (asyncio.iscoroutine(found) and not await found):
        assert time.monotonic() < end, what
        await asyncio.sleep(0.02)


@asynccontextmanager
async def running(kind: type[Gate] | type[AsyncGate], *arguments: Any, **options: Any) -> AsyncIterator[Any]:
    async with AsyncExitStack() as stack:
        gate = kind(*arguments, **options)
        if isinstance(gate, Gate):
            yield stack.enter_context(gate)
        else:
            yield await stack.enter_async_context(gate)


@pytest.mark.parametrize("kind", [Gate, AsyncGate])
async def test_a_freeze_is_pushed_obeyed_signed_and_its_orders_are_settled(
    app: App, kind: type[Gate] | type[AsyncGate]
) -> None:
    token = await sign_in(app.runtime, EXECUTOR)
    admin, officer = await app.as_(ADMIN), await app.as_(OFFICER)
    async with serving(app.app) as url, running(kind, url, token, executor="bot-1", **PLACE) as gate:
        await until(lambda: gate.may_send(amount_eth=SMALL), "it may send")
        for nonce in range(3):
            gate.sent(f"0x{nonce}", nonce=nonce)
        gate.settled("0x0", "landed")
        gate.report(open_orders=0)
        made = await freeze(admin, mode="cancel-all")
        await until(lambda: gate.may_send(amount_eth=SMALL).held, "it hears of the freeze")
        decision = gate.may_send(amount_eth=SMALL)
        assert (decision.holds, decision.cancel_resting, decision.held_epoch) == ((made.ref,), True, made.epoch)
        assert gate.may_send(cancels=True)

        async def proof() -> dict[str, Any]:
            found: dict[str, Any] = (await officer.get(f"/v1/freezes/{made.ref}")).json()["proofs"][0]
            return found

        async def is_in(*states: str) -> bool:
            return (await proof())["state"] in states

        await until(lambda: is_in("delivered"), "the backend knows that it has heard")
        gate.confirm_halted(decision)
        await until(lambda: is_in("acked"), "its signed word is stored")
        assert (await proof())["last_order_seq"] == 3
        assert sorted((await proof())["open_ids"]) == ["0x1", "0x2"]
        gate.settled("0x1", "landed")
        gate.settled("0x2", "cancelled")
        await until(lambda: is_in("quiesced"), "nothing of it is open any more")


@pytest.mark.parametrize("kind", [Gate, AsyncGate])
async def test_a_newer_process_takes_the_name_and_the_older_one_stops(
    app: App, kind: type[Gate] | type[AsyncGate]
) -> None:
    token = await sign_in(app.runtime, EXECUTOR)
    async with serving(app.app) as url, running(kind, url, token, executor="bot-1", **PLACE) as older:
        await until(lambda: older.may_send(amount_eth=SMALL), "the older may send")
        async with running(kind, url, token, executor="bot-1", **PLACE) as newer:
            await until(lambda: newer.may_send(amount_eth=SMALL), "the newer may send")
            await until(lambda: older.may_send(amount_eth=SMALL).reason is Reason.REFUSED, "the older is refused")
            await until(lambda: newer.may_send(amount_eth=SMALL), "the newer still may")


async def test_somebody_who_may_not_renew_gets_no_permit(app: App) -> None:
    token = await sign_in(app.runtime, OFFICER)
    async with serving(app.app) as url, running(Gate, url, token, executor="bot-1", **PLACE) as gate:
        await until(lambda: gate.may_send(amount_eth=SMALL).reason is Reason.REFUSED, "it is refused")


async def test_permits_of_a_backend_with_another_key_than_the_pinned_count_for_nothing(app: App) -> None:
    token = await sign_in(app.runtime, EXECUTOR)
    pinned = {"0" * 16: bytes(32)}
    async with (
        serving(app.app) as url,
        running(Gate, url, token, executor="bot-1", **PLACE, permit_keys=pinned) as gate,
    ):
        await until(lambda: gate.last_error and "not trusted" in gate.last_error, "it says why")
        assert not gate.may_send(amount_eth=SMALL)
