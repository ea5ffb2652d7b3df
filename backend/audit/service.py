"""Writing audit entries. `record` joins the caller's transaction; nothing here updates or deletes."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, literal, select
from sqlalchemy.ext.asyncio import AsyncSession

from backend.audit.canonical import MAX_TEXT_CHARS, clean_address, clean_text, clean_values
from backend.audit.events import AuditEvent
from backend.audit.naming import line_without_names, names_known, taken_out, without_names
from backend.audit.outbox import Waiting, enqueue
from backend.audit.sealing import Owner, seal_fields
from backend.audit.subjects import PERSON_RESOURCE, owner_of, surrogate_of
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
    sealed: Mapping[str, str] = field(default_factory=dict)
    """Personal values beside the caller's address: the entry keeps a commitment, the value can be forgotten."""
    log: str | None = None
    """Another log than the category's: `meta`, for what is done to the ledger itself."""


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
ROUTE_RESOURCE = "route"
"""Resources of this type are addresses of ours, as they were asked for."""
MAX_SEALED_CHARS = 1_000
"""One personal value, e.g. a name or an address."""


async def record(session: AsyncSession, runtime: Runtime, caller: Caller, draft: AuditDraft) -> UUID:
    """Write one entry with the caller's transaction: either the change and its entry exist, or neither does.

    Text from outside is made storable and cut to fit rather than refused: hostile text must not hide an act. Names of
    people become surrogates, personal values are sealed.

    Raises:
        TypeError: a value of the draft is a float or has no JSON form.
        ValueError: a value of the draft nests too deeply.
    """
    if draft.event_type not in _REGISTERED:
        warnings.warn(f"audit event type {draft.event_type!r} is not in backend.audit.events", stacklevel=2)
    ident, now = runtime.clock.new_id(), runtime.clock.now()
    detail, personal = taken_out(_detail(draft), runtime.policy.privacy.sealed_fields)
    names = await names_known(session, runtime)
    index = await _index(session, runtime, caller, draft, ident=ident, now=now, names=names)
    owner = Owner(index.log, index.id, owner_of(index.actor, index.actor_type, index.resource_type, index.resource_id))
    waiting = Waiting(
        index=index,
        actor_role=_text("role", caller.role),
        detail=without_names(detail, names),
        sealed=await seal_fields(session, runtime, owner, personal | _personal(caller, draft)),
        emitted_at=now,
    )
    enqueue(session, runtime, waiting)
    counter = runtime.metrics.audit_entries.labels(index.category)
    after_commit(session, counter.inc)
    return ident


async def _index(
    session: AsyncSession,
    runtime: Runtime,
    caller: Caller,
    draft: AuditDraft,
    *,
    ident: UUID,
    now: datetime,
    names: Mapping[str, str],
) -> Index:
    """What an entry is found by."""
    category = runtime.policy.audit_category(draft.event_type)
    resource_id = await _resource(session, runtime, draft)
    if draft.resource_type == ROUTE_RESOURCE and resource_id:  # whoever asked may have put anything into it
        resource_id = line_without_names(resource_id, names)
    return Index(
        id=str(ident),
        log=draft.log or runtime.policy.audit_log(category),
        occurred_at=format_instant(now.astimezone(UTC)),
        category=category,
        event_type=str(draft.event_type),
        action=_text("action", line_without_names(draft.action, names)) or str(draft.event_type),
        actor=await _actor(session, runtime, caller),
        actor_type=caller.kind,
        outcome=draft.result.value,
        resource_type=_text("resource_type", draft.resource_type),
        resource_id=resource_id,
        request_id=_text("request_id", caller.request_id) or None,
        incident=None,
    )


async def _actor(session: AsyncSession, runtime: Runtime, caller: Caller) -> str | None:
    """Who acted: a person's surrogate, or the name of a machine, which is nobody's personal data."""
    if caller.kind == "user":
        return await surrogate_of(session, runtime, clean_text(caller.subject, _WIDTH_CHARS["user_id"]))
    return _text("user_id", caller.subject)


async def _resource(session: AsyncSession, runtime: Runtime, draft: AuditDraft) -> str | None:
    if draft.resource_type == PERSON_RESOURCE and draft.resource_id:
        return await surrogate_of(session, runtime, clean_text(draft.resource_id, _WIDTH_CHARS["resource_id"]))
    return _text("resource_id", draft.resource_id)


def _personal(caller: Caller, draft: AuditDraft) -> dict[str, str]:
    """What is sealed: from where the caller came, and what the draft says is personal."""
    told = {name: clean_text(value, MAX_SEALED_CHARS) for name, value in draft.sealed.items()}
    came_from = {"ip_address": clean_address(caller.ip), "user_agent": _text("user_agent", caller.user_agent)}
    return told | {name: value for name, value in came_from.items() if value is not None}


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
