"""Writing audit entries. `record` joins the caller's transaction; nothing here updates or deletes."""

import warnings
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, literal, select
from sqlalchemy.ext.asyncio import AsyncSession

from backend.audit.canonical import MAX_TEXT_CHARS, clean_address, clean_text, clean_values
from backend.audit.events import AuditEvent
from backend.audit.outbox import Waiting, enqueue
from backend.audit.sealing import Owner, seal_fields
from backend.audit.subjects import surrogate_of
from backend.audit.tables import LedgerEntry
from backend.context import Caller, Runtime
from backend.db import after_commit
from backend.paging import COUNT_CAP
from contract.audit import AuditResult
from ledger.canon import format_instant
from ledger.entry import Detail, Index

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


_WIDTH_CHARS = {
    "user_id": 100,
    "role": 50,
    "user_agent": 300,
    "action": 100,
    "resource_type": 50,
    "resource_id": 100,
    "request_id": 100,
    "error_message": MAX_TEXT_CHARS,
}
"""What is longer is cut: the columns of the compliance document, and one screenful."""
PERSON_RESOURCE = "user"
"""Resources of this type are people: the ledger names them by their surrogate."""


async def record(session: AsyncSession, runtime: Runtime, caller: Caller, draft: AuditDraft) -> UUID:
    """Write one entry with the caller's transaction: either the change and its entry exist, or neither does.

    Text from outside is made storable and cut to fit rather than refused: hostile text must not hide an act.

    Raises:
        TypeError: a value of the draft is a float or has no JSON form.
        ValueError: a value of the draft nests too deeply.
        ErasedSubjectError: the caller's personal data was erased.
    """
    if draft.event_type not in _REGISTERED:
        warnings.warn(f"audit event type {draft.event_type!r} is not in backend.audit.events", stacklevel=2)
    category = runtime.policy.audit_category(draft.event_type)
    log, ident, now = runtime.policy.audit_log(category), runtime.clock.new_id(), runtime.clock.now()
    actor = await _actor(session, runtime, caller)
    personal = {"ip_address": clean_address(caller.ip), "user_agent": _text("user_agent", caller.user_agent)}
    known = {field: value for field, value in personal.items() if value is not None}
    index = Index(
        id=str(ident),
        log=log,
        occurred_at=format_instant(now.astimezone(UTC)),
        category=category,
        event_type=str(draft.event_type),
        action=_text("action", draft.action) or str(draft.event_type),
        actor=actor,
        actor_type=caller.kind,
        outcome=draft.result.value,
        resource_type=_text("resource_type", draft.resource_type),
        resource_id=await _resource(session, runtime, draft),
        request_id=_text("request_id", caller.request_id) or None,
        incident=None,
    )
    waiting = Waiting(
        index=index,
        actor_role=_text("role", caller.role),
        detail=_detail(draft),
        sealed=await seal_fields(session, runtime, Owner(log, index.id, actor or caller.kind), known),
        emitted_at=now,
    )
    enqueue(session, runtime, waiting)
    counter = runtime.metrics.audit_entries.labels(category)
    after_commit(session, counter.inc)
    return ident


async def _actor(session: AsyncSession, runtime: Runtime, caller: Caller) -> str | None:
    """Who acted: a person's surrogate, or the name of a machine, which is nobody's personal data."""
    if caller.kind == "user":
        return await surrogate_of(session, runtime, clean_text(caller.subject, _WIDTH_CHARS["user_id"]))
    return _text("user_id", caller.subject)


async def _resource(session: AsyncSession, runtime: Runtime, draft: AuditDraft) -> str | None:
    if draft.resource_type == PERSON_RESOURCE and draft.resource_id:
        return await surrogate_of(session, runtime, clean_text(draft.resource_id, _WIDTH_CHARS["resource_id"]))
    return _text("resource_id", draft.resource_id)


def _detail(draft: AuditDraft) -> Detail:
    return Detail(
        old_value=None if draft.old_value is None else clean_values(draft.old_value),
        new_value=None if draft.new_value is None else clean_values(draft.new_value),
        error_message=_text("error_message", draft.error_message),
        metadata=clean_values(draft.metadata),
    )


def _text(column: str, value: str | None) -> str | None:
    return None if value is None else clean_text(value, _WIDTH_CHARS[column])


async def count_since(session: AsyncSession, event_type: str, since: datetime) -> int:
    """How many entries of one event type were written since an instant; counts no further than the counting cap."""
    capped = (
        select(literal(1))
        .where(LedgerEntry.event_type == event_type, LedgerEntry.occurred_at >= since)
        .limit(COUNT_CAP)
        .subquery()
    )
    return (await session.execute(select(func.count()).select_from(capped))).scalar_one()
