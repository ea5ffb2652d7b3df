"""The whole of PostgreSQL stands still for seconds while executors renew and a freeze is made, and goes on.

`WATCHFLOOR_TEST_STILL_S=30 pytest tests/backend/test_freeze_standing_still.py` has it stand still for longer.
"""

import asyncio
import gc
import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest

from backend import migrate, reserve
from backend.db import CONNECT_TIMEOUT_S
from gate import AsyncGate
from tests.support.app import App, started_app
from tests.support.backends import serving
from tests.support.freeze_bound import BOUND_S
from tests.support.gate_line import ASK_ANEW_S, Line, line
from tests.support.holds import stored
from tests.support.lasting import LastingPostgres
from tests.support.latching import latched, signed_in, until
from tests.support.people import EXECUTOR, OFFICER, sign_in
from tests.support.places import public_directory

STILL_S = float(os.environ.get("WATCHFLOOR_TEST_STILL_S", "5"))
TRIES = 3
"""Renewals within which a backend answers again."""
PLACE: dict[str, Any] = {"strategy": "arbitrage", "wallet": "0xAB"}
_OURS = "SELECT application_name FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[LastingPostgres]:
    with public_directory() as home:
        one = LastingPostgres(home / "pg", tmp_path / "socket")
        one.start()
        try:
            migrate.upgrade(one.url("watchfloor").replace("postgresql://", "postgresql+psycopg://", 1))
            yield one
        finally:
            one.go_on()
            one.stop()


@pytest.fixture
async def app(server: LastingPostgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[App]:
    monkeypatch.setenv("WATCHFLOOR_DATA_DIR", str(tmp_path / "data"))
    async with started_app(server.url("watchfloor")) as running:
        yield running


@asynccontextmanager
async def bots(url: str, token: str) -> AsyncIterator[tuple[AsyncGate, AsyncGate, Line]]:
    """One on the chain that will be frozen, one on another, and one that counts its renewals."""
    async with (
        AsyncGate(url, token, executor="bot-1", chain="arbitrum", **PLACE) as covered,
        AsyncGate(url, token, executor="bot-2", chain="base", **PLACE) as other,
        line(url, token, "bot-3") as counting,
    ):
        await until(
            lambda: bool(covered.may_send(amount_eth=1)) and bool(other.may_send(amount_eth=1)), "both may send"
        )
        await counting.renew(chain="base")
        yield covered, other, counting


async def still_sending(gates: tuple[AsyncGate, ...], accepted_at: float, until_at: float) -> float:
    """Ask again and again; returns how long after a freeze was accepted somebody was let send last."""
    last = 0.0
    while (now := time.monotonic()) < until_at:
        if any(gate.may_send(amount_eth=1) for gate in gates):
            last = now - accepted_at
        await asyncio.sleep(0.01)
    return last


@asynccontextmanager
async def asking(counting: Line) -> AsyncIterator[None]:
    """Go on renewing, as a gate does, or the backend hangs up after a while."""

    async def go_on() -> None:
        while True:
            await counting.send(chain="base")
            await asyncio.sleep(ASK_ANEW_S)

    task = asyncio.create_task(go_on())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def tries_until_answered(counting: Line) -> int:
    """How many renewals it takes, each as long as a backend keeps one."""
    for tried in range(1, 20):
        number = await counting.send(chain="base")
        try:
            async with asyncio.timeout(ASK_ANEW_S):
                await counting.answer_to(number)
        except TimeoutError:
            continue
        return tried
    raise AssertionError("no renewal was answered")


def connections(server: LastingPostgres) -> Counter[str]:
    with psycopg.connect(server.url("watchfloor"), connect_timeout=30) as asking:
        return Counter(name for (name,) in asking.execute(_OURS))


def none_leaked(app: App, server: LastingPostgres) -> bool:
    """Those of a purpose once; of pools what they keep, and what they gave up and the interpreter has not freed yet."""
    gc.collect()
    found, settings = connections(server), app.runtime.settings
    pooled = found.pop("watchfloor", 0)
    kept = settings.pool_size + settings.pool_overflow + reserve.CONNECTIONS
    return pooled <= kept + STILL_S // CONNECT_TIMEOUT_S and set(found.values()) <= {1}


async def test_nothing_is_sent_late_and_all_goes_on_when_the_server_does(
    app: App, server: LastingPostgres, request: pytest.FixtureRequest
) -> None:
    (officer,) = await signed_in(app, OFFICER)
    token = await sign_in(app.runtime, EXECUTOR)
    async with serving(app.app) as url, bots(url, token) as (covered, other, counting):
        assert none_leaked(app, server)
        server.stand_still()
        ends_at = time.monotonic() + STILL_S
        made = await latched(officer)
        accepted_at = time.monotonic()
        async with asking(counting):
            last = await still_sending((covered, other), accepted_at, max(ends_at, accepted_at + BOUND_S + 1.0))
        assert last <= BOUND_S
        server.go_on()
        tries = await tries_until_answered(counting)
        request.node.user_properties += [("last_sent_s", round(last, 3)), ("renewals", tries)]
        assert tries <= TRIES
        hold = await stored(officer, made)
        await until(lambda: bool(other.may_send(amount_eth=1)), "who is not covered may send again")
        await until(lambda: covered.may_send(amount_eth=1).holds == (hold.ref,), "who is covered knows the hold")
        assert not covered.may_send(amount_eth=1)
        await until(lambda: none_leaked(app, server), f"connections end that nobody uses: {connections(server)}")
