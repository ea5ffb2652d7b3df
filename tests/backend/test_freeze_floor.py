"""The whole chain: real gates against real backends that freeze, are killed, and hang."""

import asyncio
import contextlib
import signal
import threading
import time
from decimal import Decimal
from pathlib import Path
from typing import Any, Self

import httpx

from backend.policy.load import load_policy
from gate import Gate
from tests.support.app import App, started_app
from tests.support.backends import backend, backends, eventually, serving
from tests.support.holds import approve, ask_for_thaw, freeze, tokens
from tests.support.people import ADMIN, EXECUTOR, OFFICER, sign_in

LIMIT_S = 60.0
"""For things that must happen; how soon is measured elsewhere."""


class Bot:
    """A bot that sends as fast as it may and notes when it did, on the clock its gate uses."""

    def __init__(self, url: str, token: str, name: str, chain: str) -> None:
        self.sends: list[float] = []
        self.gate = Gate(url, token, executor=name, chain=chain, strategy="arbitrage", wallet=f"0x{name}")
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work)

    def _work(self) -> None:
        while not self._stop.wait(0.01):
            asked = time.monotonic()
            if decision := self.gate.may_send(amount_eth=Decimal(1)):
                self.sends.append(asked)
                self.gate.report(last_order_seq=len(self.sends))
            elif decision.held:
                self.gate.confirm_halted(decision)

    def __enter__(self) -> Self:
        self.gate.start()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self.gate.close()

    def is_sending(self) -> bool:
        return bool(self.sends) and time.monotonic() - self.sends[-1] < 0.5


def permit_life_s() -> float:
    return load_policy("mev").permits.ttl_ms / 1000


async def until(ready: Any, what: str) -> None:
    end = time.monotonic() + LIMIT_S
    while not await ready():
        assert time.monotonic() < end, what
        await asyncio.sleep(0.05)


async def test_bots_on_two_backends_stop_within_a_permits_life_and_say_so(app: App, database_url: str) -> None:
    token = await sign_in(app.runtime, EXECUTOR)
    admin, officer = await app.as_(ADMIN), await app.as_(OFFICER)
    async with started_app(database_url) as second, serving(app.app) as here, serving(second.app) as there:
        with contextlib.ExitStack() as stack:
            frozen = [stack.enter_context(Bot(url, token, f"f{n}", "arbitrum")) for n, url in enumerate((here, there))]
            other = stack.enter_context(Bot(there, token, "free", "base"))

            async def all_send() -> bool:
                return all(bot.is_sending() for bot in (*frozen, other))

            await until(all_send, "everybody sends")
            made = await freeze(admin)
            committed = time.monotonic()

            async def all_halted() -> bool:
                found = (await officer.get(f"/v1/freezes/{made.ref}")).json()
                return bool(found["halted"] == found["covered"] == 2)

            await until(all_halted, "both acknowledge")
            proofs = (await officer.get(f"/v1/freezes/{made.ref}")).json()["proofs"]
            for bot, proof in zip(frozen, proofs, strict=True):
                assert max(bot.sends) < committed + permit_life_s()
                assert proof["state"] != "acked" or proof["last_order_seq"] == len(bot.sends)
            counts = [len(bot.sends) for bot in frozen]
            await asyncio.sleep(0.5)
            assert [len(bot.sends) for bot in frozen] == counts
            assert other.is_sending()
            await ask_for_thaw(admin, made.ref)
            await approve(officer, made.ref)
            await until(all_send, "everybody sends again")


def test_a_killed_backend_stops_every_bot_by_itself(database_url: str, tmp_path: Path) -> None:
    [token] = tokens(database_url, EXECUTOR)
    with backend(database_url, tmp_path / "backend.log") as server, Bot(server.url, token, "bot", "base") as bot:
        eventually(lambda: bot.is_sending() or None, LIMIT_S, "it sends")
        server.send(signal.SIGKILL)
        killed = time.monotonic()
        server.wait()
        eventually(lambda: (not bot.gate.may_send(amount_eth=Decimal(1))) or None, LIMIT_S, "it may not send")
        assert max(bot.sends) < killed + permit_life_s()
        count = len(bot.sends)
        time.sleep(0.3)
        assert len(bot.sends) == count
        assert not bot.gate.may_send(amount_eth=Decimal(1)).held


def test_a_stopped_backend_process_stops_its_bots_and_another_backend_serves_on(
    database_url: str, tmp_path: Path
) -> None:
    token, admin = tokens(database_url, EXECUTOR, ADMIN)
    with backends(database_url, tmp_path, 2) as (first, second), Bot(first.url, token, "bot", "base") as bot:
        eventually(lambda: bot.is_sending() or None, LIMIT_S, "it sends")
        first.send(signal.SIGSTOP)
        stopped = time.monotonic()
        eventually(lambda: (not bot.gate.may_send(amount_eth=Decimal(1))) or None, LIMIT_S, "it may not send")
        assert max(bot.sends) < stopped + permit_life_s()
        made = httpx.post(
            f"{second.url}/v1/freezes",
            json={"scope": {"kind": "global"}, "reason": "the first backend hangs"},
            headers={"authorization": f"Bearer {admin}"},
            timeout=LIMIT_S,
        )
        assert made.status_code == 201
        count = len(bot.sends)
        first.send(signal.SIGCONT)
        eventually(lambda: bot.gate.may_send(amount_eth=Decimal(1)).held or None, LIMIT_S, "it hears of the freeze")
        assert len(bot.sends) == count
