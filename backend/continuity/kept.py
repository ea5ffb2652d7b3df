"""Drills as the tables keep them: the row, the lines of the journal, the signature. Changes nothing."""

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from backend.continuity.lines import LINES, Line
from backend.continuity.tables import RecoveryDrillRow, RecoveryLineRow
from backend.errors import not_found
from contract.recovery import RecoveryDrill


async def row_of(session: AsyncSession, ref: str, *, lock: bool = False) -> RecoveryDrillRow:
    """The drill that somebody named; if asked, locked against other changes and read anew.

    Raises:
        WatchfloorError: NOT_FOUND.
    """
    wanted = select(RecoveryDrillRow).where(RecoveryDrillRow.ref == ref.strip().upper())
    if lock:
        wanted = wanted.with_for_update().execution_options(populate_existing=True)
    row = (await session.execute(wanted)).scalar_one_or_none()
    if row is None:
        raise not_found("recovery drill", ref)
    return row


async def told_of(session: AsyncSession, ref: str) -> list[Line]:
    """Everything that was said of a drill, in order."""
    told = await session.scalars(
        select(RecoveryLineRow.data).where(RecoveryLineRow.drill == ref).order_by(RecoveryLineRow.n)
    )
    return [LINES.validate_python(one) for one in told]


def shown(row: RecoveryDrillRow) -> RecoveryDrill:
    """A drill without outputs and log, as the backend that runs it last said."""
    return with_signature(RecoveryDrill.model_validate(row.shown), row)


def with_signature(drill: RecoveryDrill, row: RecoveryDrillRow) -> RecoveryDrill:
    """A drill with what people have made of its report."""
    return drill.model_copy(
        update={
            "signed_by": row.signed_by,
            "signed_at": row.signed_at,
            "report_sha256": row.report_sha256,
            "findings": row.findings,
        }
    )
