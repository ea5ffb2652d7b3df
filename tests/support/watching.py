"""Second sources under test: the real loops against a real backend and real chains, in this process."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any

import httpx
import orjson

from backend.auth import accounts
from backend.context import system_caller
from backend.freeze import service as freezes
from contract.freeze import Freeze, HaltProof
from contract.permissions import Permission
from contract.states import HaltState
from gate import AsyncGate
from tests.support.app import App
from tests.support.backends import serving
from tests.support.people import ADMIN, EXECUTOR, sign_in
from watchers.evm import Chain, Pace, Watcher
from watchers.line import BackendLine
from watchers.node import Rules
from watchers.places import parse_chains
from watchers.status import Board

WATCHER_TOKEN = "wfs_a-watcher-of-the-tests"
PATIENCE_S = 60.0
PACE = Pace(every_s=0.05, limit_s=2.0, agree=1)
RULES = Rules(stale_after_s=60, depth=2)


async def until(ready: Callable[[], Any], what: str, patience_s: float = PATIENCE_S) -> Any:
    """Wait until something is true, and return it; `ready` may be a coroutine function."""
    end = asyncio.get_running_loop().time() + patience_s
    while True:
        found = ready()
        if asyncio.iscoroutine(found):
            found = await found
        if found:
            return found
        assert asyncio.get_running_loop().time() < end, f"never: {what}"
        await asyncio.sleep(0.05)


@dataclass
class Floor:
    """A backend on a real socket, an administrator, and everything that runs against it."""

    app: App
    url: str
    admin: httpx.AsyncClient
    lines: list[dict[str, Any]] = field(default_factory=list)
    """What watchers and adapters said of themselves."""

    def board(self) -> Board:
        """A status board whose lines are kept."""
        return Board(lambda: datetime.now(UTC), lambda line: self.lines.append(orjson.loads(line)))

    def said(self, state: str, about: str = "") -> list[dict[str, Any]]:
        """Lines with that state."""
        return [line for line in self.lines if line["state"] == state and about in line["about"]]

    async def proofs(self, made: Freeze) -> dict[str, HaltProof]:
        """What is known of each executor now, after the leader's next look."""
        async with self.app.runtime.database.transaction() as session:
            await freezes.follow(session, self.app.runtime)
        answer = await self.admin.get(f"/v1/freezes/{made.ref}")
        return {one.executor: one for one in Freeze.model_validate(answer.json()).proofs}

    async def reaches(self, made: Freeze, name: str, state: HaltState, meanwhile: Callable[[], Any] = int) -> HaltProof:
        """Wait until an executor is in a state; `meanwhile` is done before each look."""

        async def look() -> HaltProof | None:
            meanwhile()
            found = (await self.proofs(made)).get(name)
            return found if found is not None and found.state is state else None

        one: HaltProof = await until(look, f"{name} is {state.value}")
        return one

    async def never(self, made: Freeze, name: str, state: HaltState, looks: int, meanwhile: Callable[[], Any]) -> None:
        """See that an executor does not get into a state while things happen."""
        for _ in range(looks):
            meanwhile()
            await asyncio.sleep(0.15)
            assert (await self.proofs(made))[name].state is not state

    @asynccontextmanager
    async def executor(self, name: str, wallet: str, *, chain: str = "arbitrum") -> AsyncIterator[AsyncGate]:
        """An executor that stops when it is told to."""
        token = await sign_in(self.app.runtime, EXECUTOR)
        made = AsyncGate(
            self.url, token, executor=name, chain=chain, strategy="arbitrage", wallet=wallet, on_halt=lambda: True
        )
        async with made as gate:
            await until(lambda: gate.may_send(amount_eth=1), f"{name} may send")
            yield gate

    async def watcher_token(self) -> str:
        """A token of a second source."""
        async with self.app.runtime.database.transaction() as session:
            return await accounts.ensure_service_token(
                session,
                self.app.runtime,
                system_caller("test"),
                name="watcher",
                permissions=(Permission.OBSERVE_HALTS,),
                token=WATCHER_TOKEN,
            )

    @asynccontextmanager
    async def watching(
        self, chains: list[tuple[str, str]], *, rules: Rules = RULES, pace: Pace = PACE
    ) -> AsyncIterator[Board]:
        """A watcher of these chains, for as long as the block runs."""
        board, token = self.board(), await self.watcher_token()
        made = [Chain(place, rules, pace, board) for place in parse_chains(chains, pace.agree)]
        async with BackendLine(self.url, token) as asking, BackendLine(self.url, token) as reporting:
            loops = [Watcher(asking, made, pace, board).keep_asking]
            for chain in made:
                loops += [partial(chain.keep_looking, node) for node in chain.nodes]
                loops.append(partial(chain.keep_reporting, reporting))
            async with running(*loops):
                yield board


@asynccontextmanager
async def running(*loops: Callable[[], Coroutine[Any, Any, None]]) -> AsyncIterator[None]:
    """Run loops beside a test; one that ends by itself fails it."""
    tasks = [asyncio.create_task(loop()) for loop in loops]
    try:
        yield
        assert not [task for task in tasks if task.done()]
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task


@asynccontextmanager
async def open_floor(app: App) -> AsyncIterator[Floor]:
    """A floor on a started application."""
    admin = await app.as_(ADMIN)
    async with serving(app.app) as url:
        yield Floor(app, url, admin)
