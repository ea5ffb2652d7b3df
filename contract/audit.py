"""Wire types of the audit log and its search."""

from typing import Any

from contract.base import UtcDatetime, Wire
from contract.states import AuditResult as AuditResult  # noqa: PLC0414  part of what this module offers


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
