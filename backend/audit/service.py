"""Writing and finding audit entries. `record` joins the caller's transaction; nothing here updates or deletes."""

import hashlib
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import func, literal, select
from sqlalchemy.ext.asyncio import AsyncSession

from backend.audit.tables import AuditLog
from backend.context import Caller, Runtime
from backend.paging import COUNT_CAP
from contract.audit import AuditResult


@dataclass(frozen=True, slots=True)
class AuditDraft:
    """What happened; the rest (who, when, from where, category, hash) is added by `record`."""

    event_type: str
    """`area.subject.act`, e.g. freeze.hold.created; its category comes from the policy."""
    action: str
    resource_type: str | None = None
    resource_id: str | None = None
    old_value: dict[str, Any] | None = None
    new_value: dict[str, Any] | None = None
    result: AuditResult = AuditResult.SUCCESS
    error_message: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)


def _entry_hash(row: AuditLog) -> str:
    body = {
        "id": str(row.id),
        "timestamp": row.timestamp.isoformat(),
        "category": row.category,
        "event_type": row.event_type,
        "user_id": row.user_id,
        "ip_address": row.ip_address,
        "user_agent": row.user_agent,
        "action": row.action,
        "resource_type": row.resource_type,
        "resource_id": row.resource_id,
        "old_value": row.old_value,
        "new_value": row.new_value,
        "result": row.result,
        "error_message": row.error_message,
        "metadata": row.entry_metadata,
    }
    return hashlib.sha256(orjson.dumps(body, option=orjson.OPT_SORT_KEYS)).hexdigest()


async def record(session: AsyncSession, runtime: Runtime, caller: Caller, draft: AuditDraft) -> UUID:
    """Write one entry in the caller's transaction: either the change and its entry exist, or neither does."""
    row = AuditLog(
        id=runtime.clock.new_id(),
        timestamp=runtime.clock.now(),
        category=runtime.policy.audit_category(draft.event_type),
        event_type=draft.event_type,
        user_id=caller.subject,
        ip_address=caller.ip,
        user_agent=caller.user_agent,
        action=draft.action,
        resource_type=draft.resource_type,
        resource_id=draft.resource_id,
        old_value=draft.old_value,
        new_value=draft.new_value,
        result=draft.result.value,
        error_message=draft.error_message,
        entry_metadata={**draft.metadata, "request_id": caller.request_id, "role": caller.role},
    )
    row.hash = _entry_hash(row)
    session.add(row)
    return row.id


async def count_since(session: AsyncSession, event_type: str, since: datetime) -> int:
    """How many entries of one event type were written since an instant; counts no further than the counting cap."""
    capped = (
        select(literal(1))
        .where(AuditLog.event_type == event_type, AuditLog.timestamp >= since)
        .limit(COUNT_CAP)
        .subquery()
    )
    return (await session.execute(select(func.count()).select_from(capped))).scalar_one()
