"""Looks after the freezes of one process that the database has not taken: in force in memory, kept on the disk, and put
into the database as soon as it takes them.

What earlier processes have left is read before the first permit is given. A line leaves the disk only after the hold is
known to be committed. Must never end, and never let a freeze go for a reason other than that.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

import structlog

from backend.audit.service import AuditDraft
from backend.context import Caller, Runtime, system_caller
from backend.freeze import core, holds
from backend.freeze.journal import Entry, Journal, journal_of
from backend.latched import LatchedHold
from backend.spool import SpoolError
from contract.audit import AuditResult
from contract.freeze import LATCHED_REF, Freeze, FreezeStatus

log = structlog.get_logger(__name__)

DRAIN_LIMIT_S: Final = 5.0
"""Longest wait for the database to take one freeze; longer than for a person, who gets an answer without it."""
RETRY_MIN_S, RETRY_MAX_S = 0.1, 1.0
"""Pause between two attempts; doubles from the first to the second."""
LOOK_EVERY_S: Final = 1.0
"""How often journals of processes that have ended are looked for, and whether the disk would take a line."""
PROBE_BYTES: Final = 16
KeepEntry = Callable[[Runtime, Caller, AuditDraft], Awaitable[bool]]
"""Keeps an audit entry without asking the database; whether it is kept."""


@dataclass
class _Waiting:
    """One freeze that is in force here alone."""

    entry: Entry
    revoked: int = 0
    kept: bool = False


@dataclass
class _Source:
    """A journal and what it holds."""

    journal: Journal
    ids: set[UUID] = field(default_factory=set)


class Keeper:
    """The latched freezes of one process. One event loop uses it."""

    def __init__(self, runtime: Runtime, keep_entry: KeepEntry) -> None:
        self._runtime = runtime
        self._keep_entry = keep_entry
        boot, clock = runtime.emitter.boot, runtime.clock
        self._own = _Source(journal_of(runtime.settings, runtime.keyring.freezes, boot, clock.random_bytes))
        self._taken: list[_Source] = []
        self._waiting: dict[UUID, _Waiting] = {}
        self._keeping = 0
        self._woken = asyncio.Event()
        self.one_reader = asyncio.Semaphore(1)
        """Held by whoever reads freezes on a reserved connection: another one stays for who freezes."""
        runtime.latched.tell = lambda: [_shown(one) for one in self._waiting.values()]
        runtime.latched.unread = "the journal of freezes has not been read yet"

    async def latch(self, entry: Entry) -> Freeze:
        """Put a freeze in force here and now, and keep it; it holds even if it cannot be kept."""
        waiting = self._waiting.get(entry.id)
        if waiting is None:
            waiting = self._waiting[entry.id] = _Waiting(entry)
            waiting.revoked = self._runtime.latched.latch(_hold_of(entry))
            log.critical("freeze_latched", id=str(entry.id), scope=str(entry.request.scope), revoked=waiting.revoked)
            await asyncio.gather(self._keep(waiting), self._tell(entry))
            self._woken.set()
        return _shown(waiting)

    def find(self, ident: str | UUID) -> Freeze | None:
        """A freeze that waits, by its id."""
        with suppress(ValueError):
            waiting = self._waiting.get(ident if isinstance(ident, UUID) else UUID(ident))
            return None if waiting is None else _shown(waiting)
        return None

    async def _keep(self, waiting: _Waiting) -> None:
        self._keeping += 1
        try:
            await self._own.journal.keep(waiting.entry)
            self._own.ids.add(waiting.entry.id)
            waiting.kept = True
        except SpoolError as error:
            log.critical("freeze_not_kept", id=str(waiting.entry.id), why=str(error))
        finally:
            self._keeping -= 1

    async def _tell(self, entry: Entry) -> None:
        told = {
            "scope": str(core.normalised(entry.request.scope)),
            "mode": entry.request.mode.value,
            "reason": entry.request.reason,
            "known_by": entry.known_by.value,
        }
        draft = AuditDraft("freeze.hold.latched", "latch freeze", "freeze", str(entry.id), new_value=told)
        await self._keep_entry(self._runtime, entry.caller, draft)

    # what earlier processes have left

    async def boots_that_wait(self) -> list[str]:
        """Processes with this data directory whose journals are not empty: what they keep may not be in the database.

        Raises:
            SpoolError: the directory cannot be read.
        """
        return [other.path.stem for other in await self._own.journal.others()]

    async def read(self) -> None:
        """Take up what processes that have ended left; what cannot be read may be a freeze, so nobody gets a permit."""
        try:
            await self._own.journal.spool.lines()
            others = await self._own.journal.others()
            for other in others:
                await self._take(other)
            self._runtime.latched.unread = None
        except SpoolError as error:
            if self._runtime.latched.unread is not None:  # once read, only a disk that has gone bad since
                self._runtime.latched.unread = f"the journal of freezes cannot be read: {error}"
            log.critical("freeze_journal_not_read", why=str(error))

    async def _take(self, other: Journal) -> None:
        if any(one.journal.path == other.path for one in self._taken):
            return
        try:
            found = await other.read()
        except SpoolError as error:
            await other.let_go()
            if isinstance(error.__cause__, BlockingIOError):  # its process lives
                return
            raise
        if found.refused:
            await self._refuse(other, found.refused)
        self._taken.append(_Source(other, {entry.id for entry in found.entries}))
        for entry in found.entries:
            if entry.id not in self._waiting:
                self._waiting[entry.id] = _Waiting(entry, self._runtime.latched.latch(_hold_of(entry)), kept=True)
        log.warning("freeze_journal_taken_over", file=other.path.name, freezes=len(found.entries))

    async def _refuse(self, journal: Journal, lines: tuple[bytes, ...]) -> None:
        """Say aloud that somebody else wrote there, or that something was changed: it freezes nothing."""
        self._runtime.latched.refused_lines += len(lines)
        log.critical("freeze_journal_lines_refused", file=journal.path.name, lines=len(lines))
        draft = AuditDraft(
            "freeze.journal.refused",
            "refuse lines of a journal",
            result=AuditResult.FAILURE,
            error_message=f"{len(lines)} lines of {journal.path.name} are none of ours; they are set aside beside it",
        )
        await self._keep_entry(self._runtime, system_caller("freeze"), draft)
        await journal.set_aside(lines)

    # into the database

    async def keep_at_it(self) -> None:
        """Put freezes into the database, look for those of processes that end, and watch the disk, for ever."""
        pause_s, looked_at = RETRY_MIN_S, 0.0
        monotonic = self._runtime.clock.monotonic
        while True:
            try:
                if monotonic() - looked_at >= LOOK_EVERY_S:
                    await self._look()
                    looked_at = monotonic()
                await self.drain()
            # the task's boundary: it must outlive whatever it meets
            except Exception:
                log.exception("freeze_draining_failed")
            pause_s = min(pause_s * 2, RETRY_MAX_S) if self._waiting else RETRY_MIN_S
            self._woken.clear()
            await self._until_woken(pause_s if self._waiting else LOOK_EVERY_S)

    async def _until_woken(self, limit_s: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                await self._woken.wait()
                await asyncio.sleep(RETRY_MIN_S)  # the database has just failed

    async def _look(self) -> None:
        runtime, journal = self._runtime, self._own.journal
        await self.read()
        with suppress(SpoolError):  # said by `read` already
            beside = {other.path for other in await journal.others()} - {one.journal.path for one in self._taken}
            runtime.latched.journals_elsewhere = len(beside) + await journal.elsewhere()
        await journal.spool.probe(runtime.clock.random_bytes(PROBE_BYTES))
        runtime.latched.journal_problem = journal.spool.problem
        for waiting in [one for one in self._waiting.values() if not one.kept]:
            await self._keep(waiting)

    async def drain(self) -> None:
        """One attempt to put everything that waits into the database, and forgetting of what is there."""
        for ident, waiting in list(self._waiting.items()):
            try:
                await self._store(waiting.entry)
            except TimeoutError as error:  # it hangs: so it would for the others
                log.warning("freeze_not_stored_yet", id=str(ident), error=str(error))
                break
            # the boundary to the database: whatever keeps it from taking a freeze, the freeze stays in force here,
            # and others are not held up by it
            except Exception as error:  # noqa: BLE001  told every second, so without a traceback
                log.warning("freeze_not_stored_yet", id=str(ident), error=f"{type(error).__name__}: {error}"[:300])
                continue
            del self._waiting[ident]
            self._runtime.latched.let_go(ident)
            log.warning("freeze_stored", id=str(ident), latched_at=waiting.entry.at.isoformat())
        self._runtime.metrics.freezes_latched.set(len(self._waiting))
        with suppress(SpoolError):  # what stays on the disk is found in the database the next time
            await self._forget()

    async def _store(self, entry: Entry) -> None:
        runtime = self._runtime
        await runtime.reserve.attempt(lambda session: holds.store_latched(session, runtime, entry), DRAIN_LIMIT_S)

    async def _forget(self) -> None:
        """Shorten journals of which the database has every freeze."""
        own = self._own
        if own.ids and own.ids.isdisjoint(self._waiting) and not self._keeping:
            await own.journal.clear()
            own.ids.clear()
        for source in [one for one in self._taken if one.ids.isdisjoint(self._waiting)]:
            await source.journal.clear()
            await source.journal.close()
            self._taken.remove(source)

    async def close(self) -> None:
        """Let go of every file; what waits stays for the next process."""
        for source in (self._own, *self._taken):
            await source.journal.close()


def _hold_of(entry: Entry) -> LatchedHold:
    return LatchedHold(entry.id, core.normalised(entry.request.scope), entry.request.mode)


def _shown(waiting: _Waiting) -> Freeze:
    """A freeze that waits, as the wire shows it."""
    entry = waiting.entry
    return Freeze(
        id=str(entry.id),
        ref=LATCHED_REF,
        epoch=0,
        scope=core.normalised(entry.request.scope),
        mode=entry.request.mode,
        status=FreezeStatus.LATCHED,
        reason=entry.request.reason,
        created_by=entry.caller.subject,
        created_at=entry.at,
        revoked=waiting.revoked,
        kept=waiting.kept,
    )


@asynccontextmanager
async def latching(runtime: Runtime, keep_entry: KeepEntry) -> AsyncIterator[Keeper]:
    """Look after them while the context is open."""
    keeper = Keeper(runtime, keep_entry)
    await keeper.read()
    task = asyncio.create_task(keeper.keep_at_it(), name="latched freezes")
    try:
        yield keeper
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await keeper.close()
