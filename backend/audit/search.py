"""Finding audit entries: filters, full text, keyset pages. Every search is itself an entry."""

import re
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, IPvAnyAddress, field_validator, model_validator
from sqlalchemy import ColumnElement, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from backend.audit.canonical import clean_address
from backend.audit.events import AuditEvent
from backend.audit.service import AuditDraft, record
from backend.audit.tables import AuditLog
from backend.context import Caller, Runtime
from backend.errors import known_ident, not_found
from backend.paging import DEFAULT_PAGE_ROWS, MAX_PAGE_ROWS, count_capped, cut_page, newest_first
from contract.audit import AuditEntry, AuditResult
from contract.base import Page

_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)")
_EVENT_TYPE = r"^[a-z_]{1,20}(\.[a-z_]{1,20}){0,3}(\.\*)?$"
_ANY_BELOW = ".*"
SEARCH_LANGUAGE = "simple"
"""No stemming: an auditor looks for names and words as they were written."""


class AuditQuery(BaseModel):
    """What to look for; everything given must hold."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    since: datetime | None = Field(None, alias="from", description="RFC 3339 with a zone; entries from then on")
    until: datetime | None = Field(None, alias="to", description="RFC 3339 with a zone; entries before then")
    user: str | None = Field(None, max_length=100, description="Exact user name, executor:NAME or system:NAME")
    event_type: str | None = Field(None, pattern=_EVENT_TYPE, description="An event type, or area.* for all below")
    category: str | None = Field(None, max_length=50)
    resource_type: str | None = Field(None, max_length=50)
    resource_id: str | None = Field(None, max_length=100)
    result: AuditResult | None = None
    ip: IPvAnyAddress | None = None
    q: str | None = Field(None, min_length=1, max_length=300, description='Words; "a phrase"; or; -without')
    limit: int = Field(DEFAULT_PAGE_ROWS, ge=1, le=MAX_PAGE_ROWS)
    cursor: str | None = Field(None, max_length=200)
    count: bool = Field(default=False, description="Also count the matches, up to a cap")

    @field_validator("since", "until", mode="before")
    @classmethod
    def _instant(cls, value: Any) -> Any:
        if isinstance(value, str) and _RFC3339.fullmatch(value):
            with suppress(ValueError, OverflowError):
                return datetime.fromisoformat(value.upper()).astimezone(UTC)
        raise ValueError("write the time as 2026-01-31T13:45:00Z or with an offset such as +01:00 (%2B in addresses)")

    @model_validator(mode="after")
    def _window(self) -> "AuditQuery":
        if self.since and self.until and self.since >= self.until:
            raise ValueError("from must be before to")
        return self

    def filters(self) -> dict[str, Any]:
        """The filters as the search's own entry keeps them."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"limit", "cursor", "count"})


async def search(session: AsyncSession, runtime: Runtime, caller: Caller, query: AuditQuery) -> Page[AuditEntry]:
    """One page of matching entries, newest first; writes `audit.search.run` in the same transaction.

    Raises:
        WatchfloorError: INVALID_REQUEST when the cursor is not one of ours.
    """
    as_of = runtime.clock.now()
    conditions = _conditions(query)
    matching = select(AuditLog).where(*conditions)
    rows = (
        await session.scalars(newest_first(matching, AuditLog.timestamp, AuditLog.id, query.cursor, query.limit))
    ).all()
    total = await count_capped(session, AuditLog, conditions) if query.count else None
    page, more = cut_page(rows, query.limit, lambda row: (row.timestamp, row.id))
    draft = AuditDraft(
        AuditEvent.SEARCH_RUN,
        "search the audit log",
        resource_type="audit",
        new_value={"filters": query.filters(), "further_page": query.cursor is not None, "entries": len(page)},
    )
    await record(session, runtime, caller, draft)
    return Page(items=[_wire(row) for row in page], next_cursor=more, total=total, as_of=as_of)


async def entry(session: AsyncSession, runtime: Runtime, caller: Caller, entry_id: str) -> AuditEntry:
    """One entry; that it was read is recorded.

    Raises:
        WatchfloorError: NOT_FOUND.
    """
    ident = known_ident("audit entry", entry_id)
    row = await session.get(AuditLog, ident)
    if row is None:
        raise not_found("audit entry", entry_id)
    draft = AuditDraft(AuditEvent.ENTRY_READ, "read an audit entry", "audit", str(ident))
    await record(session, runtime, caller, draft)
    return _wire(row)


def _conditions(query: AuditQuery) -> list[ColumnElement[bool]]:
    equal = {
        AuditLog.user_id: query.user,
        AuditLog.category: query.category,
        AuditLog.resource_type: query.resource_type,
        AuditLog.resource_id: query.resource_id,
        AuditLog.result: query.result,
        AuditLog.ip_address: clean_address(str(query.ip)) if query.ip else None,
    }
    conditions: list[ColumnElement[bool]] = [column == value for column, value in equal.items() if value is not None]
    if query.since is not None:
        conditions.append(AuditLog.timestamp >= query.since)
    if query.until is not None:
        conditions.append(AuditLog.timestamp < query.until)
    if query.event_type is not None:
        conditions.append(_event_condition(query.event_type))
    if query.q is not None:
        conditions.append(AuditLog.search.op("@@")(func.websearch_to_tsquery(SEARCH_LANGUAGE, query.q)))
    return conditions


def _event_condition(event_type: str) -> ColumnElement[bool]:
    """A prefix becomes the list of its event types: an index over equal values stays usable."""
    if not event_type.endswith(_ANY_BELOW):
        return AuditLog.event_type == event_type
    prefix = event_type.removesuffix("*")
    return AuditLog.event_type.in_([event.value for event in AuditEvent if event.value.startswith(prefix)])


def _wire(row: AuditLog) -> AuditEntry:
    return AuditEntry(
        id=str(row.id),
        timestamp=row.timestamp,
        category=row.category,
        event_type=row.event_type,
        user_id=row.user_id,
        ip_address=row.ip_address,
        user_agent=row.user_agent,
        action=row.action,
        resource_type=row.resource_type,
        resource_id=row.resource_id,
        old_value=row.old_value,
        new_value=row.new_value,
        result=AuditResult(row.result),
        error_message=row.error_message,
        metadata=row.entry_metadata,
        hash=row.hash,
    )
