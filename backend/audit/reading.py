"""Turns ledger entries into what callers see: from the canonical bytes, with people's names and without sealed values.

That the bytes are canonical and an entry was made sure of when they were placed, and is verification's to say again:
here they are only read. Must never show a sealed value; that is `revealing`'s, and an entry of its own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy.ext.asyncio import AsyncSession

from backend.audit.asking import ask
from backend.audit.canonical import plain
from backend.audit.naming import surrogates_in, with_names
from contract.audit import MASK, AuditEntry, AuditResult
from ledger.canon import parse_instant
from ledger.merkle import leaf_hash

_COLUMNS = frozenset({"ip_address", "user_agent"})
"""Sealed fields that have a place of their own on the wire."""

_NAMES = "SELECT pid, name FROM audit_subjects WHERE pid = ANY(:pids) AND name IS NOT NULL"


@dataclass(frozen=True, slots=True)
class Kept:
    """One entry as it lies in the ledger or, without a number, in the outbox."""

    log: str
    seq: int | None
    canon: bytes
    occurred_at: datetime


async def shown(session: AsyncSession, rows: Sequence[Kept]) -> list[AuditEntry]:
    """The entries for the wire, in the order given."""
    named = [surrogates_in(row.canon) for row in rows]
    names = await _names(session, set[str]().union(*named))
    return [_wire(row, names if names.keys() & those else {}) for row, those in zip(rows, named, strict=True)]


async def _names(session: AsyncSession, pids: set[str]) -> dict[str, str]:
    if not pids:
        return {}
    return dict(await ask(session, _NAMES, {"pids": sorted(pids)}))


def _wire(row: Kept, names: Mapping[str, str]) -> AuditEntry:
    tree = orjson.loads(row.canon)
    index, body = tree["index"], tree["body"]
    detail, sealed = body["detail"], dict.fromkeys(body["sealed"], MASK)

    def named(told: Any) -> Any:
        return with_names(told, names)

    return AuditEntry(
        id=index["id"],
        log=row.log,
        seq=row.seq,
        timestamp=parse_instant(index["occurred_at"]),
        category=index["category"],
        event_type=index["event_type"],
        user_id=named(index["actor"]),
        ip_address=sealed.get("ip_address"),
        user_agent=sealed.get("user_agent"),
        action=named(index["action"]),
        resource_type=index["resource_type"],
        resource_id=named(index["resource_id"]),
        old_value=named(plain(detail["old_value"])),
        new_value=named(plain(detail["new_value"])),
        result=AuditResult(index["outcome"]),
        error_message=named(detail["error_message"]),
        metadata=named(_metadata(index["request_id"], body["actor_role"], detail["metadata"], sealed)),
        hash=leaf_hash(row.canon).hex(),
    )


def _metadata(request_id: str | None, role: str | None, told: Any, sealed: Mapping[str, str]) -> dict[str, Any]:
    metadata = {**plain(told or {}), "request_id": request_id, "role": role}
    further = sealed.keys() - _COLUMNS
    return {**metadata, "sealed": dict.fromkeys(sorted(further), MASK)} if further else metadata
