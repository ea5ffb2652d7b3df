"""Writing and finding audit entries. `record` joins the caller's transaction; nothing here updates or deletes."""

import warnings
from dataclasses import dataclass, field
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Any
from uuid import UUID

from sqlalchemy import String, func, literal, select
from sqlalchemy.ext.asyncio import AsyncSession

from backend.audit.canonical import MAX_TEXT_CHARS, clean_address, clean_text, clean_values, digest
from backend.audit.events import AuditEvent
from backend.audit.tables import AuditLog
from backend.context import Caller, Runtime
from backend.db import after_commit
from backend.paging import COUNT_CAP
from contract.audit import AuditResult

_REGISTERED = frozenset(event.value for event in AuditEvent)


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


_WIDTH = {column.name: column.type.length for column in AuditLog.__table__.columns if isinstance(column.type, String)}


def verify_hash(row: AuditLog) -> bool:
    """Whether an entry, as read from the database, is the one its hash was made of."""
    return row.hash == _entry_hash(row)


def _entry_hash(row: AuditLog) -> str:
    return digest(
        {
            "id": str(row.id),
            "timestamp": row.timestamp.astimezone(UTC).isoformat(timespec="microseconds"),
            "category": row.category,
            "event_type": row.event_type,
            "user_id": row.user_id,
            "ip_address": None if row.ip_address is None else ip_address(row.ip_address).exploded,
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
    )


async def record(session: AsyncSession, runtime: Runtime, caller: Caller, draft: AuditDraft) -> UUID:
    """Write one entry in the caller's transaction: either the change and its entry exist, or neither does.

    Text from outside is made storable and cut to fit rather than refused: hostile text must not hide an act.

    Raises:
        TypeError: a value of the draft is a float or has no JSON form.
        ValueError: a value of the draft nests too deeply.
    """
    if draft.event_type not in _REGISTERED:
        warnings.warn(f"audit event type {draft.event_type!r} is not in backend.audit.events", stacklevel=2)
    row = AuditLog(
        id=runtime.clock.new_id(),
        timestamp=runtime.clock.now(),
        category=runtime.policy.audit_category(draft.event_type),
        event_type=draft.event_type,
        user_id=_text("user_id", caller.subject),
        ip_address=clean_address(caller.ip),
        user_agent=_text("user_agent", caller.user_agent),
        action=_text("action", draft.action),
        resource_type=draft.resource_type,
        resource_id=_text("resource_id", draft.resource_id),
        old_value=None if draft.old_value is None else clean_values(draft.old_value),
        new_value=None if draft.new_value is None else clean_values(draft.new_value),
        result=draft.result.value,
        error_message=_text("error_message", draft.error_message),
        entry_metadata=clean_values({**draft.metadata, "request_id": caller.request_id, "role": caller.role}),
    )
    row.hash = _entry_hash(row)
    session.add(row)
    counter = runtime.metrics.audit_entries.labels(row.category)
    after_commit(session, counter.inc)
    return row.id


def _text(column: str, value: str | None) -> str | None:
    return None if value is None else clean_text(value, _WIDTH[column] or MAX_TEXT_CHARS)


async def count_since(session: AsyncSession, event_type: str, since: datetime) -> int:
    """How many entries of one event type were written since an instant; counts no further than the counting cap."""
    capped = (
        select(literal(1))
        .where(AuditLog.event_type == event_type, AuditLog.timestamp >= since)
        .limit(COUNT_CAP)
        .subquery()
    )
    return (await session.execute(select(func.count()).select_from(capped))).scalar_one()
