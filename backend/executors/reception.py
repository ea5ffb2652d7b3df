"""Who is asking, and what has to be stored before they are answered. Decides no permit.

Remembers processes, so that what was written is not written again; what may have changed elsewhere is read each time.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Protocol
from uuid import UUID

import psycopg

from backend.context import Caller, Runtime
from backend.errors import WatchfloorError
from backend.executor_names import not_for, speaks_for
from backend.executors import storing
from backend.executors.collecting import Collector
from backend.executors.granting import Granted
from backend.executors.looking import Look
from backend.executors.process import Answered, Process, acknowledged, refusal_of, standing
from backend.executors.signing import StatementError
from backend.freeze import service as freeze
from backend.roster import service as roster
from contract.errors import ErrorCode
from contract.gate import RenewRequest

MAX_PROCESSES: Final = 10_000
"""Remembered; a forgotten one costs a write."""
DENIAL_EVERY_S: Final = 60.0
"""One audit entry an executor and reason in this time, however often it tries."""

Outcome = Granted | WatchfloorError


class Listener(Protocol):
    """A connection through which an executor can be told something at any time."""

    told: frozenset[UUID]
    """Ids of the holds over it that it has been told of."""

    @property
    def request(self) -> RenewRequest:
        """The newest renewal: who and where it is."""

    def push(self, message: bytes) -> None:
        """Have a revocation sent; must not wait."""


@dataclass(eq=False, slots=True)
class Waiting:
    """One renewal that has no answer yet."""

    caller: Caller
    request: RenewRequest
    since: float
    answer: Callable[[Outcome], None]
    listener: Listener | None = None
    acknowledging: Answered | None = None

    @property
    def key(self) -> object:
        """Of one connection only the newest request waits."""
        return self if self.listener is None else self.listener


@dataclass(frozen=True, slots=True)
class Known:
    """A renewal whose process holds its name."""

    waiting: Waiting
    process: Process
    must_write: bool


def unavailable() -> WatchfloorError:
    """The refusal while the database cannot be asked."""
    return WatchfloorError(
        ErrorCode.UNAVAILABLE, "The freeze state cannot be read: nobody gets a permit.", hint="Try again in a moment."
    )


class Reception:
    """Lets processes pass that hold their names; has the others registered, refused, or heard first."""

    def __init__(self, runtime: Runtime, again: Callable[[Sequence[Waiting]], None]) -> None:
        self._runtime = runtime
        self._again = again
        self._processes: OrderedDict[str, Process] = OrderedDict()
        self._denied: dict[tuple[str, str], float] = {}
        self._registering: dict[tuple[str, str], Waiting] = {}
        self.registrar = Collector("registrations", self._register, self._not_registered)
        self.clerk = Collector("acknowledgements", self._acknowledge, self._not_acknowledged)

    def receive(self, waiting: Waiting, look: Look, odd: roster.Odd | None) -> Known | None:
        """Who asks, if they can be answered from this read; None if they are refused or have to be stored first."""
        request = waiting.request
        if not speaks_for(waiting.caller, request.executor):
            waiting.answer(self._of_another(waiting.caller, request))
            return None
        try:
            process = self._process_of(request, odd)
            if process is None:
                self._have_registered(waiting, odd)
                return None
            holds = process.held_by(look.holds)
            waiting.acknowledging = (
                None if process.storing else acknowledged(process, request, holds=holds, epoch=look.epoch)
            )
        except StatementError as error:
            waiting.answer(self._forged(request, str(error)))
            return None
        except WatchfloorError as refusal:
            waiting.answer(refusal)
            return None
        if waiting.acknowledging is not None:
            process.storing = True
            self.clerk.add((process, waiting))
            return None
        writes = process.must_write(request, now=look.now, permit_life=self._life(process, look))
        return Known(waiting, process, must_write=writes or bool(request.fates))

    async def write(self, connection: psycopg.AsyncConnection[Any], look: Look, some: Sequence[Known]) -> list[Known]:
        """Store reports and fates; returns those whose report is stored, the others have to ask again."""
        telling = [known.waiting.request for known in some if known.waiting.request.fates]
        if telling:
            await freeze.store_fates(connection, telling)
        reports = {known.process.name: self._report(known, look) for known in some}
        written = await roster.write_reports(connection, list(reports.values()))
        for known in some:
            if known.process.name in written:
                known.process.wrote(reports[known.process.name], look.now)
        return [known for known in some if known.process.name in written]

    def _report(self, known: Known, look: Look) -> roster.Report:
        life = self._life(known.process, look)
        return known.process.report(known.waiting.request, epoch=look.epoch, now=look.now, permit_life=life)

    def _life(self, process: Process, look: Look) -> timedelta | None:
        mode = freeze.effective_mode(process.held_by(look.holds))
        return None if mode is not None and mode.stops else freeze.permit_life(self._runtime)

    def _process_of(self, request: RenewRequest, odd: roster.Odd | None) -> Process | None:
        """Who is asking; None if it has to be registered first.

        Raises:
            WatchfloorError: it is refused.
        """
        key = request.public_key
        if odd is not None:
            refusal = refusal_of(odd, request)
            if refusal is None:
                return None
            if key is not None or standing(odd) != standing(request):
                raise self._with_denial(refusal, request, odd)
            key = odd.public_key  # it does not repeat its key, and is still taken at its signature alone
        known = self._processes.get(request.executor)
        if known is None or not known.is_asking(request, key):
            known = self._processes[request.executor] = Process.of(request, key)
            if len(self._processes) > MAX_PROCESSES:
                self._processes.popitem(last=False)
        return known

    def _have_registered(self, waiting: Waiting, before: roster.Odd | None) -> None:
        """Register a process once, however often it asks meanwhile; its newest request is answered then."""
        process = (waiting.request.executor, waiting.request.boot_id)
        if process not in self._registering and before is not None:
            self.registrar.add(storing.Newcomer(waiting.caller, waiting.request, before))
        self._registering[process] = waiting

    async def _register(self, some: Sequence[storing.Newcomer]) -> None:
        one_a_name = {newcomer.request.executor: newcomer for newcomer in some}
        try:
            await storing.register(self._runtime, list(one_a_name.values()))
        except WatchfloorError as refusal:
            if len(some) == 1:
                self._registered(some[0]).answer(refusal)
                return
            for newcomer in some:  # the roster has not room for all of them: the first ones get it
                await self._register([newcomer])
            return
        self._again([self._registered(newcomer) for newcomer in some])

    def _registered(self, newcomer: storing.Newcomer) -> Waiting:
        return self._registering.pop((newcomer.request.executor, newcomer.request.boot_id))

    def _not_registered(self, some: Sequence[storing.Newcomer]) -> None:
        for newcomer in some:
            process = (newcomer.request.executor, newcomer.request.boot_id)
            if process in self._registering:
                self._registering.pop(process).answer(unavailable())

    async def _acknowledge(self, some: Sequence[tuple[Process, Waiting]]) -> None:
        said = {
            (answer.hold.id, answer.request.executor): (waiting.caller, answer)
            for _, waiting in some
            if waiting.acknowledging is not None
            for answer in waiting.acknowledging.answers
        }
        if said:
            await storing.acknowledge(self._runtime, list(said.values()))
        for process, waiting in some:
            process.storing = False
            if waiting.acknowledging is not None:
                process.acked_epoch = max(process.acked_epoch, waiting.acknowledging.epoch)
                process.acknowledgement = waiting.request.acknowledgement
        self._again([waiting for _, waiting in some])

    def _not_acknowledged(self, some: Sequence[tuple[Process, Waiting]]) -> None:
        for process, waiting in some:
            process.storing = False
            waiting.answer(unavailable())

    def _with_denial(self, refusal: WatchfloorError, request: RenewRequest, odd: roster.Odd) -> WatchfloorError:
        if odd.boot_id == request.boot_id and self._may_tell(request.executor, "moved"):
            refusal.audit = storing.denial(request, odd, refusal.message)
        return refusal

    def _forged(self, request: RenewRequest, why: str) -> WatchfloorError:
        audit = storing.forged(request, why) if self._may_tell(request.executor, "forged") else None
        return WatchfloorError(ErrorCode.NOT_ALLOWED, f"The acknowledgement does not count: {why}.", audit=audit)

    def _of_another(self, caller: Caller, request: RenewRequest) -> WatchfloorError:
        tells = self._may_tell(caller.subject, "bound")
        return not_for(caller, "renew permit", request.executor, recorded=tells)

    def _may_tell(self, executor: str, what: str) -> bool:
        now = self._runtime.clock.monotonic()
        self._denied = {key: at for key, at in self._denied.items() if now - at < DENIAL_EVERY_S}
        if (executor, what) in self._denied:
            return False
        self._denied[executor, what] = now
        return True
