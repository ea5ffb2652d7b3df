"""Keeps how each row of the backup matrix stood, with the audit entry of what was looked at. Never commits."""

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from backend.audit import service as audit
from backend.audit.service import AuditDraft
from backend.context import Caller, Runtime
from backend.continuity.tables import DATA_CHARS, BackupCheckRow
from contract.audit import AuditResult
from contract.recovery import BackupCheck, BackupState

MAX_ROWS: Final = 1000
"""Rows of a policy's matrix; a real one has five."""
_RESOURCE: Final = "backup"
_BAD: Final = frozenset({BackupState.MISSING, BackupState.FAILED, BackupState.STALE})


async def stored(session: AsyncSession) -> Mapping[str, BackupCheck]:
    """How the rows that were ever looked at stood, by name."""
    rows = await session.execute(select(BackupCheckRow.data, BackupCheckRow.shown).limit(MAX_ROWS))
    return {data: BackupCheck.model_validate(shown) for data, shown in rows}


async def stored_row(session: AsyncSession, data: str) -> BackupCheck | None:
    """How a row stood; None if it was never looked at. Nobody else changes it before the transaction ends."""
    wanted = select(BackupCheckRow.shown).where(BackupCheckRow.data == data[:DATA_CHARS]).with_for_update()
    shown = await session.scalar(wanted)
    return None if shown is None else BackupCheck.model_validate(shown)


async def keep(
    session: AsyncSession, runtime: Runtime, caller: Caller, check: BackupCheck, *, restored: bool, tell: bool
) -> None:
    """Write how a row stands; `tell` says whether it is worth an entry."""
    values: dict[str, Any] = {"checked_at": check.checked_at, "shown": check.model_dump(mode="json")}
    row = insert(BackupCheckRow).values(data=check.data[:DATA_CHARS], **values)
    await session.execute(row.on_conflict_do_update(index_elements=["data"], set_=values))
    if tell:
        await audit.record(session, runtime, caller, _entry(check, restored=restored))


def _entry(check: BackupCheck, *, restored: bool) -> AuditDraft:
    told: dict[str, Any] = {
        "state": check.state.value,
        "source": check.source,
        "newest_at": check.newest_at.isoformat() if check.newest_at else None,
        "size_bytes": check.size_bytes,
    }
    if restored:
        told |= {"restore_ok": check.restore_ok, "restore_ms": check.restore_ms, "restored": check.restore_found}
    bad = check.state in _BAD
    return AuditDraft(
        "recovery.backup.checked",
        "restore backup for comparison" if restored else "check backup",
        _RESOURCE,
        check.data,
        new_value=told,
        result=AuditResult.FAILURE if bad else AuditResult.SUCCESS,
        error_message=check.found if bad else None,
    )
