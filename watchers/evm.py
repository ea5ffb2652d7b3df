"""The second source for EVM chains: asks the backend what to look at, looks, reports. Owns the loops; knows no rule.

Each node of each chain has a loop of its own, so that one that hangs holds up no other.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from contract.observing import MAX_OBSERVATIONS, ObservationRequest, ToWatch
from watchers.agreement import Together, together
from watchers.line import BackendLine, LineError, NodeLine, RefusedError
from watchers.node import Look, Node, Rules, Wanted
from watchers.places import Address, ChainPlace
from watchers.status import Board
from watchers.wire import MalformedError, is_address, shown

IDLE_S: Final = 30.0
"""Between looks at a chain on which nothing is to be watched: a node that fails is known before it is needed."""
SELDOM: Final = 2
"""How many rounds pass between two questions to the backend while nothing is to be watched."""
REFUSED_S: Final = 5.0
"""Before asking a backend again that refuses the token."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How often, and how long anything may take."""

    every_s: float
    limit_s: float
    agree: int


class Chain:
    """One chain: its nodes, what they showed last, and what is wanted of it."""

    def __init__(
        self, place: ChainPlace, rules: Rules, pace: Pace, board: Board, now: Callable[[], float] = time.time
    ) -> None:
        self.name = place.name
        self._place, self._rules, self._pace, self._board, self._now = place, rules, pace, board, now
        self._wanted = Wanted()
        self._changed = asyncio.Event()
        self._looked = asyncio.Event()
        self._looks: dict[Address, tuple[float, Look]] = {}
        self._chain_id = place.chain_id

    @property
    def nodes(self) -> tuple[Address, ...]:
        """Which are asked."""
        return self._place.nodes

    def want(self, wanted: Wanted) -> None:
        """Look at this from now on."""
        if wanted == self._wanted:
            return
        self._wanted = wanted
        self._changed.set()  # for everybody who waits now; who looks now notices afterwards
        self._changed = asyncio.Event()

    async def keep_looking(self, address: Address) -> None:
        """Look at the chain through one node, again and again."""
        node, about = Node(self._rules), f"{self.name} by {address.shown}"
        self._board.tell(about, "not looked at", ok=False, why="not yet")
        async with NodeLine(address, self._pace.limit_s) as line:
            while True:
                began, changed = time.monotonic(), self._changed
                try:
                    look = await self._look(node, line)
                except LineError as error:
                    self._failed(address, about, str(error))
                except Exception as error:  # noqa: BLE001  boundary: whatever a node sends, the others are looked at
                    self._failed(address, about, f"unexpected: {type(error).__name__}")
                else:
                    self._take(address, about, look)
                await self._rest(began, changed)

    async def _look(self, node: Node, line: NodeLine) -> Look:
        wanted = self._wanted
        try:
            opened = node.opened(await line.ask(node.opening()))
        except MalformedError as error:
            raise LineError(str(error)) from error
        if self._chain_id not in {None, opened[0]}:
            return Look(*opened, doubt=f"it is chain {opened[0]} and not {self._chain_id}")
        answers = await line.ask(node.questions(wanted, opened[1]))
        return node.looked(wanted, opened, answers, now=self._now())

    def _failed(self, address: Address, about: str, why: str) -> None:
        self._looks.pop(address, None)
        self._board.tell(about, "no answer", ok=False, why=why)

    def _take(self, address: Address, about: str, look: Look) -> None:
        self._looks[address] = (time.monotonic(), look)
        self._learn_chain()
        if self._chain_id is not None and look.chain_id != self._chain_id:
            why = f"chain {look.chain_id} and not {self._chain_id}: nothing it says is used"
            self._board.tell(about, "wrong chain", ok=False, why=why)
        elif look.doubt:
            self._board.tell(about, "proves nothing", ok=False, why=look.doubt, block=look.head.number)
        else:
            self._board.tell(about, "answers", ok=True, block=look.head.number, chain_id=look.chain_id)
        self._looked.set()

    def _learn_chain(self) -> None:
        if self._chain_id is not None:
            return
        said = Counter(look.chain_id for _, look in self._looks.values())
        if len(said) == 1 and said.total() >= self._pace.agree:
            [self._chain_id] = said
            why = f"learnt from its nodes; pin it: {self.name}=URL#{self._chain_id}"
            self._board.tell(f"{self.name} chain id", str(self._chain_id), ok=True, why=why)

    async def _rest(self, began: float, changed: asyncio.Event) -> None:
        """Wait for the next round, or less when what is wanted has changed."""
        pause = self._pace.every_s if self._wanted else IDLE_S
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, began + pause - time.monotonic())):
                await changed.wait()

    async def keep_reporting(self, backend: BackendLine) -> None:
        """Report what the nodes show together, after each look."""
        while True:
            await self._looked.wait()
            self._looked.clear()
            found = together(self.name, self._usable(), self._pace.agree)
            self._say(found)
            if found.observations or found.fates:
                await self._report(backend, found)

    def _usable(self) -> list[Look]:
        """Looks of this chain that are not older than a round may take."""
        oldest = time.monotonic() - self._pace.every_s - 2 * self._pace.limit_s
        if self._chain_id is None or not self._wanted:
            return []
        return [look for at, look in self._looks.values() if at >= oldest and look.chain_id == self._chain_id]

    def _say(self, found: Together) -> None:
        about = f"{self.name} agreement"
        if found.doubts:
            self._board.tell(about, "nodes differ", ok=False, why=found.doubts[0], wallets=len(found.doubts))
        else:
            self._board.tell(about, "agree", ok=True, wallets=len(found.observations))

    async def _report(self, backend: BackendLine, found: Together) -> None:
        for start in range(0, max(len(found.observations), len(found.fates)), MAX_OBSERVATIONS):
            part = slice(start, start + MAX_OBSERVATIONS)
            request = ObservationRequest(observations=found.observations[part], fates=found.fates[part])
            try:
                await backend.report(request)
            except LineError as error:
                self._board.tell(f"{self.name} reports", "not taken", ok=False, why=str(error))
                return
        self._board.tell(f"{self.name} reports", "taken", ok=True)


