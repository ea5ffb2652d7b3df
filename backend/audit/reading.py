"""Turns ledger entries into what callers see: from the canonical bytes, with people's names and without sealed values.

Must never show a sealed value; that is `revealing`'s, and an entry of its own.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from backend.audit import subjects
from backend.audit.canonical import plain
from backend.audit.tables import Subject
from contract.audit import AuditEntry, AuditResult
from ledger.canon import parse_instant
from ledger.entry import Entry
from ledger.merkle import leaf_hash

MASK: Final = "•••"
"""Stands for a value that exists and is not shown."""


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
    names = await _names(session, {pid for entry in entries for pid in _people(entry)})
    return [_wire(row, entry, names) for row, entry in zip(rows, entries, strict=True)]


def _people(entry: Entry) -> Iterable[str]:
    for ident in (entry.index.actor, entry.index.resource_id):
        if ident is not None and ident.startswith(subjects.PREFIX):
            yield ident


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

    def named(ident: str | None) -> str | None:
        return None if ident is None else names.get(ident, ident)

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
        action=index.action,
        resource_type=index.resource_type,
        resource_id=named(index.resource_id),
        old_value=plain(detail.old_value),
        new_value=plain(detail.new_value),
        result=AuditResult(index.outcome),
        error_message=detail.error_message,
        metadata=_metadata(entry),
        hash=leaf_hash(row.canon).hex(),
    )


def _metadata(entry: Entry) -> dict[str, Any]:
    return {**plain(entry.detail.metadata or {}), "request_id": entry.index.request_id, "role": entry.actor_role}
