"""Writing audit entries. `record` joins the caller's transaction; nothing here updates or deletes."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, literal, select
from sqlalchemy.ext.asyncio import AsyncSession

from backend.audit import subjects
from backend.audit.amounts import Amount, Part, amount_of
from backend.audit.canonical import MAX_TEXT_CHARS, clean_address, clean_text, clean_values
from backend.audit.counting import Often, done_often
from backend.audit.erasing import Destroyed, destroy, destroyed_subjects, still_there
from backend.audit.events import EVERY_EVENT
from backend.audit.following import Followed, entries_between, sizes
from backend.audit.identity import ledger_began
from backend.audit.introducing import surrogate_of
from backend.audit.meta import META_LOG
from backend.audit.naming import line_without_names, names_known, taken_out, with_names, without_names
from backend.audit.outbox import Waiting, enqueue
from backend.audit.quarantined import count_of as quarantined_values
from backend.audit.sealing import Owner, seal_fields
from backend.audit.subjects import ERASED, PERSON_RESOURCE, PREFIX, is_erased, owner_of, readmit
from backend.audit.tables import LedgerEntry, SealedField, Subject
from backend.context import Caller, Runtime
from backend.db import after_commit
from backend.errors import ConfigurationError
from backend.paging import COUNT_CAP
from backend.revocations import ErasedSubjectError
from contract.audit import AuditResult
from ledger.canon import format_instant
from ledger.entry import Detail, Index

__all__ = [
    "ERASED", "META_LOG", "Amount", "AuditDraft", "Destroyed", "Followed", "Often", "Part", "amount_of", "count_since",
    "destroy", "destroyed_subjects", "done_often", "entries_between", "find_person", "introduce", "is_erased",
    "ledger_began", "quarantined_values", "readmit", "record", "sealed_within", "shown_with_names", "sizes",
    "still_there", "stored_without_names", "surrogate_of",
]  # fmt: skip

_REGISTERED = frozenset(event.value for event in EVERY_EVENT)


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
    incident: str | None = None
    """The incident that it is about, e.g. INC-2026-001: entries of one incident are found together."""


_WIDTH_CHARS = {
    "user_id": 100,
    "role": 50,
    "user_agent": 300,
    "action": 100,
    "resource_type": 50,
    "resource_id": 100,
    "request_id": 100,
    "incident": 100,
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
    actor, resource_id = await _actor(session, runtime, caller), await _resource(session, runtime, draft)
    names = await _names(session, runtime, {caller.subject: actor, draft.resource_id or "": resource_id})
    index = _index(runtime, caller, draft, names)
    index = replace(
        index, id=str(ident), occurred_at=format_instant(now.astimezone(UTC)), actor=actor,
        resource_id=line_without_names(resource_id, names) if resource_id and _is_path(draft) else resource_id,
    )  # fmt: skip
    personal |= _personal(caller, draft)
    owner = Owner(index.log, index.id, owner_of(index.actor, index.actor_type, index.resource_type, index.resource_id))
    try:
        sealed = await seal_fields(session, runtime, owner, personal)
    except (ErasedSubjectError, ConfigurationError, OSError):
        # the act is told all the same, without what must not be kept of its person; also while the list of erasures
        # cannot be asked whether it may be: a disk that hangs must not stop a freeze
        sealed = ()
    if personal and not sealed:
        detail = replace(detail, metadata={**(detail.metadata or {}), "withheld": sorted(personal)})
    waiting = Waiting(
        index=index,
        actor_role=_text("role", caller.role),
        detail=without_names(detail, names),
        sealed=sealed,
        emitted_at=now,
    )
    enqueue(session, runtime, waiting)
    counter = runtime.metrics.audit_entries.labels(index.category)
    after_commit(session, counter.inc)
    return ident


def _index(runtime: Runtime, caller: Caller, draft: AuditDraft, names: Mapping[str, str]) -> Index:
    """What an entry is found by, as far as caller and draft tell."""
    category = runtime.policy.audit_category(draft.event_type)
    return Index(
        id="",
        log=draft.log or runtime.policy.audit_log(category),
        occurred_at="",
        category=category,
        event_type=str(draft.event_type),
        action=_text("action", line_without_names(draft.action, names)) or str(draft.event_type),
        actor=None,
        actor_type=caller.kind,
        outcome=draft.result.value,
        resource_type=_text("resource_type", draft.resource_type),
        resource_id=None,
        request_id=_text("request_id", caller.request_id) or None,
        incident=_text("incident", draft.incident),
    )


def _is_path(draft: AuditDraft) -> bool:
    """Whether the resource is an address that somebody asked for: they may have put anything into it."""
    return draft.resource_type == ROUTE_RESOURCE


async def _names(session: AsyncSession, runtime: Runtime, own: Mapping[str, str | None]) -> Mapping[str, str]:
    """Everybody's surrogates, and those of the people of this very entry, whom nobody else may know yet."""
    known = await names_known(session, runtime)
    fresh = {
        name.lower(): pid
        for name, pid in own.items()
        if pid is not None and pid.startswith(PREFIX) and not name.startswith(PREFIX) and name.lower() not in known
    }
    return {**known, **fresh} if fresh else known


async def _actor(session: AsyncSession, runtime: Runtime, caller: Caller) -> str | None:
    """Who acted: a person's surrogate, or the name of a machine, which is nobody's personal data."""
    if caller.kind == "user":
        return await surrogate_of(session, runtime, clean_text(caller.subject, _WIDTH_CHARS["user_id"]))
    return _text("user_id", caller.subject)


async def _resource(session: AsyncSession, runtime: Runtime, draft: AuditDraft) -> str | None:
    if draft.resource_type == PERSON_RESOURCE and draft.resource_id:
        return await surrogate_of(session, runtime, clean_text(draft.resource_id, _WIDTH_CHARS["resource_id"]))
    return _text("resource_id", draft.resource_id)


async def introduce(session: AsyncSession, runtime: Runtime, caller: Caller, draft: AuditDraft) -> None:
    """Have the ledger know the people of an entry that is to get a number it was given before: no other may get it."""
    await _actor(session, runtime, caller)
    await _resource(session, runtime, draft)


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


async def find_person(session: AsyncSession, name: str) -> str | None:
    """The surrogate of a person the ledger knows, by name or surrogate, or None."""
    return await subjects.find_either(session, name)


async def stored_without_names(session: AsyncSession, runtime: Runtime, text: str) -> str:
    """A text as other areas may keep it about personal data: with surrogates for the names in it."""
    return line_without_names(text, await names_known(session, runtime))


async def shown_with_names(session: AsyncSession, told: dict[str, Any]) -> dict[str, Any]:
    """The reverse, of values by name: with every name that is still known."""
    rows = await session.execute(select(Subject.pid, Subject.name).where(Subject.name.is_not(None)))
    shown: dict[str, Any] = with_names(told, {pid: name for pid, name in rows if name is not None})
    return shown


async def sealed_within(
    session: AsyncSession, subject: str, *, log: str | None, since: datetime | None, until: datetime | None
) -> bool:
    """Whether a subject has sealed values in a log, or any, between two instants."""
    wanted = select(literal(1)).where(SealedField.subject == subject)
    if log is not None:
        wanted = wanted.where(SealedField.log == log)
    if since is not None:
        wanted = wanted.where(SealedField.occurred_at >= since)
    if until is not None:
        wanted = wanted.where(SealedField.occurred_at < until)
    return await session.scalar(wanted.limit(1)) is not None
