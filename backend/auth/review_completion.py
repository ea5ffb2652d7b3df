"""How far access reviews are: for the indicator of the compliance document. Reads only."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from backend.auth.access_tables import AccessReview as ReviewRow
from backend.auth.access_tables import AccessReviewItem as ItemRow


@dataclass(frozen=True, slots=True)
class ReviewCompletion:
    """How far the newest access review is: what the indicator `access_review_completion` counts."""

    review_id: str
    period: str | None
    total: int
    decided: int
    due_at: datetime
    closed_at: datetime | None


async def review_completion(session: AsyncSession) -> ReviewCompletion | None:
    """How far the newest review is; None before the first. For the indicator of the compliance document."""
    row = await session.scalar(select(ReviewRow).order_by(ReviewRow.opened_at.desc()).limit(1))
    if row is None:
        return None
    total, decided = (await counts_of(session, [row.id])).get(row.id, (0, 0))
    return ReviewCompletion(str(row.id), row.period, total, decided, row.due_at, row.closed_at)


async def counts_of(session: AsyncSession, idents: Sequence[UUID]) -> dict[UUID, tuple[int, int]]:
    """How many items each review has, and how many are decided; nothing of one without items."""
    rows = await session.execute(
        select(ItemRow.review_id, func.count(), func.count(ItemRow.decision))
        .where(ItemRow.review_id.in_(idents))
        .group_by(ItemRow.review_id)
    )
    return {ident: (total, decided) for ident, total, decided in rows}
