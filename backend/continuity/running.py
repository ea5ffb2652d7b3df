"""The drill that runs at this backend, if one does: begun here, or taken up from the journal of a process that is gone.

One at a time: the database lets no second one in, and the lock on the data directory no second process. Must never lose
sight of a journal that says that something ran.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Annotated, Final

import structlog
from fastapi import Depends, Request

from backend.context import system_caller
from backend.continuity import lines
from backend.continuity.conducting import Conductor
from backend.continuity.core import NoRunError
from backend.continuity.journal import REFUSED, Journal, JournalBusyError, JournalError, Shelf, shelf_of
from backend.continuity.lines import Line, stored
from backend.continuity.stepping import Parts
from backend.continuity.telling import Telling
from backend.errors import WatchfloorError
from contract.errors import ErrorCode

log = structlog.get_logger(__name__)

LOOK_EVERY_S: Final = 5.0
"""How often journals of processes that have ended are looked for."""
ENDING_S: Final = 5.0
"""How long a start waits for the end of the drill before it; usually a tenth of it."""
CALLER: Final = system_caller("recovery")


class Drills:
    """What runs here. One event loop uses it."""

    def __init__(self, parts: Parts) -> None:
        runtime = parts.runtime
        self.parts = parts
        self._shelf: Shelf = shelf_of(runtime.settings, runtime.keyring.recovery, runtime.clock.random_bytes)
        self._conductor: Conductor | None = None
        self._task: asyncio.Task[None] | None = None
        self._claiming = asyncio.Lock()
        self.problem = ""
        """Why journals could not be read, as far as is known."""

    @property
    def current(self) -> Conductor | None:
        """The drill that runs here."""
        return self._conductor

    def find(self, ref: str) -> Conductor | None:
        """The drill that runs here, if it is this one."""
        current = self._conductor
        return current if current is not None and current.telling.run.ref == ref else None

    async def settled(self) -> None:
        """Wait, for a while, until a drill that has ended here is told to the database and out of the way."""
        conductor, task = self._conductor, self._task
        if conductor is not None and task is not None and conductor.telling.run.ended is not None:
            await asyncio.wait({task}, timeout=ENDING_S)

    async def prepare(self, started: lines.Started) -> Conductor:
        """Claim the place and put the start on the disk; nothing happens before `go` or `forget`.

        Raises:
            WatchfloorError: CONFLICT if another one runs here; UNAVAILABLE if the disk takes nothing.
        """
        async with self._claiming:
            if self._conductor is not None:
                raise another(self._conductor.telling.run.ref)
            try:
                await self._shelf.claim()
                if left := await self._shelf.refs():
                    await self._shelf.release()
                    raise another(left[0])
                journal = self._shelf.journal(started.ref)
                await self._first_line(journal, started)
            except JournalBusyError as error:
                await self._release()
                raise another("one of another process with this data directory") from error
            except JournalError as error:
                await self._release()
                message = f"The journal of the drill cannot be written: {error}."
                raise WatchfloorError(ErrorCode.UNAVAILABLE, message) from error
            self._conductor = Conductor(self.parts, Telling(self.parts.runtime.clock, journal, [started]))
            return self._conductor

    @staticmethod
    async def _first_line(journal: Journal, started: lines.Started) -> None:
        try:
            await journal.append(started)
        except JournalError as error:
            with suppress(JournalError):  # a file without a whole line says nothing, and is taken away at the next look
                if not isinstance(error, JournalBusyError):
                    await journal.remove()
            journal.abandon()
            raise

    def go(self) -> None:
        """Conduct what was prepared."""
        conductor = self._conductor
        if conductor is not None and self._task is None:
            self._task = asyncio.create_task(self._conduct(conductor), name="recovery drill")

    async def forget(self) -> None:
        """Take back what was prepared: the database did not take it. Never fails."""
        conductor = self._conductor
        if conductor is None or self._task is not None:
            return
        with suppress(JournalError):  # what stays there was never confirmed: it is ended at the next look
            await conductor.telling.journal.remove()
        conductor.telling.journal.abandon()
        await conductor.close()
        self._conductor = None
        await self._release()

    async def _conduct(self, conductor: Conductor) -> None:
        try:
            await conductor.conduct()
        # the task's boundary: the journal says how it stands, and is taken up again at the next look
        except Exception:
            log.exception("recovery_drill_lost_hold", drill=conductor.telling.run.ref)
            with suppress(JournalError):
                await conductor.telling.journal.let_go()
        self._conductor = self._task = None
        await self._release()

    async def _release(self) -> None:
        try:
            await self._shelf.release()
        except JournalError as error:
            log.warning("recovery_lock_not_released", why=str(error))

    # what processes that have ended left

    async def look(self) -> None:
        """Take up the drill of a process that is gone, if there is one. Never fails."""
        async with self._claiming:
            if self._conductor is not None:
                return
            try:
                if await self._shelf.refs():
                    await self._shelf.claim()
                    await self._take_up(await self._shelf.refs())
                self.problem = ""
            except JournalBusyError:  # its process lives
                self.problem = ""
                await self._release()
            except JournalError as error:
                self.problem = str(error)
                log.critical("recovery_journals_not_read", why=str(error))
                await self._release()

    async def _take_up(self, refs: Sequence[str]) -> None:
        for ref in refs:
            journal = self._shelf.journal(ref)
            try:
                found = await journal.read()
                telling = await self._telling(journal, found.lines, found.refused)
            except JournalError:
                journal.abandon()
                raise
            if telling is None:
                continue
            if telling.run.ended is None:
                node = self.parts.runtime.emitter.node
                telling.tell(lines.Resumed(at=self.parts.runtime.clock.now(), backend=node))
                if found.refused and not telling.run.turning_back:
                    telling.tell(self._distrust(found.refused))
            log.warning("recovery_drill_taken_up", drill=ref, lines=len(found.lines), refused=found.refused)
            self._conductor = Conductor(self.parts, telling)
            self.go()
            return
        await self._release()

    async def _telling(self, journal: Journal, told: Sequence[Line], refused: int) -> Telling | None:
        """What a journal tells; a file without a start that is ours is none of ours, and is kept aside."""
        if not told and not refused:  # nothing was ever promised
            await journal.remove()
            return None
        try:
            return Telling(self.parts.runtime.clock, journal, told)
        except NoRunError:
            log.critical("recovery_journal_refused", file=journal.path.name)
            await journal.set_aside(REFUSED)
            return None

    def _distrust(self, refused: int) -> lines.AbortAsked:
        reason = f"{refused} lines of the journal are none of ours: what it says next cannot be believed"
        return lines.AbortAsked(at=self.parts.runtime.clock.now(), caller=stored(CALLER), reason=reason)

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Drills"]:
        """Take up what is there, and keep looking, while the context is open; a drill at work stays as it is."""
        await self.look()
        looking = asyncio.create_task(self._look_for_ever(), name="recovery journals")
        try:
            yield self
        finally:
            tasks = [task for task in (looking, self._task) if task is not None]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if self._conductor is not None:
                with suppress(JournalError):
                    await self._conductor.telling.journal.let_go()
            await self._release()

    async def _look_for_ever(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            await self.look()


def another(ref: str) -> WatchfloorError:
    """The refusal of a second drill."""
    return WatchfloorError(
        ErrorCode.CONFLICT,
        f"Another recovery drill runs: {ref}.",
        hint="Wait for its end, or abort it.",
    )


async def _drills(request: Request) -> Drills:  # async: a plain function costs a thread a request
    drills: Drills = request.app.state.recovery
    return drills


CurrentDrills = Annotated[Drills, Depends(_drills)]
