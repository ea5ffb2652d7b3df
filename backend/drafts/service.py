"""Drafts: what people have typed and not sent. Each sees their own only; nothing of them is in the audit log."""

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from backend.context import Caller, Runtime
from backend.drafts.tables import DraftRow
from backend.errors import WatchfloorError, not_found
from contract.base import Page
from contract.errors import ErrorCode
from contract.postmortem import Draft, DraftRequest

MAX_DRAFTS: Final = 100
"""Of one person: nobody types at more things at once."""
KEPT: Final = timedelta(days=30)
_PRUNED_ROWS: Final = 100
"""Of anybody's expired drafts deleted with each one kept, so that no keystroke waits for a heap of them."""


async def drafts(session: AsyncSession, runtime: Runtime, caller: Caller) -> Page[Draft]:
    """The caller's own drafts, newest first: at most a hundred."""
    query = select(DraftRow).where(DraftRow.person == caller.subject, DraftRow.updated_at > _oldest(runtime))
    ordered = query.order_by(DraftRow.updated_at.desc(), DraftRow.key).limit(MAX_DRAFTS)
    return Page(items=[_wire(row) for row in await session.scalars(ordered)])


async def draft(session: AsyncSession, runtime: Runtime, caller: Caller, key: str) -> Draft:
    """One of the caller's own drafts.

    Raises:
        WatchfloorError: NOT_FOUND.
    """
    row = await session.get(DraftRow, (caller.subject, key))
    if row is None or row.updated_at <= _oldest(runtime):
        raise not_found("draft", key)
    return _wire(row)


async def keep(session: AsyncSession, runtime: Runtime, caller: Caller, key: str, request: DraftRequest) -> Draft:
    """Keep what is being typed, in the place of what was kept before.

    Raises:
        WatchfloorError: CONFLICT for one too many.
    """
    await _prune(session, runtime)
    others = select(func.count()).where(DraftRow.person == caller.subject, DraftRow.key != key)
    if (await session.scalar(others) or 0) >= MAX_DRAFTS:
        hint = "Send or drop some. What is left alone goes by itself after thirty days."
        raise WatchfloorError(ErrorCode.CONFLICT, f"{MAX_DRAFTS} drafts of yours are kept already.", hint=hint)
    made = Draft(key=key, text=request.text, base_version=request.base_version, updated_at=runtime.clock.now())
    told = made.model_dump(exclude={"key"})
    upsert = insert(DraftRow).values(person=caller.subject, key=key, **told)
    await session.execute(upsert.on_conflict_do_update(index_elements=[DraftRow.person, DraftRow.key], set_=told))
    return made


async def drop(session: AsyncSession, caller: Caller, key: str) -> None:
    """Forget what was typed; nothing happens if there is none."""
    await session.execute(delete(DraftRow).where(DraftRow.person == caller.subject, DraftRow.key == key))


async def forget_person(session: AsyncSession, name: str) -> None:
    """Delete everything that an erased person had typed and not sent."""
    await session.execute(delete(DraftRow).where(DraftRow.person == name))


async def _prune(session: AsyncSession, runtime: Runtime) -> None:
    expired = (
        select(DraftRow.person, DraftRow.key)
        .where(DraftRow.updated_at <= _oldest(runtime))
        .order_by(DraftRow.updated_at)
        .limit(_PRUNED_ROWS)
        .with_for_update(skip_locked=True)
        .cte("expired")
    )
    await session.execute(delete(DraftRow).where(DraftRow.person == expired.c.person, DraftRow.key == expired.c.key))


def _oldest(runtime: Runtime) -> datetime:
    return runtime.clock.now() - KEPT


def _wire(row: DraftRow) -> Draft:
    return Draft(key=row.key, text=row.text, base_version=row.base_version, updated_at=row.updated_at)
