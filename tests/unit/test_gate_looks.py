"""Looking at a gate from outside: the same on threads and on asyncio, no sign of life, never leave to send."""

import asyncio
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from gate import AsyncGate, Gate, Reason
from gate.permits import Mode
from tests.support.gate_server import LIMIT_S, TOKEN, GateServer

IDENTITY: dict[str, Any] = {"executor": "bot-1", "chain": "arbitrum", "strategy": "arbitrage", "wallet": "0xab"}
KINDS = pytest.mark.parametrize("kind", [Gate, AsyncGate])
Kind = type[Gate] | type[AsyncGate]


@pytest.fixture
def server() -> Iterator[GateServer]:
    with GateServer() as running:
        yield running


async def on(gate: Gate | AsyncGate) -> None:
    gate.start()


async def off(gate: Gate | AsyncGate) -> None:
    if isinstance(gate, AsyncGate):
        await gate.close()
    else:
        await asyncio.to_thread(gate.close)


async def until(ready: Callable[[], Any]) -> None:
    async with asyncio.timeout(LIMIT_S):
        while not ready():  # noqa: ASYNC110  what is waited for is announced by nobody
            await asyncio.sleep(0.005)


@KINDS
async def test_a_look_says_what_a_send_would_be_told_and_is_no_sign_of_life(kind: Kind, server: GateServer) -> None:
    gate = kind(server.url, TOKEN, **IDENTITY)
    assert gate.look().reason is Reason.NO_PERMIT
    await on(gate)
    try:
        await until(lambda: gate.look().allowed)
        gate.beat()
        asked = len(server.renewals)
        await until(lambda: len(server.renewals) >= asked + 2)
        before = server.renewals[-1]["idle_ms"]
        await until(lambda: gate.look() and server.renewals[-1]["idle_ms"] > before)
        gate.may_send()
        server.freeze("cancel-all")
        await until(lambda: gate.look().mode is Mode.CANCEL_ALL)
        assert gate.look() == gate.may_send()
        assert gate.look().holds == ("FRZ-0001",)
    finally:
        await off(gate)


@KINDS
async def test_a_look_at_a_closed_gate_or_a_copy_of_one_allows_nothing(
    kind: Kind, server: GateServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.change(ttl_ms=10_000)
    gate = kind(server.url, TOKEN, **IDENTITY)
    await on(gate)
    try:
        await until(lambda: gate.look().allowed)
        with monkeypatch.context() as forked:
            forked.setattr("gate.asking.os.getpid", os.getppid)
            assert gate.look().reason is Reason.NO_PERMIT
        assert gate.look().allowed
    finally:
        await off(gate)
    assert gate.look().reason is Reason.NO_PERMIT


@KINDS
async def test_a_gate_that_leaves_drills_alone_says_so_and_calls_nobody_for_one(kind: Kind, server: GateServer) -> None:
    called: list[int] = []

    def note() -> bool:
        called.append(1)
        return False

    gate = kind(server.url, TOKEN, **IDENTITY, on_halt=note, bounded=False, in_drills=False)
    await on(gate)
    try:
        await until(lambda: gate.look().allowed)
        assert (server.renewals[-1]["bounded"], server.renewals[-1]["in_drills"]) == (False, False)
        server.freeze(drill=True)
        await until(lambda: gate.look().spared)
        asked = len(server.renewals)
        await until(lambda: len(server.renewals) > asked + 2)
        assert not called
        server.freeze()
        await until(lambda: called)
        gate.confirm_halted(gate.look(), paused={"0xc0": 7})
        await until(lambda: any(each["acknowledgement"] for each in server.renewals))
        [signed, *_] = [each for each in server.renewals if each["acknowledgement"]]
        said = server.acknowledgement(signed)
        assert (said["holds"], said["paused"]) == (["FRZ-0002"], {"0xc0": 7})
    finally:
        await off(gate)