class Watcher:
    """All chains, and what the backend wants seen."""

    def __init__(self, backend: BackendLine, chains: list[Chain], pace: Pace, board: Board) -> None:
        self._backend, self._chains, self._pace, self._board = backend, chains, pace, board

    async def keep_asking(self) -> None:
        """Ask the backend what to look at, again and again; without an answer the last one stays."""
        self._board.tell("backend", "not asked", ok=False, why="not yet")
        while True:
            pause = self._pace.every_s
            try:
                pause *= 1 if self._share(await self._backend.to_watch()) else SELDOM
            except RefusedError as error:
                pause = max(pause, REFUSED_S)
                self._board.tell("backend", "refuses", ok=False, why=str(error))
            except LineError as error:
                self._board.tell("backend", "no answer", ok=False, why=str(error))
            await asyncio.sleep(pause)

    def _share(self, wanted: ToWatch) -> bool:
        """Have each chain look at its part; whether there is anything to be seen, here or elsewhere."""
        anything = bool(wanted.wallets or wanted.contracts or wanted.in_flight)
        state = "watching" if anything else "nothing to watch"
        self._board.tell("backend", state, ok=True, wallets=len(wanted.wallets), in_flight=len(wanted.in_flight))
        named = {chain.name for chain in self._chains}
        for chain in self._chains:
            wallets = [one.wallet for one in wanted.wallets if one.chain.casefold() == chain.name]
            contracts = [one.contract for one in wanted.contracts if one.chain.casefold() == chain.name]
            chain.want(Wanted.of(wallets, wanted.in_flight, contracts))
        self._leave("other chains", {one.chain for one in wanted.wallets if one.chain.casefold() not in named})
        ours = {one.wallet for one in wanted.wallets if one.chain.casefold() in named}
        ours |= {one.contract for one in wanted.contracts if one.chain.casefold() in named}
        self._leave("names that are no addresses", {name for name in ours if not is_address(name)})
        return anything

    def _leave(self, what: str, names: set[str]) -> None:
        """Say what is left to other watchers, or to nobody."""
        if names:
            self._board.tell(what, "not watched here", ok=True, why=shown(", ".join(sorted(names))))
        else:
            self._board.forget(what)
