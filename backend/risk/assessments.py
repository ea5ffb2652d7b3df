"""Keeps assessments: the newest for every screen, one a minute for a while, one an hour for the record. Judges nothing.

Within a minute the row is overwritten, so that a busy feed, assessed every second, leaves a bounded history.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, exists, func, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from backend.clock import Clock
from backend.risk.tables import Assessment
from contract.risk import RiskSnapshot

KEEP_MINUTES_FOR = timedelta(hours=2)
"""How long one assessment a minute is kept."""
KEEP_HOURS_FOR = timedelta(days=30)
"""How long one assessment an hour is kept; the record of crossings themselves is in alerts and audit."""
_PUBLISHED_AT = "published_at"


@dataclass(frozen=True, slots=True)
class Stored:
    """The newest assessment and when consoles were last sent one."""

    snapshot: RiskSnapshot
    published_at: datetime | None


async def newest(session: AsyncSession) -> Stored | None:
    """The newest assessment; None before the first."""
    body = (await session.execute(_newest_first(Assessment.snapshot))).scalar_one_or_none()
    if body is None:
        return None
    published = body.get(_PUBLISHED_AT)
    return Stored(RiskSnapshot.model_validate(body), datetime.fromisoformat(published) if published else None)


@dataclass(frozen=True, slots=True)
class Encoded:
    """The newest assessment as it is stored: for answers that only pass it on."""

    assessed_at: datetime
    levels: dict[str, str]
    """Indicator → level."""
    snapshot_json: str


_ENCODED = text("""
    SELECT assessed_at,
           (SELECT jsonb_object_agg(one->>'name', one->>'level')
            FROM jsonb_array_elements(snapshot->'indicators') AS one),
           CAST(snapshot - CAST(:extra AS text) AS text)
    FROM risk_assessments ORDER BY assessed_at DESC, id DESC LIMIT 1
""")


async def newest_encoded(session: AsyncSession) -> Encoded | None:
    """The newest assessment without decoding it; None before the first."""
    row = (await session.execute(_ENCODED, {"extra": _PUBLISHED_AT})).one_or_none()
    return None if row is None else Encoded(*row)


_TABLE = Assessment.__table__.c
NEWEST_AT = select(_TABLE.assessed_at).order_by(_TABLE.assessed_at.desc(), _TABLE.id.desc()).limit(1).scalar_subquery()
"""For statements that ask more than this; NULL before the first assessment."""


async def newest_at(session: AsyncSession) -> datetime | None:
    """When the newest assessment was made."""
    at: datetime | None = (await session.execute(_newest_first(Assessment.assessed_at))).scalar_one_or_none()
    return at


def _newest_first(*columns: Any) -> Any:
    return select(*columns).order_by(Assessment.assessed_at.desc(), Assessment.id.desc()).limit(1)


async def keep(session: AsyncSession, clock: Clock, snapshot: RiskSnapshot, *, published_at: datetime | None) -> None:
    """Keep an assessment, and drop those that have had their time."""
    now = clock.now()
    body = snapshot.model_dump(mode="json") | {_PUBLISHED_AT: published_at.isoformat() if published_at else None}
    last = (await session.execute(_newest_first(Assessment).with_for_update())).scalar_one_or_none()
    if last is not None and _minute(last.assessed_at) == _minute(now):
        last.assessed_at, last.snapshot = now, body
        return
    session.add(Assessment(id=clock.new_id(), assessed_at=now, snapshot=body))
    await session.flush()
    await _prune(session, now)


def _minute(instant: datetime) -> int:
    return int(instant.timestamp()) // 60


async def _prune(session: AsyncSession, now: datetime) -> None:
    later = aliased(Assessment)
    same_hour = func.date_trunc("hour", later.assessed_at) == func.date_trunc("hour", Assessment.assessed_at)
    superseded = exists().where(same_hour, later.assessed_at > Assessment.assessed_at)
    too_old = Assessment.assessed_at < now - KEEP_HOURS_FOR
    thinned = (Assessment.assessed_at < now - KEEP_MINUTES_FOR) & superseded
    await session.execute(delete(Assessment).where(too_old | thinned).execution_options(synchronize_session=False))
