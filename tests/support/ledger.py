"""Waiting for the ledger and reading it as it lies there."""

import asyncio
from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import undefer

from backend.audit.revealing import open_sealed
from backend.audit.tables import AuditLog, AuditOutbox, LedgerEntry
from tests.support.app import App

_PATIENCE_TURNS = 3_000
"""Looks, ten milliseconds apart, before a test gives up on a sequencer that stands still."""


async def settled(app: App) -> None:
    """Wait until everything committed so far is in the ledger."""
    for _ in range(_PATIENCE_TURNS):
        async with app.runtime.database.read() as session:
            if not await session.scalar(select(func.count()).select_from(AuditOutbox)):
                return
        await asyncio.sleep(0.01)
    raise AssertionError("the outbox never became empty")


async def entries_of(app: App, event_type: str) -> list[AuditLog]:
    """Everything the audit log has of a type, oldest first.

    Read when nothing waits: a statement planned while the first entry of a partition moves there misses that one.
    """
    await settled(app)
    async with app.runtime.database.read() as session:
        rows = await session.scalars(select(AuditLog).where(AuditLog.event_type == event_type).order_by(AuditLog.id))
        return list(rows)


async def ledger_rows(app: App, *idents: UUID) -> Sequence[LedgerEntry]:
    """Entries of the ledger, with their bytes, in their order; all of them unless ids are given."""
    await settled(app)
    wanted = select(LedgerEntry).options(undefer(LedgerEntry.canon)).order_by(LedgerEntry.log, LedgerEntry.seq)
    async with app.runtime.database.read() as session:
        return (await session.scalars(wanted.where(LedgerEntry.id.in_(idents)) if idents else wanted)).all()


async def sealed_values(app: App, ident: UUID) -> dict[str, str | None]:
    """The personal values of an entry, opened."""
    (row,) = await ledger_rows(app, ident)
    async with app.runtime.database.read() as session:
        return await open_sealed(session, app.runtime, row.canon)
