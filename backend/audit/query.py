"""What can be asked of the audit log: the filters, and what is a possible value of each. Reads nothing."""

import re
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, IPvAnyAddress, field_validator, model_validator

from backend.paging import DEFAULT_PAGE_ROWS, MAX_PAGE_ROWS
from contract.audit import AuditResult, ExportFormat, RelatedBy
from contract.base import storable

_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)")
_EVENT_TYPE: Final = r"^[a-z_]{1,20}(\.[a-z_]{1,20}){0,3}(\.\*)?$"
LOG_NAME: Final = r"^[a-z0-9][a-z0-9:_-]{0,39}$"
"""A log is named after its retention (7y), or import:NAME, or meta."""
MAX_CURSOR_CHARS: Final = 8_000
"""A cursor carries the size of every log; a floor has a handful of its own and some dozens of imported ones."""
_PAGING: Final = {"limit", "cursor", "count", "by", "format"}


class AuditFilter(BaseModel):
    """What to look for; everything given must hold."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    since: datetime | None = Field(None, alias="from", description="RFC 3339 with a zone; entries from then on")
    until: datetime | None = Field(None, alias="to", description="RFC 3339 with a zone; entries before then")
    user: str | None = Field(
        None, max_length=100, description="Exact user name, executor:NAME, service:NAME or system:NAME"
    )
    event_type: str | None = Field(None, pattern=_EVENT_TYPE, description="An event type, or area.* for all below")
    category: str | None = Field(None, max_length=50)
    action: str | None = Field(None, max_length=100, description="What was done, word for word")
    resource_type: str | None = Field(None, max_length=50)
    resource_id: str | None = Field(None, max_length=100)
    result: AuditResult | None = None
    ip: IPvAnyAddress | None = None
    request_id: str | None = Field(None, max_length=100)
    incident: str | None = Field(None, max_length=100)
    log: str | None = Field(None, pattern=LOG_NAME, description="One log of the ledger: 7y, import:NAME, meta")
    q: str | None = Field(
        None, min_length=1, max_length=300, description='Words; "a phrase"; start*; or; -without; names of people'
    )

    @field_validator("since", "until", mode="before")
    @classmethod
    def _instant(cls, value: Any) -> Any:
        if value is None:
            return None
        if isinstance(value, str) and _RFC3339.fullmatch(value):
            with suppress(ValueError, OverflowError):
                return datetime.fromisoformat(value.upper()).astimezone(UTC)
        raise ValueError("write the time as 2026-01-31T13:45:00Z or with an offset such as +01:00 (%2B in addresses)")

    @field_validator("user", "category", "action", "resource_type", "resource_id", "request_id", "incident", "q")
    @classmethod
    def _storable(cls, value: str | None) -> str | None:
        return None if value is None else storable(value)

    @model_validator(mode="after")
    def _window(self) -> "AuditFilter":
        if self.since and self.until and self.since >= self.until:
            raise ValueError("from must be before to")
        return self

    def filters(self) -> dict[str, Any]:
        """The filters as entries about searches and saved searches keep them."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True, exclude=_PAGING)


class AuditQuery(AuditFilter):
    """One page of a search."""

    limit: int = Field(DEFAULT_PAGE_ROWS, ge=1, le=MAX_PAGE_ROWS)
    cursor: str | None = Field(None, max_length=MAX_CURSOR_CHARS)
    count: bool = Field(default=False, description="Also count the matches, up to a cap")


class FollowQuery(AuditQuery):
    """One page of what shares something with an entry; filters narrow it."""

    by: RelatedBy


class ExportQuery(AuditFilter):
    """Everything that matches, in one form."""

    format: ExportFormat = ExportFormat.JSONL
