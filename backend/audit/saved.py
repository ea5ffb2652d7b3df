"""Saved searches: each account keeps its own under names. Saving and deleting are entries; nobody sees another's."""

from typing import Any, Final

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from backend.audit.events import AuditEvent
from backend.audit.query import AuditFilter
from backend.audit.search_tables import SavedSearchRow
from backend.audit.service import AuditDraft, record
from backend.context import Caller, Runtime
from backend.errors import WatchfloorError, not_found
from contract.audit import SavedSearch
from contract.errors import ErrorCode

MAX_SAVED: Final = 100
"""More names than anybody can tell apart."""


async def saved_searches(session: AsyncSession, caller: Caller) -> list[SavedSearch]:
    """The caller's saved searches, by name."""
    wanted = select(SavedSearchRow).where(SavedSearchRow.owner == caller.subject).order_by(SavedSearchRow.name)
    return [_wire(row) for row in await session.scalars(wanted)]


async def save(session: AsyncSession, runtime: Runtime, caller: Caller, name: str, filters: AuditFilter) -> SavedSearch:
    """Keep a search under a name; one of the caller's with that name is replaced.

    Raises:
        WatchfloorError: CONFLICT when the caller has too many.
    """
    mine = select(func.count()).where(SavedSearchRow.owner == caller.subject, SavedSearchRow.name != name)
    if (await session.execute(mine)).scalar_one() >= MAX_SAVED:
        raise WatchfloorError(
            ErrorCode.CONFLICT, f"You have {MAX_SAVED} saved searches.", hint="Delete one of them first."
        )
    values: dict[str, Any] = {
        "id": runtime.clock.new_id(),
        "owner": caller.subject,
        "name": name,
        "filters": filters.filters(),
        "saved_at": runtime.clock.now(),
    }
    kept = {"filters": values["filters"], "saved_at": values["saved_at"]}
    statement = insert(SavedSearchRow).values(values)
    await session.execute(statement.on_conflict_do_update(index_elements=["owner", "name"], set_=kept))
    told = {"name": name, "filters": values["filters"]}
    await record(session, runtime, caller, _draft(AuditEvent.SEARCH_SAVED, "save a search", told))
    return SavedSearch(name=name, filters=values["filters"], saved_at=values["saved_at"])


async def forget(session: AsyncSession, runtime: Runtime, caller: Caller, name: str) -> None:
    """Delete one of the caller's saved searches.

    Raises:
        WatchfloorError: NOT_FOUND.
    """
    mine = (SavedSearchRow.owner == caller.subject, SavedSearchRow.name == name)
    gone = await session.scalar(delete(SavedSearchRow).where(*mine).returning(SavedSearchRow.id))
    if gone is None:
        raise not_found("saved search", name)
    await record(session, runtime, caller, _draft(AuditEvent.SEARCH_FORGOTTEN, "delete a search", {"name": name}))


def _draft(event: AuditEvent, action: str, told: dict[str, Any]) -> AuditDraft:
    return AuditDraft(event, action, resource_type="audit", new_value=told)


def _wire(row: SavedSearchRow) -> SavedSearch:
    return SavedSearch(name=row.name, filters=row.filters, saved_at=row.saved_at)
