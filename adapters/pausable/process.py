"""The shell of one pausable contract: its gate, its node, its signer, and the loop between them. Owns no rule."""

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final, Protocol

from adapters.pausable.contract import (
    PAUSE,
    UNPAUSE,
    Parties,
    WrongContractError,
    opening,
    questions,
    read_opening,
    shown,
)
from adapters.pausable.deciding import Limits, Memory, Plan, Sending, Shown, Step, Wish, plan, settle, turned
from adapters.pausable.signing import Signer, SignError, Transaction
from gate import Decision, Mode
from watchers.line import LineError, NodeLine
from watchers.status import Board
from watchers.wire import Call, Failure, MalformedError

IDLE_S: Final = 10.0
"""Between looks while nothing is held: a key that may no longer pause is known before it is needed."""
BEAT_S: Final = 1.0
SHORTEST_REST_S: Final = 0.1
_SIGNED_UNDERPRICED: Final = "underpriced"
_STOPPING: Final = frozenset({Mode.HALT, Mode.CANCEL_ALL})


class HaltGate(Protocol):
    """What this needs of a gate."""

    @property
    def last_error(self) -> str | None:
        """Why there is no permit; None if nothing is wrong."""

    def look(self) -> Decision:
        """Say what is permitted now, and what there is to obey."""

    def sent(self, order_id: str, *, wallet: str | None = None, nonce: int | None = None) -> None:
        """Note a transaction that is about to leave."""

    def settled(self, order_id: str, fate: str) -> None:
        """Note what became of it."""

    def confirm_halted(self, obeyed: Decision, *, paused: Mapping[str, int]) -> None:
        """State, signed, that what is held has stopped."""

    def beat(self) -> None:
        """Say that this code runs."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the operator chose."""

    every_s: float
    stale_after_s: int
    late_after_s: float
    """From then on a freeze under which it is not paused shows as late."""
    unpause: bool
    limits: Limits
    chain_id: int | None = None
    """None: learnt from the node, and then kept."""


