"""The policy's backup matrix: looks at each row, has backups restored and compared, keeps what was found.

A row without a source is said to be looked at by nobody, and one whose last restore failed is not good again before a
restore has gone well. Must never restore anything near the database that is in use.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Final

import structlog
from fastapi import Depends, Request
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from backend.context import Caller, Runtime, system_caller
from backend.continuity import backup_looking, backup_store
from backend.continuity.backup_looking import Seen
from backend.continuity.backup_reading import plain
from backend.continuity.backup_restoring import Restored, restore
from backend.diskthread import DiskSilentError, DiskThread
from backend.errors import WatchfloorError, not_found
from backend.policy.programme import Backup
from backend.policy.recovery import BackupSource
from contract.errors import ErrorCode
from contract.recovery import BackupCheck, BackupMatrix, BackupState

log = structlog.get_logger(__name__)

LOOK_LIMIT_S: Final = 8.0
"""A look reads a header, or stats every file of a base backup; a precondition of a drill waits for it."""
CALLER: Final = system_caller("recovery")
RESTORED_HERE: Final = frozenset({"pg_dump", "pg_basebackup"})
_DISK: Final = DiskThread("backups")
"""One look at a time in a process: a place that hangs holds up no other thread."""


def _row(runtime: Runtime, data: str) -> Backup:
    for row in runtime.policy.backups:
        if row.data == data:
            return row
    raise not_found("backup", data)


def source_of(runtime: Runtime, data: str) -> BackupSource | None:
    """Where the policy says that the backups of a row are."""
    return next((one for one in runtime.policy.recovery.backups if one.data == data), None)


def _blank(row: Backup, state: BackupState, found: str) -> BackupCheck:
    return BackupCheck(
        data=row.data, frequency=row.frequency, retention_days=row.retention_days, storage=row.storage,
        recovery_method=row.recovery_method, state=state, found=found,
    )  # fmt: skip


def _shown(row: Backup, source: BackupSource | None, kept: BackupCheck | None, now: datetime) -> BackupCheck:
    """A row as it stands now: what was found then may be too old since."""
    if source is None:
        told = "Nobody looks at it here: watchfloor.recovery.backups does not say where its backups are."
        return _blank(row, BackupState.NOT_CHECKED, told)
    if kept is None or kept.source != source.kind:
        return _blank(row, BackupState.NOT_CHECKED, "It has not been looked at yet.").model_copy(
            update={"source": source.kind}
        )
    named = _blank(row, kept.state, kept.found).model_dump(include=set(Backup.model_fields))
    shown = kept.model_copy(update=named)
    age = None if shown.newest_at is None else now - shown.newest_at
    if shown.state is BackupState.OK and age is not None and age > timedelta(hours=source.max_age_hours):
        told = f"{shown.found} That is {age.total_seconds() / 3600:.1f} h ago; {source.max_age_hours} h are allowed."
        shown = shown.model_copy(update={"state": BackupState.STALE, "found": told})
    return shown


async def matrix(session: AsyncSession, runtime: Runtime) -> BackupMatrix:
    """Every row of the matrix as it was last found to be; looks at nothing itself."""
    kept, now = await backup_store.stored(session), runtime.clock.now()
    rows = [_shown(row, source_of(runtime, row.data), kept.get(row.data), now) for row in runtime.policy.backups]
    return BackupMatrix(rows=rows, as_of=now)


async def fresh_matrix(runtime: Runtime) -> BackupMatrix:
    """Every row of the matrix, looked at now; keeps nothing. For whoever is about to need a backup."""
    async with runtime.database.read() as session:
        found = await matrix(session, runtime)
    rows = [
        row if (source := source_of(runtime, row.data)) is None else _merged(runtime, row, await _look(runtime, source))
        for row in found.rows
    ]
    return BackupMatrix(rows=rows, as_of=runtime.clock.now())


async def check_row(runtime: Runtime, data: str, *, restore: bool, caller: Caller = CALLER) -> BackupCheck:
    """Look at a row now, and have its newest backup restored and compared if asked; keeps what was found.

    Raises:
        WatchfloorError: NOT_FOUND.
    """
    row, source = _row(runtime, data), source_of(runtime, data)
    if source is None:
        return _shown(row, None, None, runtime.clock.now())
    seen = await _look(runtime, source)
    restored = await _restored(source, seen) if restore else None
    async with runtime.database.transaction() as session:
        return await _keep(session, runtime, caller, source, seen, restored, asked=True)


async def look_at_all(session: AsyncSession, runtime: Runtime) -> list[BackupCheck]:
    """Look at every row that has a source, and keep what was found; told in the ledger where something changed."""
    return [
        await _keep(session, runtime, CALLER, source, await _look(runtime, source), None, asked=False)
        for source in runtime.policy.recovery.backups
    ]


async def _look(runtime: Runtime, source: BackupSource) -> Seen:
    now = runtime.clock.now()
    try:
        return await _DISK.do(lambda: backup_looking.look(source, now), LOOK_LIMIT_S)
    except DiskSilentError as error:
        return Seen(BackupState.FAILED, f"{source.location} cannot be looked at: {error}.")


async def _restored(source: BackupSource, seen: Seen) -> Restored | None:
    if source.kind not in RESTORED_HERE or seen.path is None:
        return None
    return await restore(seen.path, source.kind)


async def _keep(  # noqa: PLR0917  what was found, and who asked
    session: AsyncSession,
    runtime: Runtime,
    caller: Caller,
    source: BackupSource,
    seen: Seen,
    restored: Restored | None,
    *,
    asked: bool,
) -> BackupCheck:
    before = await backup_store.stored_row(session, source.data)
    now = runtime.clock.now()
    shown = _shown(_row(runtime, source.data), source, before, now)
    check = _merged(runtime, shown, seen)
    if restored is not None:
        check = _with_restore(check, restored, now)
    changed = before is None or (before.state, before.newest_at) != (check.state, check.newest_at)
    await backup_store.keep(session, runtime, caller, check, restored=restored is not None, tell=asked or changed)
    return check


def _merged(runtime: Runtime, row: BackupCheck, seen: Seen) -> BackupCheck:
    """What was seen now, with what is known of the last restore."""
    state, found = seen.state, seen.found
    if state is BackupState.OK and row.restore_ok is False:
        state, found = BackupState.FAILED, f"{found} The last restore failed: {row.restore_found}"
    return row.model_copy(
        update={
            "state": state,
            "found": found,
            "newest_at": seen.newest_at,
            "size_bytes": seen.size_bytes,
            "checked_at": runtime.clock.now(),
            "facts": dict(seen.facts),
        }
    )


def _with_restore(check: BackupCheck, restored: Restored, now: datetime) -> BackupCheck:
    verdict = restored.verdict
    told = plain(verdict.found, 1000)
    update: dict[str, object] = {
        "restored_at": now,
        "restore_found": told,
        "restore_ok": verdict.ok,
        "restore_ms": restored.ms,
        "facts": {**check.facts, "restored": plain(verdict.name, 200), "ledger_entries": verdict.ledger_entries},
    }
    if verdict.ok is False and check.state in {BackupState.OK, BackupState.FAILED}:
        update |= {"state": BackupState.FAILED, "found": f"It could not be restored: {told}"}
    return check.model_copy(update=update)


@dataclass
class Checks:
    """The check that runs at this backend, if one does: one at a time. One event loop uses it."""

    runtime: Runtime
    _task: asyncio.Task[None] | None = None
    _data: str = ""

    async def begin(self, session: AsyncSession, caller: Caller, data: str, *, restored: bool) -> BackupCheck:
        """Look at a row, and go on with a restore in the background if one is asked for.

        Raises:
            WatchfloorError: NOT_FOUND; CONFLICT while a backup is restored here.
        """
        runtime = self.runtime
        row, source = _row(runtime, data), source_of(runtime, data)
        if source is None:
            return _shown(row, None, None, runtime.clock.now())
        if restored:
            self._refuse_second()
        seen = await _look(runtime, source)
        check = await _keep(session, runtime, caller, source, seen, None, asked=True)
        if not restored:
            return check
        if source.kind not in RESTORED_HERE:
            told = f"Backups of {source.kind} are not restored here."
            return check.model_copy(update={"restore_found": told})
        if seen.path is None:
            return check
        self._refuse_second()  # another request may have come in between
        self._data = data
        self._task = asyncio.create_task(self._restore(caller, data), name="restore of a backup")
        told = f"{check.found} It is being restored into a scratch server."
        return check.model_copy(update={"found": told, "restoring": True})

    def marked(self, found: BackupMatrix) -> BackupMatrix:
        """The matrix with the row that is being restored here."""
        at = self._data if self._task is not None else None
        return found.model_copy(
            update={"rows": [row.model_copy(update={"restoring": row.data == at}) for row in found.rows]}
        )

    def _refuse_second(self) -> None:
        if self._task is not None:
            raise WatchfloorError(ErrorCode.CONFLICT, f"A backup of {self._data} is being restored here already.")

    async def _restore(self, caller: Caller, data: str) -> None:
        try:
            await check_row(self.runtime, data, restore=True, caller=caller)
        except (SQLAlchemyError, OSError) as error:  # the database is away: the next one who asks starts again
            log.warning("backup_check_not_kept", data=data, error=type(error).__name__)
        finally:
            self._task = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Checks"]:
        """End what runs with the context; its scratch server goes with it."""
        try:
            yield self
        finally:
            if self._task is not None:
                self._task.cancel()
                await asyncio.gather(self._task, return_exceptions=True)


async def _checks(request: Request) -> Checks:  # async: a plain function costs a thread a request
    checks: Checks = request.app.state.backups
    return checks


CurrentChecks = Annotated[Checks, Depends(_checks)]
