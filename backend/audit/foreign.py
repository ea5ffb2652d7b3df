"""Reads records of foreign audit logs: when, who, what, on what, how it ended. Pure; must never guess a success.

The record itself is kept as its JSON text, so that nothing in it is rounded, renamed or reordered.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from backend.audit.canonical import clean_text
from contract.audit import AuditResult, ForeignSource

MAX_RECORD_CHARS: Final = 10_000
"""Of a record's text that an entry keeps: escaped as JSON it must fit the entry's 32 KiB with all the rest."""
MAX_RECORD_BYTES: Final = 24_000
"""The same as bytes of JSON, for text that needs escaping."""
_MAX_DEPTH: Final = 2
"""How far below the top well-known names are looked for: `log.actor.email`."""
_FIRST, _LAST = datetime(1990, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
_SECONDS_UNTIL: Final = 1e11
"""A larger number of a time counts milliseconds."""
_MICROSECONDS_FROM: Final = 1e14
_RESERVED = re.compile(r"(person|executor|system|user):")
"""How actors of our own are written: a foreign one must not look like them."""
_TIMES: Final = (
    "eventTime", "event_time", "@timestamp", "timestamp", "time", "occurred_at", "created_at", "createdAt",
    "published", "p_event_time", "eventTimestamp", "date", "ts", "activityDateTime", "createdDateTime",
    "requestReceivedTimestamp", "start_time", "datetime",
)  # fmt: skip
_ACTIONS: Final = (
    "eventName", "event_name", "event_type", "eventType", "action", "operation", "operationName", "methodName", "verb",
    "name", "type", "event", "activity", "category",
)  # fmt: skip
_ACTORS: Final = (
    "userName", "user_name", "username", "email", "email_address", "user_email", "alternateId", "login", "actor",
    "user", "principalEmail", "userPrincipalName", "subject", "principal", "identity", "displayName", "caller",
    "user_id", "userId", "arn", "principalId", "invokedBy", "type",
)  # fmt: skip
_ACTOR_HOLDERS: Final = ("actor", "user", "userIdentity", "authenticationInfo", "identity", "initiatedBy", "principal")
_RESOURCE_TYPES: Final = ("eventSource", "resource_type", "resourceType", "serviceName", "service", "log_types")
_RESOURCE_IDS: Final = (
    "resource_id", "resourceId", "resourceName", "resource", "target", "bucketName", "instanceId", "roleName",
    "secretId", "keyId", "functionName", "snapshotId", "repo", "objectRef",
)  # fmt: skip
_REQUESTS: Final = ("requestID", "request_id", "requestId", "auditID", "correlationId", "correlation_id", "insertId")
_OUTCOMES: Final = ("outcome", "result", "status", "errorCode", "error_code", "error", "success")
_ERRORS: Final = ("errorMessage", "error_message", "failureReason", "statusMessage")
_DENIED = re.compile(r"(?i)denied|unauthori|forbidden|notallowed|not_allowed|blocked|\b40[13]\b")
_FAILED = re.compile(r"(?i)fail|error|invalid|\bno\b|false|exception|notfound|reject|\b[45]\d\d\b")


class ForeignRecordError(ValueError):
    """A record that cannot be an entry; the message says why."""


@dataclass(frozen=True, slots=True)
class Foreign:
    """A record as an entry's fields."""

    id: UUID
    occurred_at: datetime | None
    """None when the record states no time that can be read."""
    action: str
    actor: str | None
    actor_type: str
    resource_type: str | None
    resource_id: str | None
    request_id: str | None
    outcome: AuditResult
    error_message: str | None
    facts: Mapping[str, Any]
    truncated: bool


def read(log: str, source: ForeignSource, text: str) -> Foreign:
    """Read one record; the same record gives the same id, so that importing it again changes nothing.

    Raises:
        ForeignRecordError: not a JSON object.
    """
    record = parse(text)
    time_name, occurred_at = _time(record)
    digest = hashlib.sha256(text.encode(errors="surrogatepass"))
    kept = _kept(text)
    truncated = kept != clean_text(text, len(text) + 1)
    facts: dict[str, Any] = {
        "record": kept,
        "record_sha256": digest.hexdigest(),
        "record_bytes": len(text.encode(errors="surrogatepass")),
        "truncated": truncated,
        "time_from": time_name or "none in the record: the time of the import",
    }
    return Foreign(
        id=_ident(log, digest.digest()),
        occurred_at=occurred_at,
        action=_first(record, _ACTIONS) or source.value,
        actor=_actor(record),
        actor_type=_actor_type(record),
        resource_type=_first(record, _RESOURCE_TYPES),
        resource_id=_first(record, _RESOURCE_IDS),
        request_id=_first(record, _REQUESTS),
        outcome=_outcome(record),
        error_message=_first(record, _ERRORS),
        facts=facts,
        truncated=truncated,
    )


