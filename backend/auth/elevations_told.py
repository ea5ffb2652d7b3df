"""What is told of elevations, and which of them are open. Reads only."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import and_, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from backend.auth import access_people as people
from backend.auth.access_tables import Elevation as ElevationRow
from backend.auth.tables import User
from backend.context import Runtime
from contract.access import Elevation, ElevationStatus
from contract.permissions import Permission

MAX_SHOWN = 50
"""In the overview; a floor on which more people hold more than their role has another problem."""


async def open_elevations(session: AsyncSession, runtime: Runtime) -> list[Elevation]:
    """Elevations that are in force or wait for a decision: what everybody sees first."""
    query = select(ElevationRow).where(is_open(runtime.clock.now())).order_by(ElevationRow.requested_at.desc())
    rows = (await session.scalars(query.limit(MAX_SHOWN))).all()
    return await told(session, rows) if rows else []


def is_open(now: datetime) -> Any:
    """The condition that an elevation is in force or waits for a decision."""
    requested, approved = ElevationStatus.REQUESTED.value, ElevationStatus.APPROVED.value
    return or_(
        and_(ElevationRow.status == requested, ElevationRow.lapses_at > now),
        and_(ElevationRow.status == approved, ElevationRow.ends_at > now),
    )


async def told(session: AsyncSession, rows: Sequence[ElevationRow]) -> list[Elevation]:
    """Elevations as they are told, with names."""
    idents = [one for row in rows for one in (row.user_id, row.decided_by, row.ended_by)]
    named = await people.names_of(session, idents)
    users = await session.execute(select(User.id, User.role).where(User.id.in_({row.user_id for row in rows})))
    roles = {user.id: user.role for user in users}
    reasons = await people.told_reasons(session, {str(row.id): row.reason for row in rows})
    return [
        Elevation(
            id=str(row.id),
            account=named[row.user_id],
            role=roles[row.user_id],
            permissions=[Permission(name) for name in row.permissions],
            minutes=row.minutes,
            status=ElevationStatus(row.status),
            reason=reasons.get(str(row.id), ""),
            requested_at=row.requested_at,
            lapses_at=row.lapses_at,
            decided_by=named.get(row.decided_by),
            decided_at=row.decided_at,
            ends_at=row.ends_at,
            ended_by=named.get(row.ended_by),
        )
        for row in rows
    ]
