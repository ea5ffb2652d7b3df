"""Has the incident of a drill told of it, each line once, as soon as the database takes it. A drill pages nobody."""

from typing import Final

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from backend.context import Runtime
from backend.continuity import lines
from backend.continuity.core import Run
from backend.continuity.lines import Line, caller_of
from backend.continuity.mirroring import CALLER
from backend.continuity.telling import Telling
from backend.errors import WatchfloorError
from backend.incidents import service as incidents
from backend.reserve import Reserve
from contract.errors import ErrorCode
from contract.incidents import DeclareRequest, NoteRequest, ResolveRequest
from contract.recovery import DrillState

log = structlog.get_logger(__name__)

TELL_S: Final = 3.0
"""A database that takes longer is away."""
_QUIET: Final = frozenset({DrillState.REFUSED})


class Timeline:
    """What the incident of one drill was told. One event loop uses it."""

    def __init__(self, runtime: Runtime, telling: Telling, reserve: Reserve) -> None:
        self._runtime, self._telling, self._reserve = runtime, telling, reserve
        self._told = 0
        self._all_again = True

    async def tell(self) -> bool:
        """Tell what is new; whether all of it was.

        Raises:
            Exception: what the database or its driver raises.
        """
        run = self._telling.run
        if not run.confirmed or run.before is None:
            return True
        if run.ended is not None and run.ended.state in _QUIET:
            return True
        if run.incident is None:
            await self._declare(run)
            return False  # the database is to have that first
        if self._telling.run.ended is not None and self._all_again:
            self._told, self._all_again = 0, False  # a failover may have lost some
        for n, line in list(enumerate(self._telling.kept, 1))[self._told :]:
            if not await self._tell(self._telling.run, n, line):
                return False
            self._told = n
        return True

    async def add(self, text: str) -> None:
        """Tell the incident, if there is one, something that no line says.

        Raises:
            Exception: what the service, the database or its driver raises.
        """
        run = self._telling.run
        incident = run.incident
        if incident is None:
            return
        now = self._runtime.clock.now()
        request = NoteRequest(text=text[:2000], occurred_at=now, idempotency_key=f"{run.ref}:aside")
        await self._reserve.attempt(
            lambda session: incidents.note(session, self._runtime, CALLER, incident, request), TELL_S
        )

    async def _declare(self, run: Run) -> None:
        rules, started = self._runtime.policy.recovery, run.started
        request = DeclareRequest(
            title=f"Recovery drill {run.ref}: {started.plan.title}"[:200],
            type=rules.incident_type,
            severity=rules.incident_severity,
            drill=True,
            idempotency_key=run.ref,
        )
        caller = caller_of(started.caller)
        declared = await self._reserve.attempt(
            lambda session: incidents.declare(session, self._runtime, caller, request), TELL_S
        )
        self._telling.tell(lines.Declared(at=self._runtime.clock.now(), incident=declared.id))

    async def _tell(self, run: Run, n: int, line: Line) -> bool:
        text = _words(run, line)
        incident = run.incident
        if text is None or incident is None:
            return True
        request = NoteRequest(text=text[:2000], occurred_at=line.at, idempotency_key=f"{run.ref}:{n}")
        try:
            await self._reserve.attempt(lambda session: self._note(session, incident, request, line), TELL_S)
        except WatchfloorError as error:
            if error.code is ErrorCode.NOT_FOUND:  # a failover has lost it
                self._told = 0
                await self._declare(run)
                return False
            log.warning("recovery_incident_not_told", drill=run.ref, line=n, why=error.message)
        return True

    async def _note(self, session: AsyncSession, incident: str, request: NoteRequest, line: Line) -> None:
        await incidents.note(session, self._runtime, CALLER, incident, request)
        if isinstance(line, lines.Ended):
            over = ResolveRequest(note=line.sentence[:1000])
            await incidents.resolve(session, self._runtime, CALLER, incident, over)


def _words(run: Run, line: Line) -> str | None:
    """What a line tells the incident; None: nothing."""
    match line:
        case lines.OutageBegan():
            return f"Recovery drill {run.ref}: the outage began"
        case lines.Stepped():
            step = run.step(line.step)
            return f"Step {line.step} ({step.plan.title}) {line.state.value.replace('_', ' ')}: {line.summary}"
        case lines.Undone():
            said = "was rolled back" if line.passed else "could not be rolled back"
            return f"Step {line.step} ({run.step(line.step).plan.title}) {said}: {line.summary}"
        case lines.AbortAsked():
            return f"{line.by} ends the drill: {line.reason}"
        case lines.Ended():
            return f"Recovery drill {run.ref} {line.state.value}: {line.sentence}"
        case _:
            return None
