"""Wire types of the audit log and its search."""

from enum import StrEnum
from typing import Any

from contract.base import UtcDatetime, Wire


class AuditResult(StrEnum):
    """How the act ended."""

    SUCCESS = "success"
    FAILURE = "failure"
    DENIED = "denied"


class AuditEntry(Wire):
    """One entry: who did what to which resource, from where, with what result."""

    id: str
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
