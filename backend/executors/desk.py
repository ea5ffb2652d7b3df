"""The permit desk: gathers who asks, reads the freeze state after they asked, and answers all of them from that read.

Must never answer from anything older than the request, never wait for an executor, and never let one that is slow,
hostile or new hold up the others. A read that fails or is late answers nobody: what they hold runs out by itself.
"""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, Final

import psycopg
import structlog

from backend.context import Caller, Runtime
from backend.errors import WatchfloorError
from backend.executors.granting import Granted, Granter, revocation
from backend.executors.looking import Look, Looker, UntrustworthyReadError
from backend.executors.reception import Known, Listener, Outcome, Reception, Waiting, unavailable
from backend.executors.signing import PermitSigner
from backend.freeze import service as freeze
from contract.gate import RenewRequest
from contract.scope import Scope
from contract.states import FreezeMode

log = structlog.get_logger(__name__)

MIN_GAP_S: Final = 0.02
"""Between the beginnings of two reads: at most fifty a second, whether ten executors renew or thousands."""
URGENT_GAP_S: Final = 0.002
"""The same once a freeze has been committed."""
LONGEST_GAP_S: Final = 0.25
"""While anybody is connected: finds a freeze whose notification was lost."""
IDLE_GAP_S: Final = 1.0
"""While nobody is: who comes then must not be answered by a backend that has slept through an outage."""
READ_LIMIT_MS: Final = 1_000
"""Half a permit's life: what takes longer helps nobody."""
GIVE_UP_S: Final = 1.2
"""A little more: the server has had its chance to say that it took too long."""
FRESH_S: Final = 1.0
"""A request older than this is dropped: its executor has asked again."""
HTTP_LIMIT_S: Final = 2.0
MAX_BATCH: Final = 500
"""Requests answered from one read; bounds how long the loop is busy with them."""
ANSWERS_IN_A_ROW: Final = 50
"""Signed before others get their turn on the event loop: some milliseconds."""
RETRY_S: Final = 0.1
_SETTINGS: Final = (
    f"SET statement_timeout = {READ_LIMIT_MS}",
    "SET plan_cache_mode = auto",
    # of reports only: a permit given on the strength of one that a crash of the server takes back is dead before
    # anybody can commit a freeze again and find it missing
    "SET synchronous_commit = off",
)


