"""Conducts one drill at the process that runs it: does what comes next until it has ended, and mirrors what was said.

Never ends by itself before the drill has. A process that is stopped leaves it as it stands: the journal says how.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from backend.context import Caller, system_caller
from backend.continuity import asking, lines
from backend.continuity.asking import ABORT
from backend.continuity.charge import Charge
from backend.continuity.deciding import Begin, Count, Find, Finish, LookAround, Undo, Wait, next_action
from backend.continuity.journal import GIVEN_UP, JournalError
from backend.continuity.keeping import Keeping
from backend.continuity.kinds.base import Outcome
from backend.continuity.lines import caller_of, stored
from backend.continuity.looking import Looking
from backend.continuity.outage import Outage
from backend.continuity.showing import show
from backend.continuity.stepping import Parts, Stepping
from backend.continuity.tables import RecoveryAskRow
from backend.continuity.telling import Telling
from contract.recovery import AbortRequest, DrillState, RecoveryDrill, StepRequest

log = structlog.get_logger(__name__)

T = TypeVar("T")
SEE_EVERY_S: Final = 1.0
"""How often the cluster is asked how it looks while a drill runs."""
CALLER: Final = system_caller("recovery")


class Conductor:
    """One drill. One event loop uses it."""

    def __init__(self, parts: Parts, telling: Telling) -> None:
        self._parts, self.telling = parts, telling
        self._clock = parts.runtime.clock
        self._measuring = parts.measure(parts.runtime, telling.run.ref)
        self._outage = Outage(self._clock, telling, parts.cluster, self._measuring)
        self._steps = Stepping(parts, telling, self._outage)
        self._poked = asyncio.Event()
        self._keeping = Keeping(parts.runtime, telling, take=self.take, given_up=self.given_up)
        self._charge = Charge(telling, self._keeping)
        self._looking = Looking(parts, telling)

    def shown(self) -> RecoveryDrill:
        """The drill as it stands."""
        return show(self.telling.run, heard_at=self._clock.now(), whole=True)

    async def conduct(self) -> None:
        """Run the drill to its end, and stay until the database has it."""
        await self._keeping.hear()
        keeping = asyncio.create_task(self._keeping.until_ended(), name="recovery mirror")
        watching = asyncio.create_task(self._outage.watch(), name="recovery outage")
        seeing = asyncio.create_task(self._see_for_ever(), name="recovery topology")
        self._measuring.start()
        try:
            await self._to_the_end()
            await self._measuring.stop()
            await keeping
            await self._put_journal_away()
        except JournalError as error:  # it is over: the file is found to be at the next start
            log.warning("recovery_journal_not_removed", drill=self.telling.run.ref, why=str(error))
            self.telling.journal.abandon()
        finally:
            for task in (keeping, watching, seeing):
                task.cancel()
            await asyncio.gather(keeping, watching, seeing, return_exceptions=True)
            await self._measuring.stop()
            await self._keeping.close()

    async def _put_journal_away(self) -> None:
        """Take the journal away, unless the database lacks what this process did after somebody gave the drill up."""
        if not self.telling.given_up.is_set():
            await self.telling.journal.remove()
            return
        aside = await self.telling.journal.set_aside(GIVEN_UP)
        log.critical("recovery_journal_set_aside", drill=self.telling.run.ref, file=str(aside))
        backend = self._parts.runtime.emitter.node
        await self._keeping.tell_incident(
            f"{backend} has found that the drill was given up, and does nothing more. What it did and said until then,"
            f" and the database lacks, is in the journal that it keeps: {aside}"
        )

    async def attempt(self, work: Callable[[AsyncSession], Awaitable[T]], within_s: float) -> T:
        """Do something on one of the drill's own connections, one at a time.

        Raises:
            Exception: as `Reserve.attempt`; TimeoutError if others were faster all the time.
        """
        return await self._keeping.attempt(work, within_s)

    async def close(self) -> None:
        """Let go of what was never conducted."""
        await self._keeping.close()

    async def _to_the_end(self) -> None:
        while self.telling.run.ended is None:
            try:
                await self._act()
            # the drill's boundary: whatever goes wrong in here, what ran is rolled back
            except Exception as error:
                log.exception("recovery_drill_went_wrong", drill=self.telling.run.ref)
                await self._give_up(f"{type(error).__name__}: {error}"[:300])

    async def _give_up(self, why: str) -> None:
        if not self.telling.run.turning_back:
            await self.abort(CALLER, f"the backend met something it did not expect: {why}")
            return
        left = [f"Look at the cluster: rolling back met something unexpected: {why}"]
        sentence = "Rolling back met something unexpected; nobody knows how the cluster stands."
        await self._say_end(Finish(DrillState.UNRESOLVED, sentence, tuple(left)))

    async def _act(self) -> None:
        match next_action(self.telling.run):
            case LookAround(after):
                await self._looking.look(after=after)
            case Wait() as wait:
                await self._wait(wait)
            case Begin(step):
                await self._begin(step)
            case Find(step):
                await self._steps.find(step)
            case Count():
                await self._outage.count()
            case Undo(step):
                if await self._charge.holds(step, undoing=True):
                    await self._steps.undo(step)
            case Finish() as end:
                await self._say_end(end)
            case _:
                return

    async def _begin(self, step: int) -> None:
        if not await self._charge.holds(step, undoing=False):
            return
        why_not = await self._looking.again(step)
        if not self.telling.may_begin:
            return
        if why_not:
            await self.abort(CALLER, why_not)
        else:
            await self._steps.run(step, self._by(step))

    def _by(self, step: int) -> str:
        run = self.telling.run
        return run.step(step).by or str(run.started.caller["subject"])

    async def _say_end(self, end: Finish) -> None:
        await self.telling.say(
            lines.Ended(at=self._clock.now(), state=end.state, sentence=end.sentence, left_to_do=list(end.left_to_do))
        )

    async def _see_for_ever(self) -> None:
        while True:
            await asyncio.sleep(SEE_EVERY_S)
            try:
                self.telling.saw(await self._parts.cluster.topology())
            # the task's boundary: a screen shows how old the last one is
            except Exception:
                log.exception("recovery_topology_not_seen")

    # waiting for people

    async def _wait(self, wait: Wait) -> None:
        telling, step = self.telling, self.telling.run.step(wait.step)
        if step.waits_for != wait.waits_for:
            await telling.say(lines.Waited(at=self._clock.now(), step=wait.step, waits_for=wait.waits_for))
        self._poked.clear()
        if next_action(telling.run) != wait:  # somebody was faster
            return
        limit_s = None
        if wait.waits_for == "evidence" and step.begun_at is not None:
            limit_s = max(0.0, step.plan.timeout_seconds - (self._clock.now() - step.begun_at).total_seconds())
        try:
            async with asyncio.timeout(limit_s):
                await self._poked.wait()
        except TimeoutError:
            if next_action(telling.run) == wait:
                await self._steps.took_too_long(wait.step)

    async def step(self, caller: Caller, request: StepRequest, *, by_token_alone: bool = False) -> None:
        """Let the waiting step run, or take what a person found.

        Raises:
            WatchfloorError: CONFLICT if that step waits for nobody; NOT_ALLOWED; INVALID_REQUEST.
        """
        step = asking.waiting_step(self.telling.run, caller, request)
        now = self._clock.now()
        if step.waits_for == "evidence":
            summary = f"{caller.subject}: {request.evidence.strip().splitlines()[0]}"
            outcome = Outcome(passed=request.passed, summary=summary, output=request.evidence)
            await self._steps.found_by_person(step.number, outcome, stored(caller))
        else:
            said = lines.Allowed(at=now, step=step.number, caller=stored(caller), by_token_alone=by_token_alone)
            await self.telling.say(said)
        self._poked.set()

    async def abort(self, caller: Caller, reason: str, *, by_token_alone: bool = False) -> None:
        """End the drill; what runs is cut off, then everything that ran is rolled back.

        Raises:
            WatchfloorError: CONFLICT if it has ended, or is being rolled back.
        """
        asking.refuse_abort(self.telling.run)
        self.telling.abort_asked.set()  # before the disk is asked
        line = lines.AbortAsked(
            at=self._clock.now(), caller=stored(caller), reason=reason, by_token_alone=by_token_alone
        )
        await self.telling.say(line)
        self._poked.set()

    async def take(self, ask: RecoveryAskRow) -> None:
        """Do what was asked at another backend.

        Raises:
            WatchfloorError: as `step` and `abort`.
        """
        caller = caller_of(ask.caller)
        if ask.what == ABORT:
            await self.abort(caller, AbortRequest.model_validate(ask.request).reason)
        else:
            await self.step(caller, StepRequest.model_validate(ask.request))

    async def given_up(self, shown: RecoveryDrill) -> None:
        """Stop where it stands: somebody has said that this process is gone, and works on the cluster."""
        self.telling.given_up.set()  # before the disk is asked
        self.telling.abort_asked.set()
        if self.telling.run.ended is None:
            await self._say_end(Finish(DrillState.UNRESOLVED, shown.sentence, tuple(shown.left_to_do)))
        self._poked.set()

    async def confirm(self) -> None:
        """The database has the drill: something may be touched."""
        await self.telling.say(lines.Confirmed(at=self._clock.now()))