def parse(text: str) -> dict[str, Any]:
    """Read a record's text; decimals stay text.

    Raises:
        ForeignRecordError: not a JSON object.
    """
    try:
        record = json.loads(text, parse_float=str, parse_constant=str)
    except RecursionError:
        raise ForeignRecordError("nests too deeply") from None
    except ValueError as error:
        raise ForeignRecordError(f"not JSON: {error}") from None
    if not isinstance(record, dict):
        raise ForeignRecordError("not a JSON object")
    if not record:
        raise ForeignRecordError("an empty object")
    return record


def _ident(log: str, digest: bytes) -> UUID:
    """An id made of log and content; version 8 says that it is neither time nor chance."""
    raw = bytearray(hashlib.sha256(log.encode() + b"\0" + digest).digest()[:16])
    raw[6] = raw[6] & 0x0F | 0x80
    raw[8] = raw[8] & 0x3F | 0x80
    return UUID(bytes=bytes(raw))


def _kept(text: str) -> str:
    """As much of the text as fits."""
    kept = clean_text(text, MAX_RECORD_CHARS)
    while len(json.dumps(kept, ensure_ascii=False).encode()) > MAX_RECORD_BYTES:
        kept = clean_text(kept, len(kept) * 3 // 4)
    return kept


def _levels(record: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    """The record, then the objects in it, level by level."""
    level = [record]
    for _ in range(_MAX_DEPTH + 1):
        yield from level
        level = [value for one in level for value in one.values() if isinstance(value, dict)]


def _find(record: Mapping[str, Any], names: Sequence[str], usable: Callable[[Any], Any]) -> tuple[str, Any] | None:
    for one in _levels(record):
        for name in names:
            if name in one and (value := usable(one[name])) is not None:
                return name, value
    return None


def _first(record: Mapping[str, Any], names: Sequence[str]) -> str | None:
    found = _find(record, names, _as_text)
    return found[1] if found else None


def _as_text(value: Any) -> str | None:
    if isinstance(value, list) and value:
        return _as_text(value[0])
    if isinstance(value, bool) or value is None or isinstance(value, dict | list):
        return None
    return str(value).strip() or None


def _time(record: Mapping[str, Any]) -> tuple[str, datetime | None]:
    found = _find(record, _TIMES, instant)
    return found or ("", None)


def instant(value: Any) -> datetime | None:
    """A time as logs write it: RFC 3339, without a zone meaning UTC, or seconds, milliseconds, microseconds."""
    with suppress(ValueError, OverflowError, OSError):
        if isinstance(value, str) and not re.fullmatch(r"\d+(\.\d+)?", value):
            at = datetime.fromisoformat(re.sub(r" ?UTC$", "+00:00", value.strip()))
            return _plausible(at if at.tzinfo else at.replace(tzinfo=UTC))
        if isinstance(value, str | int) and not isinstance(value, bool):
            return _plausible(_counted(float(value)))
    return None


def _counted(number: float) -> datetime:
    divisor = 1 if number < _SECONDS_UNTIL else 1_000 if number < _MICROSECONDS_FROM else 1_000_000
    return datetime.fromtimestamp(number / divisor, UTC)


def _plausible(at: datetime) -> datetime | None:
    at = at.astimezone(UTC)
    return at if _FIRST <= at < _LAST else None


def _actor(record: Mapping[str, Any]) -> str | None:
    holder = _find(record, _ACTOR_HOLDERS, lambda value: value if isinstance(value, dict) and value else None)
    actor = (_first(holder[1], _ACTORS) if holder else None) or _first(record, _ACTORS[:-1])
    return f"foreign:{actor}" if actor and _RESERVED.match(actor) else actor


def _actor_type(record: Mapping[str, Any]) -> str:
    holder = _find(record, _ACTOR_HOLDERS, lambda value: value if isinstance(value, dict) else None)
    kind = _as_text(holder[1].get("type")) if holder else None
    return f"foreign:{kind}" if kind else "foreign"


def _outcome(record: Mapping[str, Any]) -> AuditResult:
    """Denied or failed if the record says so in one of the usual places; a record that names no failure succeeded."""
    for one in _levels(record):
        for name in _OUTCOMES:
            value = one.get(name)
            told = _as_text(value) if not isinstance(value, bool) else str(value) if name == "success" else None
            if told is None:
                continue
            if _DENIED.search(told):
                return AuditResult.DENIED
            if name.lower().startswith("error") or _FAILED.search(told):
                return AuditResult.FAILURE
    return AuditResult.SUCCESS
