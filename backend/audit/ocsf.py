"""Audit entries as events of the Open Cybersecurity Schema Framework, version 1.1. Says nothing the entry does not.

Sign-ins become Authentication, changes of accounts Account Change, changes of freezes and the like Entity Management,
all else API Activity. What has no attribute there travels in `unmapped`, the canonical bytes in `raw_data`.
"""

from typing import Any, Final, NamedTuple

from contract.audit import AuditEntry, AuditResult
from contract.version import __version__

OCSF_VERSION: Final = "1.1.0"
_IAM, _APPLICATION = (3, "Identity & Access Management"), (6, "Application Activity")
_OTHER_ACTIVITY: Final = 99
_TYPE_FACTOR: Final = 100
"""A type is its class times this plus its activity."""
_MILLISECONDS: Final = 1_000
_SEVERITIES: Final = {
    AuditResult.SUCCESS: (1, "Informational"),
    AuditResult.FAILURE: (2, "Low"),
    AuditResult.DENIED: (3, "Medium"),
}
_USER_RESOURCE: Final = "user"


class EventClass(NamedTuple):
    """A class of the framework and what an entry does in it."""

    uid: int
    name: str
    activity_id: int
    activity: str
    category: tuple[int, str]


_AUTHENTICATION, _ACCOUNT, _ENTITY, _API = "Authentication", "Account Change", "Entity Management", "API Activity"
_EXACT: Final = {
    "auth.login.succeeded": EventClass(3002, _AUTHENTICATION, 1, "Logon", _IAM),
    "auth.login.failed": EventClass(3002, _AUTHENTICATION, 1, "Logon", _IAM),
    "auth.logout.done": EventClass(3002, _AUTHENTICATION, 2, "Logoff", _IAM),
    "auth.user.added": EventClass(3001, _ACCOUNT, 1, "Create", _IAM),
    "auth.user.reset": EventClass(3001, _ACCOUNT, 4, "Password Reset", _IAM),
    "auth.user.disabled": EventClass(3001, _ACCOUNT, 5, "Disable", _IAM),
    "auth.user.totp_reset": EventClass(3001, _ACCOUNT, 99, "Other", _IAM),
    "freeze.hold.created": EventClass(3004, _ENTITY, 1, "Create", _IAM),
    "freeze.thaw.approved": EventClass(3004, _ENTITY, 4, "Delete", _IAM),
    "executors.process.registered": EventClass(3004, _ENTITY, 1, "Create", _IAM),
    "executors.process.moved": EventClass(3004, _ENTITY, 3, "Update", _IAM),
    "executors.process.replaced": EventClass(3004, _ENTITY, 3, "Update", _IAM),
    "audit.search.run": EventClass(6003, _API, 2, "Read", _APPLICATION),
    "audit.entry.read": EventClass(6003, _API, 2, "Read", _APPLICATION),
    "transactions.batch.stored": EventClass(6003, _API, 1, "Create", _APPLICATION),
    "transactions.file.imported": EventClass(6003, _API, 1, "Create", _APPLICATION),
}


def class_of(event_type: str) -> EventClass:
    """The class and activity of an event type; an act without one of its own is another call of the API."""
    return _EXACT.get(event_type) or EventClass(6003, _API, _OTHER_ACTIVITY, event_type, _APPLICATION)


def event_of(entry: AuditEntry, canon: bytes) -> dict[str, Any]:
    """One entry as one event."""
    kind = class_of(entry.event_type)
    severity_id, severity = _SEVERITIES[entry.result]
    succeeded = entry.result is AuditResult.SUCCESS
    event: dict[str, Any] = {
        "activity_id": kind.activity_id,
        "activity_name": kind.activity,
        "category_uid": kind.category[0],
        "category_name": kind.category[1],
        "class_uid": kind.uid,
        "class_name": kind.name,
        "type_uid": kind.uid * _TYPE_FACTOR + kind.activity_id,
        "type_name": f"{kind.name}: {kind.activity}",
        "time": round(entry.timestamp.timestamp() * _MILLISECONDS),
        "severity_id": severity_id,
        "severity": severity,
        "status_id": 1 if succeeded else 2,
        "status": "Success" if succeeded else "Failure",
        "status_code": entry.result.value,
        "status_detail": entry.error_message,
        "message": entry.action,
        "actor": {"user": {"name": entry.user_id or "system"}},
        "metadata": _metadata(entry),
        "raw_data": canon.decode(),
        "unmapped": _unmapped(entry),
    }
    event |= _objects(entry, kind)
    return {name: value for name, value in event.items() if value is not None}


def _metadata(entry: AuditEntry) -> dict[str, Any]:
    return {
        "version": OCSF_VERSION,
        "uid": entry.id,
        "event_code": entry.event_type,
        "log_name": entry.log,
        "sequence": entry.seq,
        "original_time": entry.timestamp.isoformat(),
        "correlation_uid": entry.metadata.get("request_id"),
        "product": {"name": "Watchfloor", "vendor_name": "Watchfloor", "version": __version__},
    }


def _objects(entry: AuditEntry, kind: EventClass) -> dict[str, Any]:
    """What the class demands beyond what all have."""
    if kind.name == _AUTHENTICATION:
        return {"user": {"name": entry.user_id or "unknown"}, "src_endpoint": {"name": "not shown"}}
    if kind.name == _ACCOUNT:
        changed = entry.resource_id if entry.resource_type == _USER_RESOURCE else None
        return {"user": {"name": changed or "unknown"}}
    if kind.name == _ENTITY:
        return {"entity": {"type": entry.resource_type or "unknown", "uid": entry.resource_id or "unknown"}}
    resource = {"type": entry.resource_type, "uid": entry.resource_id}
    named = {name: value for name, value in resource.items() if value is not None}
    return {
        "api": {"operation": entry.event_type, "request": {"uid": str(entry.metadata.get("request_id") or entry.id)}},
        "src_endpoint": {"name": "not shown"},
        "resources": [named] if named else None,
    }


def _unmapped(entry: AuditEntry) -> dict[str, Any]:
    kept = {
        "category": entry.category,
        "hash": entry.hash,
        "old_value": entry.old_value,
        "new_value": entry.new_value,
        "metadata": entry.metadata,
    }
    return {name: value for name, value in kept.items() if value is not None}