class Desk:
    """Gives permits, from one task."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._monotonic = runtime.clock.monotonic
        self.signer = PermitSigner(runtime.keyring.permits)
        self._granter = Granter(runtime, self.signer)
        self._reception = Reception(runtime, self._again)
        self._waiting: dict[object, Waiting] = {}
        self._listeners: set[Listener] = set()
        self._wake = asyncio.Event()
        self._urgent = False
        self._looker = Looker(runtime.emitter.boot)
        self.roll = freeze.RollCall()
        """Whether what is read is all there is."""
        self._holds: tuple[freeze.Hold, ...] = ()
        self._connection: psycopg.AsyncConnection[Any] | None = None
        runtime.latched.on_latch(lambda hold: self.revoke_latched(hold.scope, hold.mode))

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Desk"]:
        """Answer while the context is open."""
        tasks = [
            asyncio.create_task(self._work_for_ever(), name="permit desk"),
            asyncio.create_task(self._reception.registrar.run(), name="permit registrations"),
            asyncio.create_task(self._reception.clerk.run(), name="permit acknowledgements"),
        ]
        try:
            yield self
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._hang_up()

    def wake(self) -> None:
        """Read at once: a freeze may have been committed."""
        self._urgent = True
        self._wake.set()

    def submit(self, waiting: Waiting) -> None:
        """Have a renewal answered from a read that begins after now."""
        self._waiting[waiting.key] = waiting
        self._wake.set()

    async def renew(self, caller: Caller, request: RenewRequest) -> Granted:
        """Answer one renewal that came without a connection to push through.

        Raises:
            WatchfloorError: CONFLICT if a newer process holds the name, or it claims to be another than it was;
                NOT_ALLOWED if its acknowledgement is not its own; UNAVAILABLE if the state could not be read in time.
        """
        answered: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        waiting = Waiting(caller, request, self._monotonic(), lambda outcome: _settle(answered, outcome))
        self.submit(waiting)
        try:
            async with asyncio.timeout(HTTP_LIMIT_S):
                outcome = await answered
        except TimeoutError:
            raise unavailable() from None
        finally:
            self._waiting.pop(waiting, None)
        if isinstance(outcome, WatchfloorError):
            raise outcome
        return outcome

    def attach(self, listener: Listener) -> None:
        """Push to a connection from now on; its executor hears at once of what is latched."""
        self._listeners.add(listener)
        for hold in self._runtime.latched.latched_holds():
            _push_latched([listener], hold.scope, hold.mode)

    def detach(self, listener: Listener) -> None:
        """The connection is gone."""
        self._listeners.discard(listener)
        self._waiting.pop(listener, None)

    def revoke_latched(self, scope: Scope, mode: FreezeMode) -> int:
        """Take away at once what a freeze covers that the database does not have yet; returns how many were told."""
        return _push_latched(self._listeners, scope, mode)

    async def _work_for_ever(self) -> None:
        while True:
            await self._wait_for_work()
            began = self._monotonic()
            try:
                await self._one_round()
            except (psycopg.Error, OSError, TimeoutError, UntrustworthyReadError) as error:
                log.warning("permits_withheld", error=f"{type(error).__name__}: {str(error).strip()}")
                await self._withhold()
            # the desk's boundary: whatever goes wrong with one batch, the next one is tried
            except Exception:
                log.exception("permit_desk_failed")
                await self._withhold()
            await self._pause(began)

    async def _wait_for_work(self) -> None:
        if not self._waiting and not self._urgent:
            self._wake.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(LONGEST_GAP_S if self._listeners or not self.roll.clear else IDLE_GAP_S):
                    await self._wake.wait()

    async def _pause(self, began: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, began + MIN_GAP_S - self._monotonic())):
                while not self._urgent:
                    self._wake.clear()
                    await self._wake.wait()
        if self._urgent:
            await asyncio.sleep(max(0.0, began + URGENT_GAP_S - self._monotonic()))

    async def _withhold(self) -> None:
        """Nobody is answered, and a freeze may have been latched elsewhere meanwhile."""
        self.roll.doubt()
        await self._hang_up()
        await self._put_off()

    async def _put_off(self) -> None:
        """Answer nobody; who has asked a moment ago may still be answered, from the next read."""
        await asyncio.sleep(RETRY_S)
        for waiting in list(self._waiting.values()):
            if self._monotonic() - waiting.since > FRESH_S:
                self._waiting.pop(waiting.key, None)
                waiting.answer(unavailable())

    async def _connected(self) -> psycopg.AsyncConnection[Any]:
        if self._connection is None:
            async with asyncio.timeout(GIVE_UP_S):
                self._connection = await self._runtime.database.dedicated("permits")
            with _cut_off(self._connection):
                for setting in _SETTINGS:
                    await self._connection.execute(setting)
        return self._connection

    async def _hang_up(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(psycopg.Error, OSError):
                await connection.close()

    async def _one_round(self) -> None:
        connection = await self._connected()
        self._urgent = False
        batch = list(self._waiting.values())[:MAX_BATCH]
        latched = [self._granter.latched_over(waiting.request) for waiting in batch]
        began = self._monotonic()
        with _cut_off(connection):
            look = await self._looker.look(connection, [waiting.request for waiting in batch])
        self._runtime.metrics.permit_reads.observe(self._monotonic() - began)
        self._push(look)
        if not self.roll.passes(look.check_ins, at=began):
            await self._put_off()
            return
        before = {waiting: mode for waiting, mode in zip(batch, latched, strict=True) if mode is not None}
        known = await self._receive(look, batch)
        await self._grant(look, [one for one in known if not one.must_write], before)
        if to_write := [one for one in known if one.must_write]:
            with _cut_off(connection):
                written = await self._reception.write(connection, look, to_write)
            await self._grant(look, written, before)

    async def _receive(self, look: Look, batch: Sequence[Waiting]) -> list[Known]:
        found = []
        for place, waiting in enumerate(batch):
            if self._waiting.get(waiting.key) is waiting:
                del self._waiting[waiting.key]
            known = self._reception.receive(waiting, look, look.odd.get(place))
            if known is not None:
                found.append(known)
            if place % ANSWERS_IN_A_ROW == ANSWERS_IN_A_ROW - 1:
                await asyncio.sleep(0)
        return found

    async def _grant(self, look: Look, some: Sequence[Known], latched: dict[Waiting, FreezeMode]) -> None:
        for number, known in enumerate(some, start=1):
            waiting, holds = known.waiting, known.process.held_by(look.holds)
            granted = self._granter.grant(
                known.process, waiting.request, holds=holds, epoch=look.epoch, now=look.now,
                latched=latched.get(waiting), max_trade_eth=waiting.caller.max_trade_eth,
            )  # fmt: skip
            if waiting.listener is not None:
                waiting.listener.told = frozenset(hold.id for hold in holds)
            waiting.answer(granted)
            if number % ANSWERS_IN_A_ROW == 0:
                await asyncio.sleep(0)
        self._runtime.metrics.permits.inc(len(some))

    def _push(self, look: Look) -> None:
        """Tell every connected executor that a hold has come to cover, before anybody gets a permit."""
        changed, self._holds = look.holds is not self._holds, look.holds
        if not changed:
            return
        messages: dict[tuple[freeze.Hold, ...], bytes] = {}
        told = 0
        for listener in self._listeners:
            over = freeze.covering(look.holds, listener.request)
            ids = frozenset(hold.id for hold in over)
            if ids - listener.told:
                message = messages.get(over) or revocation(over)
                messages[over] = message
                listener.push(message)
                told += 1
            listener.told = ids
        self._runtime.metrics.permit_revocations.inc(told)

    def _again(self, some: Iterable[Waiting]) -> None:
        """Have renewals answered from a fresh read, unless their connections have asked anew."""
        for waiting in some:
            if waiting.listener is None or waiting.listener in self._listeners:  # else it has gone meanwhile
                self._waiting.setdefault(waiting.key, waiting)
        self._wake.set()


def _push_latched(listeners: Iterable[Listener], scope: Scope, mode: FreezeMode) -> int:
    message = revocation((), latched=mode)
    covered = [listener for listener in listeners if freeze.covers(scope, listener.request)]
    for listener in covered:
        listener.push(message)
    return len(covered)


def _settle(answered: "asyncio.Future[Outcome]", outcome: Outcome) -> None:
    if not answered.done():
        answered.set_result(outcome)


@contextmanager
def _cut_off(connection: psycopg.AsyncConnection[Any]) -> Iterator[None]:
    """Break a connection whose server stands still: neither a query nor its cancellation would ever end."""
    timer = asyncio.get_running_loop().call_later(GIVE_UP_S, _cut, connection)
    try:
        yield
    finally:
        timer.cancel()


def _cut(connection: psycopg.AsyncConnection[Any]) -> None:
    with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(connection.fileno())) as wire:
        wire.shutdown(socket.SHUT_RDWR)
