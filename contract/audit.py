"""Wire types of the audit log and its search."""

from enum import StrEnum
from typing import Any, Final

from pydantic import Field

from contract.base import Page, UtcDatetime, Wire, WireRequest
from contract.states import AuditResult as AuditResult  # noqa: PLC0414  part of what this module offers

MASK: Final = "•••"
"""Stands for a value that exists and is not shown."""
WAITING_CAP: Final = 5_000
"""No more waiting entries are counted: a search must not read through an outbox that nobody empties."""


class AuditEntry(Wire):
    """One entry: who did what to which resource, from where, with what result."""

    id: str
    log: str
    """The log of the ledger that keeps it, named after its retention."""
    seq: int | None = None
    """Its number in that log; None for the moment between commit and ledger."""
    timestamp: UtcDatetime
    category: str
    event_type: str
    user_id: str | None = None
    ip_address: str | None = None
    user_agent: str | None = None
    action: str
    resource_type: str | None = None
    resource_id: str | None = None
    old_value: dict[str, Any] | None = None
    new_value: dict[str, Any] | None = None
    result: AuditResult
    error_message: str | None = None
    metadata: dict[str, Any] = {}
    hash: str


class AuditPage(Page[AuditEntry]):
    """One page of a search; the pages of one search show the logs as they were when it began."""

    sizes: dict[str, int] = {}
    """How many entries each log held when the search began: an entry is in the tree of that size."""
    checkpoints: dict[str, str] = {}
    """The newest signed head of each log on the page, as a signed note; none for a log that was never signed."""
    waiting: int = 0
    """How many committed entries had no place in a log yet when the search began, counted up to 5,000: on no page of
    it. The caller's own acts are waited for, and so is what waits longer than usual, each for a moment."""
    unfinished: bool = False
    """The time was up before the page was full: `next_cursor` goes on looking, in older entries."""
    searched_back_to: UtcDatetime | None = None
    """Down to when an unfinished page is complete."""


class RelatedBy(StrEnum):
    """What entries have to share with one to be followed from it."""

    ACTOR = "actor"
    REQUEST = "request"
    RESOURCE = "resource"
    INCIDENT = "incident"


class SavedSearch(Wire):
    """A search somebody keeps under a name, with its filters as the search route takes them."""

    name: str
    filters: dict[str, str] = {}
    saved_at: UtcDatetime


class SavedSearches(Wire):
    """All of one account's, by name."""

    items: list[SavedSearch]


class ExportFormat(StrEnum):
    """In which form entries leave."""

    JSONL = "jsonl"
    CSV = "csv"
    PARQUET = "parquet"
    OCSF = "ocsf"
    SYSLOG = "syslog"


class ForeignSource(StrEnum):
    """What kind of audit log is imported."""

    CLOUDTRAIL = "cloudtrail"
    JSON = "json"


class ForeignRecord(WireRequest):
    """One record of a foreign audit log, as it stood in its file."""

    line: int = Field(ge=1)
    """Its line, or its place in the file counted from 1."""
    text: str = Field(max_length=1_000_000)
    """The record as JSON text: kept character by character, so that no number loses a digit."""


class ForeignChunk(WireRequest):
    """Some records of one file."""

    source: ForeignSource
    file: str = Field(max_length=200)
    records: list[ForeignRecord] = Field(max_length=500)
    retention: str | None = Field(default=None, max_length=20)
    """How long the log is kept: a retention class of the policy, such as 7y, or forever. Settled by the first import;
    None takes what is settled, or at the first import what the policy says."""


class RefusedRecord(Wire):
    """A record that cannot be an entry."""

    line: int
    reason: str


class ForeignResult(Wire):
    """What became of a chunk."""

    imported: int
    unchanged: int
    """Already in the log, content for content."""
    truncated: int
    """Too long for an entry: its beginning is kept, with the hash of all of it."""
    refused: list[RefusedRecord] = []
    retention: str
    """How long the log is kept."""
