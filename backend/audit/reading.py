"""Turns ledger entries into what callers see: from the canonical bytes, with people's names and without sealed values.

Must never show a sealed value; that is `revealing`'s, and an entry of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from backend.audit.canonical import plain
from backend.audit.naming import surrogates_in, with_names
from backend.audit.tables import Subject
from contract.audit import MASK, AuditEntry, AuditResult
from ledger.canon import parse_instant
from ledger.entry import Entry
from ledger.merkle import leaf_hash

_COLUMNS = frozenset({"ip_address", "user_agent"})
"""Sealed fields that have a place of their own on the wire."""


@dataclass(frozen=True, slots=True)
class Kept:
    """One entry as it lies in the ledger or, without a number, in the outbox."""

    log: str
    seq: int | None
    canon: bytes
    occurred_at: datetime


async def shown(session: AsyncSession, rows: Sequence[Kept]) -> list[AuditEntry]:
    """The entries for the wire, in the order given."""
    entries = [Entry.from_canon(row.canon) for row in rows]
    names = await _names(session, {pid for row in rows for pid in surrogates_in(row.canon)})
    return [_wire(row, entry, names) for row, entry in zip(rows, entries, strict=True)]


async def _names(session: AsyncSession, pids: set[str]) -> dict[str, str]:
    if not pids:
        return {}
    rows = await session.execute(
        select(Subject.pid, Subject.name).where(Subject.pid.in_(pids), Subject.name.is_not(None))
    )
    return {pid: name for pid, name in rows if name is not None}


def _wire(row: Kept, entry: Entry, names: dict[str, str]) -> AuditEntry:
    index, detail = entry.index, entry.detail
    sealed = dict.fromkeys(entry.sealed, MASK)

    def named(told: Any) -> Any:
        return with_names(told, names)

    return AuditEntry(
        id=index.id,
        log=row.log,
        seq=row.seq,
        timestamp=parse_instant(index.occurred_at),
        category=index.category,
        event_type=index.event_type,
        user_id=named(index.actor),
        ip_address=sealed.get("ip_address"),
        user_agent=sealed.get("user_agent"),
        action=named(index.action),
        resource_type=index.resource_type,
        resource_id=named(index.resource_id),
        old_value=named(plain(detail.old_value)),
        new_value=named(plain(detail.new_value)),
        result=AuditResult(index.outcome),
        error_message=named(detail.error_message),
        metadata=named(_metadata(entry)),
        hash=leaf_hash(row.canon).hex(),
    )


def _metadata(entry: Entry) -> dict[str, Any]:
    told = {**plain(entry.detail.metadata or {}), "request_id": entry.index.request_id, "role": entry.actor_role}
    further = entry.sealed.keys() - _COLUMNS
    return {**told, "sealed": dict.fromkeys(sorted(further), MASK)} if further else told
