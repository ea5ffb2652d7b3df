"""Takes foreign audit logs into a log of their own, `import:NAME`. A record that is there already is not taken again.

The entries go the way of all others, through the outbox and the sequencer, and are in the tree like them.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from backend.audit import imported_logs
from backend.audit.canonical import clean_text, clean_values
from backend.audit.conditions import FOREIGN
from backend.audit.events import AuditEvent
from backend.audit.foreign import Foreign, ForeignRecordError, read
from backend.audit.outbox import Waiting, enqueue
from backend.audit.service import AuditDraft, record
from backend.audit.tables import AuditOutbox, LedgerEntry
from backend.context import Caller, Runtime
from backend.errors import WatchfloorError
from contract.audit import AuditResult, ForeignChunk, ForeignResult, ForeignSource, RefusedRecord
from contract.errors import ErrorCode
from ledger.canon import format_instant
from ledger.entry import Detail, Index

_NAME: Final = re.compile(r"[a-z][a-z0-9]{0,19}")
"""Without signs: the log's tables are named after it, and two logs must never share one."""
MAX_IMPORTED_LOGS: Final = 50
"""Each log costs every search a look; this many fit a cursor."""
MAX_REFUSALS_TOLD: Final = 20
"""How many refused records the entry about a chunk names; the answer has them all."""
_EVENTS: Final = {
    ForeignSource.CLOUDTRAIL: AuditEvent.FOREIGN_CLOUDTRAIL,
    ForeignSource.JSON: AuditEvent.FOREIGN_JSON,
}
_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended(:log, 0))")
_WIDTH_CHARS: Final = 100
_TYPE_CHARS: Final = 50
_ERROR_CHARS: Final = 1_000


async def take_in(
    session: AsyncSession, runtime: Runtime, caller: Caller, name: str, chunk: ForeignChunk
) -> ForeignResult:
    """Take the records of a chunk that are not in the log yet; those that cannot be entries are named, not dropped.

    Raises:
        WatchfloorError: INVALID_REQUEST for a name that no log can have and for an unknown retention; CONFLICT when
            there are too many logs, and for another retention than the log has.
    """
    log = await _log(session, name)
    await session.execute(_LOCK, {"log": log})
    retention = await imported_logs.settle(session, runtime, log, chunk.retention)
    good, refused = _read(log, chunk)
    ids = list(good)
    known = {*await _waiting(session, ids), *await _stored(session, log, ids)}
    new = [one for ident, one in good.items() if ident not in known]
    for one in new:
        enqueue(session, runtime, _entry(runtime, log, chunk, one))
    result = ForeignResult(
        imported=len(new),
        unchanged=len(chunk.records) - len(refused) - len(new),
        truncated=sum(one.truncated for one in new),
        refused=refused,
        retention=retention,
    )
    await record(session, runtime, caller, _told(log, chunk, result))
    return result


async def _log(session: AsyncSession, name: str) -> str:
    if not _NAME.fullmatch(name):
        raise WatchfloorError(
            ErrorCode.INVALID_REQUEST, "Name the log with at most 20 small letters and digits, a letter first."
        )
    log = FOREIGN + name
    heads = await session.execute(
        text("SELECT log FROM audit_heads WHERE starts_with(log, :prefix)"), {"prefix": FOREIGN}
    )
    logs = {row[0] for row in heads}
    if log not in logs and len(logs) >= MAX_IMPORTED_LOGS:
        raise WatchfloorError(ErrorCode.CONFLICT, f"There are {MAX_IMPORTED_LOGS} imported logs, which is the most.")
    return log


def _read(log: str, chunk: ForeignChunk) -> tuple[dict[UUID, Foreign], list[RefusedRecord]]:
    good: dict[UUID, Foreign] = {}
    refused: list[RefusedRecord] = []
    for one in chunk.records:
        try:
            found = read(log, chunk.source, one.text)
        except ForeignRecordError as error:
            refused.append(RefusedRecord(line=one.line, reason=clean_text(str(error), _WIDTH_CHARS)))
        else:
            good.setdefault(found.id, found)
    return good, refused


async def _waiting(session: AsyncSession, ids: Sequence[UUID]) -> set[UUID]:
    """Asked before the ledger: what leaves the outbox in between is then found there."""
    return set(await session.scalars(select(AuditOutbox.id).where(AuditOutbox.id.in_(ids))))


async def _stored(session: AsyncSession, log: str, ids: Sequence[UUID]) -> set[UUID]:
    wanted = select(LedgerEntry.id).where(LedgerEntry.log == log, LedgerEntry.id == func.any(list(ids)))
    return set(await session.scalars(wanted))


def _entry(runtime: Runtime, log: str, chunk: ForeignChunk, one: Foreign) -> Waiting:
    event = _EVENTS[chunk.source]
    now = runtime.clock.now().astimezone(UTC)
    when: datetime = one.occurred_at or now
    index = Index(
        id=str(one.id),
        log=log,
        occurred_at=format_instant(when),
        category=runtime.policy.audit_category(event),
        event_type=event.value,
        action=_cut(one.action, _WIDTH_CHARS) or event.value,
        actor=_cut(one.actor, _WIDTH_CHARS),
        actor_type=_cut(one.actor_type, _TYPE_CHARS),
        outcome=one.outcome.value,
        resource_type=_cut(one.resource_type, _TYPE_CHARS),
        resource_id=_cut(one.resource_id, _WIDTH_CHARS),
        request_id=_cut(one.request_id, _WIDTH_CHARS),
        incident=None,
    )
    source = {"file": clean_text(chunk.file, _WIDTH_CHARS), "imported_at": format_instant(now)}
    detail = Detail(
        new_value=dict(one.facts), metadata=clean_values(source), error_message=_cut(one.error_message, _ERROR_CHARS)
    )
    return Waiting(index=index, actor_role=None, detail=detail, sealed=(), emitted_at=now)


def _cut(value: str | None, limit: int) -> str | None:
    return None if value is None else clean_text(value, limit)


def _told(log: str, chunk: ForeignChunk, result: ForeignResult) -> AuditDraft:
    nothing = bool(result.refused) and not result.imported and not result.unchanged
    return AuditDraft(
        AuditEvent.FOREIGN_IMPORTED,
        "import a foreign audit log",
        resource_type="audit_log",
        resource_id=log,
        new_value={
            "file": chunk.file,
            "source": chunk.source,
            "retention": result.retention,
            "imported": result.imported,
            "unchanged": result.unchanged,
            "truncated": result.truncated,
            "refused": len(result.refused),
            "refused_lines": [one.model_dump() for one in result.refused[:MAX_REFUSALS_TOLD]],
        },
        result=AuditResult.FAILURE if nothing else AuditResult.SUCCESS,
        error_message="every record was refused" if nothing else None,
    )
