"""Finding audit entries: filters, full text, keyset pages. Every search is itself an entry."""

import asyncio
import re
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, IPvAnyAddress, field_validator, model_validator
from sqlalchemy import ColumnElement, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import undefer

from backend.audit import subjects
from backend.audit.canonical import clean_address
from backend.audit.events import AuditEvent
from backend.audit.reading import Kept, shown
from backend.audit.service import AuditDraft, record
from backend.audit.tables import AuditOutbox, LedgerEntry, SealedField
from backend.context import Caller, Runtime
from backend.errors import known_ident, not_found
from backend.paging import DEFAULT_PAGE_ROWS, MAX_PAGE_ROWS, count_capped, cut_page, newest_first
from contract.audit import AuditEntry, AuditResult
from contract.base import Page
from ledger import seal

_NAMES_TOO = """
SELECT plainto_tsquery('simple', name),
    plainto_tsquery('simple', name) || plainto_tsquery('simple', split_part(pid, ':', 2))
FROM audit_subjects WHERE name IS NOT NULL
"""
"""Who looks for a name finds the entries of the person too, in which only the surrogate stands."""
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)")
_EVENT_TYPE = r"^[a-z_]{1,20}(\.[a-z_]{1,20}){0,3}(\.\*)?$"
_ANY_BELOW = ".*"
SETTLE_LIMIT_S = 0.25
"""How long a search waits for entries that are committed and not yet in the ledger."""
SETTLE_LOOK_S = 0.01
"""How often it looks."""
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
    await settled(session, as_of)
    conditions = await _conditions(session, runtime, query)
    matching = select(LedgerEntry).options(undefer(LedgerEntry.canon)).where(*conditions)
    paged = newest_first(matching, LedgerEntry.occurred_at, LedgerEntry.id, query.cursor, query.limit)
    rows = (await session.scalars(paged)).all()
    total = await count_capped(session, LedgerEntry, conditions) if query.count else None
    page, more = cut_page(rows, query.limit, lambda row: (row.occurred_at, row.id))
    draft = AuditDraft(
        AuditEvent.SEARCH_RUN,
        "search the audit log",
        resource_type="audit",
        new_value={"filters": query.filters(), "further_page": query.cursor is not None, "entries": len(page)},
    )
    await record(session, runtime, caller, draft)
    items = await shown(session, [Kept(row.log, row.seq, row.canon, row.occurred_at) for row in page])
    return Page(items=items, next_cursor=more, total=total, as_of=as_of)


async def entry(session: AsyncSession, runtime: Runtime, caller: Caller, entry_id: str) -> AuditEntry:
    """One entry; that it was read is recorded.

    Raises:
        WatchfloorError: NOT_FOUND.
    """
    ident = known_ident("audit entry", entry_id)
    await settled(session, runtime.clock.now())
    row = await session.scalar(
        select(LedgerEntry).options(undefer(LedgerEntry.canon)).where(LedgerEntry.id == ident).limit(1)
    )
    if row is None:
        raise not_found("audit entry", entry_id)
    draft = AuditDraft(AuditEvent.ENTRY_READ, "read an audit entry", "audit", str(ident))
    await record(session, runtime, caller, draft)
    return (await shown(session, [Kept(row.log, row.seq, row.canon, row.occurred_at)]))[0]


async def settled(session: AsyncSession, as_of: datetime) -> int:
    """Wait a moment for what was committed before `as_of` to reach the ledger; how many entries have not.

    Who acts and then searches finds the act; a sequencer that stands still delays a search by a quarter of a second.
    """
    waiting = select(func.count()).select_from(AuditOutbox).where(AuditOutbox.emitted_at <= as_of)
    deadline = time.monotonic() + SETTLE_LIMIT_S
    while (left := (await session.execute(waiting)).scalar_one()) and time.monotonic() < deadline:  # noqa: ASYNC110  other processes fill it
        await asyncio.sleep(SETTLE_LOOK_S)
    return left


async def _conditions(session: AsyncSession, runtime: Runtime, query: AuditQuery) -> list[ColumnElement[bool]]:
    equal = {
        LedgerEntry.category: query.category,
        LedgerEntry.resource_type: query.resource_type,
        LedgerEntry.resource_id: query.resource_id,
        LedgerEntry.outcome: query.result,
    }
    conditions: list[ColumnElement[bool]] = [column == value for column, value in equal.items() if value is not None]
    if query.user is not None:
        pid = await subjects.find(session, query.user)
        conditions.append(LedgerEntry.actor.in_([query.user] if pid is None else [query.user, pid]))
    if query.ip is not None:
        blind = seal.blind(runtime.keyring.blinding, "ip_address", clean_address(str(query.ip)) or "")
        conditions.append(LedgerEntry.id.in_(select(SealedField.entry_id).where(SealedField.blind == blind)))
    if query.since is not None:
        conditions.append(LedgerEntry.occurred_at >= query.since)
    if query.until is not None:
        conditions.append(LedgerEntry.occurred_at < query.until)
    if query.event_type is not None:
        conditions.append(_event_condition(query.event_type))
    if query.q is not None:
        asked = func.websearch_to_tsquery(SEARCH_LANGUAGE, query.q)
        conditions.append(LedgerEntry.words.op("@@")(func.ts_rewrite(asked, _NAMES_TOO)))
    return conditions


def _event_condition(event_type: str) -> ColumnElement[bool]:
    """A prefix becomes the list of its event types: an index over equal values stays usable."""
    if not event_type.endswith(_ANY_BELOW):
        return LedgerEntry.event_type == event_type
    prefix = event_type.removesuffix("*")
    return LedgerEntry.event_type.in_([event.value for event in AuditEvent if event.value.startswith(prefix)])