class Pauser:
    """Keeps one contract as its gate says."""

    def __init__(
        self, parties: Parties, line: NodeLine, signer: Signer, board: Board, options: Options, *,
        clock: Callable[[], float] = time.monotonic, wall: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        self._parties, self._line, self._signer, self.board = parties, line, signer, board
        self._options, self._clock, self._wall = options, clock, wall
        self._memory = Memory()
        self._chain_id = options.chain_id
        self._stop_since: float | None = None
        self._wake = asyncio.Event()

    def wake(self) -> bool:
        """Look at once, because a freeze has come; says nothing of having stopped."""
        self._wake.set()
        return False

    async def keep_going(self, gate: HaltGate) -> None:
        """Look and act, again and again."""
        self.board.tell("backend", "not heard", ok=False, why="not yet")
        self.board.tell(self._parties.contract, "not looked at", ok=False, why="not yet")
        while True:
            began = self._clock()
            self._wake.clear()
            try:
                await self._round(gate)
            except WrongContractError as error:
                self._tell(gate, "wrong contract", str(error))
            except (LineError, MalformedError) as error:
                self._tell(gate, "no answer", str(error))
            except SignError as error:
                self._tell(gate, "not signed", str(error))
            except Exception as error:  # noqa: BLE001  boundary: whatever a node sends, the next round is tried
                self._tell(gate, "no answer", f"unexpected: {type(error).__name__}")
            await self._rest(gate, began)

    async def _round(self, gate: HaltGate) -> None:
        decision = gate.look()  # before looking at the chain: what is read back was so after the freeze was known
        self._tell_line(gate, decision)
        wish = self._wish(decision)
        self._memory = turned(self._memory, wish)
        seen = await self._look()
        self._memory, fates = settle(self._memory, seen)
        for ident, fate in fates.items():
            gate.settled(ident, fate)
        found = plan(wish, seen, self._memory, self._options.limits)
        self._tell(gate, found.state, found.why, ok=found.ok, block=seen.block)
        if found.step is not Step.NOTHING:
            await self._send(gate, found)
        elif wish.stop and found.state == "paused":
            gate.confirm_halted(decision, paused={self._parties.contract: seen.block})

    def _wish(self, decision: Decision) -> Wish:
        stop = decision.mode in _STOPPING
        self._stop_since = (self._stop_since or self._clock()) if stop else None
        free = decision.allowed and decision.mode is None
        return Wish(stop=stop, free=free, unpause=self._options.unpause)

    def _tell_line(self, gate: HaltGate, decision: Decision) -> None:
        """Say whether a freeze would be heard of, and which drills are left alone."""
        if decision.spared:
            why = f"{', '.join(decision.spared)}: nothing is paused for a drill without --in-drills"
            self.board.tell("drill", "left alone", ok=True, why=why)
        else:
            self.board.forget("drill")
        if decision.remaining_s > 0 or (decision.held and gate.last_error is None):
            self.board.tell("backend", "heard", ok=True)
        else:
            self.board.tell("backend", "not heard", ok=False, why=gate.last_error or decision.reason.value)

    async def _look(self) -> Shown:
        answers = await self._line.ask(opening())
        chain_id, newest = read_opening(answers)
        if self._chain_id not in {None, chain_id}:
            raise LineError(f"it is chain {chain_id} and not {self._chain_id}: nothing it says is used")
        self._chain_id = chain_id
        age = abs(int(self._wall()) - newest.at)
        if age > self._options.stale_after_s:
            raise LineError(f"the newest block is {age:,} s away from now: nothing it shows is used")
        hashes = self._memory.sending.hashes if self._memory.sending else ()
        asked = questions(self._parties, newest, hashes)
        return shown(newest, answers[2], await self._line.ask(asked), hashes, at=self._clock())

    async def _send(self, gate: HaltGate, wanted: Plan) -> None:
        transaction = Transaction(
            chain_id=self._chain_id or 0,
            nonce=wanted.nonce,
            to=self._parties.contract,
            data=PAUSE if wanted.step is Step.PAUSE else UNPAUSE,
            gas=wanted.gas,
            max_fee_wei=wanted.max_fee_wei,
            tip_wei=wanted.tip_wei,
        )
        signed = await self._signer.sign(transaction)
        gate.sent(signed.hash, wallet=self._parties.sender, nonce=wanted.nonce)
        now, before = self._clock(), self._memory.sending
        hashes = (*(before.hashes if before else ()), signed.hash)
        sending = Sending(wanted.step, wanted.nonce, wanted.max_fee_wei, wanted.tip_wei, now, hashes)
        self._memory = replace(self._memory, sending=sending, sent_at=now)
        [answer] = await self._line.ask([Call("eth_sendRawTransaction", (signed.raw,))])
        if isinstance(answer, Failure):
            self._refused(gate, sending, answer.message)

    def _refused(self, gate: HaltGate, sending: Sending, message: str) -> None:
        """The node does not take it. It stays in flight all the same: whoever has the bytes may still send them."""
        if _SIGNED_UNDERPRICED in message.lower():  # something waits at this nonce: more than its fee, at once
            self._memory = replace(self._memory, sending=replace(sending, underpriced=True))
        self._tell(gate, "not taken", f"the node refuses the transaction: {message}")

    def _tell(self, gate: HaltGate, state: str, why: str, *, ok: bool = False, **facts: int) -> None:
        gate.beat()
        waiting = 0.0 if self._stop_since is None else self._clock() - self._stop_since
        if self._stop_since is not None and state != "paused" and waiting > self._options.late_after_s:
            state, why, ok = f"late: {state}", f"a freeze covers it since {waiting:,.0f} s; {why}", False
        self.board.tell(self._parties.contract, state, ok=ok, why=why, **facts)

    async def _rest(self, gate: HaltGate, began: float) -> None:
        busy = self._stop_since is not None or self._memory.sending is not None
        until = began + (self._options.every_s if busy else IDLE_S)
        await asyncio.sleep(SHORTEST_REST_S)
        while self._clock() < until and not self._wake.is_set():
            self._tell_line(gate, gate.look())
            gate.beat()
            with suppress(TimeoutError):
                async with asyncio.timeout(min(BEAT_S, max(0.0, until - self._clock()))):
                    await self._wake.wait()
