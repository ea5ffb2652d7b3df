"""The gate on asyncio behaves as the one on threads: the same session over the same wire."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from gate import AsyncGate, Reason
from tests.support.certificates import server_tls, trusting
from tests.support.gate_server import LIMIT_S, TOKEN, GateServer


@pytest.fixture
def server() -> Iterator[GateServer]:
    with GateServer() as running:
        yield running


def gate_on(*servers: GateServer, **options: Any) -> AsyncGate:
    given = {"executor": "bot-1", "chain": "arbitrum", "strategy": "arbitrage", "wallet": "0xab"} | options
    return AsyncGate([each.url for each in servers], TOKEN, **given)


async def until(ready: Callable[[], Any]) -> None:
    async with asyncio.timeout(LIMIT_S):
        while not ready():  # noqa: ASYNC110  what is waited for is announced by nobody
            await asyncio.sleep(0.005)


async def test_it_renews_in_the_event_loop_and_gives_up_its_permit_when_closed(server: GateServer) -> None:
    async with gate_on(server) as gate:
        assert gate.may_send().reason is Reason.NO_PERMIT
        await until(lambda: len(server.renewals) >= 3 and gate.may_send())
        assert gate.permit is not None
    assert not gate.may_send()
    assert gate.may_send(cancels=True)
    assert server.connected == 1
    assert server.headers[0]["Authorization"] == f"Bearer {TOKEN}"


async def test_a_revocation_is_obeyed_acknowledged_and_its_orders_settled(server: GateServer) -> None:
    server.change(renew_ms=10_000, ttl_ms=10_000)
    async with gate_on(server) as gate:
        await until(gate.may_send)
        gate.sent("0xaa", nonce=4)
        gate.report(open_orders=3)
        server.freeze("cancel-all")
        await until(lambda: gate.may_send().held)
        assert gate.may_send().cancel_resting
        gate.confirm_halted(gate.may_send())
        await until(lambda: server.renewals[-1]["acknowledgement"])
        said = server.acknowledgement(server.renewals[-1])
        assert (said["mode"], said["in_flight"], said["open_orders"]) == ("cancel-all", ["0xaa"], 3)
        gate.settled("0xaa", "cancelled")
        gate.beat()
        await until(lambda: server.renewals[-1]["fates"] == [{"id": "0xaa", "fate": "cancelled"}])


@pytest.mark.parametrize("kind", ["function", "coroutine function"])
async def test_the_callback_is_asked_until_it_says_that_all_has_stopped(server: GateServer, kind: str) -> None:
    answers = iter([False, True])

    async def later() -> bool:
        await asyncio.sleep(0)
        return next(answers)

    async with gate_on(server, on_halt=later if kind == "coroutine function" else lambda: next(answers)):
        server.freeze()
        await until(lambda: server.renewals and server.renewals[-1]["halted_epoch"] == 1)
    assert next(answers, None) is None


async def test_a_plain_function_is_called_before_anything_is_said(server: GateServer) -> None:
    server.change(renew_ms=10_000, ttl_ms=10_000)
    async with gate_on(server, on_halt=lambda: True) as gate:
        await until(gate.may_send)
        before = len(server.renewals)
        server.freeze()
        await until(lambda: len(server.renewals) > before)
        assert server.acknowledgement(server.renewals[before])["epoch"] == 1


async def test_a_callback_that_fails_or_waits_does_not_hold_up_the_renewals(server: GateServer) -> None:
    failed = 0

    async def broken() -> bool:
        nonlocal failed
        failed += 1
        if failed == 1:
            raise RuntimeError("the venue is down")
        await asyncio.sleep(LIMIT_S)
        return True

    async with gate_on(server, on_halt=broken):
        server.freeze()
        await until(lambda: failed == 2)
        asked = len(server.renewals)
        await until(lambda: len(server.renewals) > asked + 2)
        assert server.renewals[-1]["halted_epoch"] == 0


async def test_a_connection_that_hangs_or_breaks_is_replaced(server: GateServer) -> None:
    with GateServer(server.key) as silent:
        silent.change(answers=False)
        async with gate_on(silent, server) as gate:
            await until(gate.may_send)
            silent.change(answers=True)
            server.hang_up()
            await until(lambda: len(silent.renewals) > 3 and gate.may_send())
            silent.say("x" * 100_000)
            await until(lambda: server.connected >= 2 and gate.may_send())


async def test_a_backend_that_is_gone_lets_the_permit_run_out() -> None:
    with GateServer() as server:
        gate = gate_on(server).start()
        await until(gate.may_send)
        await asyncio.to_thread(server.hang_up)
        server.change(status=503)
        await until(lambda: gate.may_send().reason is Reason.EXPIRED)
        assert gate.last_error
        server.change(status=401)
        await until(lambda: gate.may_send().reason is Reason.REFUSED)
        await gate.close()


async def test_a_refusal_ends_the_permit(server: GateServer) -> None:
    server.change(ttl_ms=10_000)
    async with gate_on(server) as gate:
        await until(gate.may_send)
        server.change(status=403)
        server.say({"type": "refused", "code": "conflict", "message": "no"})
        await asyncio.to_thread(server.hang_up, 4403)
        await until(lambda: gate.may_send().reason is Reason.REFUSED)


async def test_an_encrypted_line_is_checked() -> None:
    with GateServer(tls=server_tls()) as server:
        async with gate_on(server, tls=trusting()) as gate:
            await until(gate.may_send)
        async with gate_on(server) as gate:
            await until(lambda: gate.last_error)
            assert not gate.may_send()


async def test_it_starts_no_thread(server: GateServer) -> None:
    before = threading.active_count()
    async with gate_on(server, on_halt=lambda: True) as gate:
        await until(gate.may_send)
        assert not [each for each in threading.enumerate() if each.name.startswith("gate bot")]
        assert threading.active_count() <= before + 1  # the event loop's own, for looking a host up
