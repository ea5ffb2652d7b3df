"""Alerts by group, one row a group: how grave, how many, since when. Changes nothing.

A page is right at its instant: a group that gets a newer alert between two pages may be on both. Of alerts that have
cleared only a stated time is grouped, and of that so many of the newest, because there is no end to them.
"""

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

import orjson
from sqlalchemy import Select, and_, func, or_, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.expression import ColumnElement

from backend.alerts.listing import GROUP_HASH, GROUP_ID, AlertFilter
from backend.alerts.rows import GRAVITY, UNMUTED, wire
from backend.alerts.tables import AlertRow
from backend.errors import WatchfloorError
from backend.paging import COUNT_CAP
from contract.alert_work import AlertGroup, AlertGroups
from contract.alerts import Alert, AlertStatus, Severity
from contract.errors import ErrorCode

MAX_GROUPED: Final = 20_000
"""Alerts, the newest first, that are grouped where cleared ones are among them: a second of a busy machine."""
_LIVE: Final = (AlertStatus.OPEN, AlertStatus.ACKNOWLEDGED)
_is_open: Final = AlertRow.status == AlertStatus.OPEN.value
_worst: Final = func.min(GRAVITY)
_newest: Final = func.max(AlertRow.raised_at)
_SEVERITIES: Final = tuple(Severity)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a group stands in the list: the gravest first, then the newest."""

    worst: int
    newest: datetime
    group_id: str

    def encoded(self) -> str:
        """The cursor of what comes behind it."""
        return base64.urlsafe_b64encode(orjson.dumps([self.worst, self.newest, self.group_id])).decode()

    @classmethod
    def decoded(cls, cursor: str) -> "_Place":
        """Read what `encoded` wrote.

        Raises:
            WatchfloorError: INVALID_REQUEST when the text is not one of our cursors.
        """
        try:
            worst, newest, group_id = orjson.loads(base64.urlsafe_b64decode(cursor.encode()))
            gravest = _SEVERITIES.index(_SEVERITIES[worst])
            return cls(gravest, datetime.fromisoformat(newest).astimezone(UTC), bytes.fromhex(group_id).hex())
        except (ValueError, TypeError, IndexError, AttributeError, OverflowError, binascii.Error) as error:
            raise WatchfloorError(
                ErrorCode.INVALID_REQUEST,
                "The cursor is not one this server gave out.",
                hint="Start from the first page.",
            ) from error

    def behind(self) -> ColumnElement[bool]:
        """What comes after it."""
        as_new = and_(_newest == self.newest, self.group_id < GROUP_ID)
        return or_(_worst > self.worst, and_(_worst == self.worst, or_(_newest < self.newest, as_new)))


async def list_groups(
    session: AsyncSession, wanted: AlertFilter, *, cursor: str | None, limit: int, as_of: datetime
) -> AlertGroups:
    """One page of groups of the alerts that a filter lets through, with their number up to the cap on the first page.

    Of cleared alerts among them the newest are grouped; the answer says back to when if that is not all of them.

    Raises:
        WatchfloorError: INVALID_REQUEST for a cursor that is not ours, and for cleared alerts since for ever.
    """
    if not wanted.status:
        wanted = replace(wanted, status=_LIVE)
    if AlertStatus.CLEARED in wanted.status and wanted.since is None:
        raise WatchfloorError(ErrorCode.INVALID_REQUEST, "Say since when to group alerts that have cleared.")
    conditions = wanted.conditions()
    since = await _grouped_since(session, conditions) if AlertStatus.CLEARED in wanted.status else None
    if since is not None:
        conditions.append(AlertRow.raised_at > since)
    query = _groups(conditions)
    if cursor is not None:
        query = query.having(_Place.decoded(cursor).behind())
    rows = (await session.execute(query.limit(limit + 1))).all()
    page = rows[:limit]
    newest = await _newest_of(session, [bytes.fromhex(row.id) for row in page], conditions)
    more = _Place(page[-1].worst, page[-1].newest, page[-1].id).encoded() if len(rows) > limit else None
    total = min(rows[0].groups if rows else 0, COUNT_CAP) if cursor is None else None
    items = [_wire(row, newest[row.group_key]) for row in page if row.group_key in newest]
    return AlertGroups(items=items, next_cursor=more, total=total, as_of=as_of, grouped_since=since)


async def _grouped_since(session: AsyncSession, conditions: Sequence[ColumnElement[bool]]) -> datetime | None:
    """The instant up to which alerts are left out; None: there are not too many."""
    newest = select(AlertRow.raised_at).where(*conditions).order_by(AlertRow.raised_at.desc(), AlertRow.id.desc())
    return await session.scalar(newest.offset(MAX_GROUPED).limit(1))


def _groups(conditions: Sequence[ColumnElement[bool]]) -> Select[Any]:
    seen = AlertRow.status == AlertStatus.ACKNOWLEDGED.value
    return (
        select(
            AlertRow.group_key,
            GROUP_ID.label("id"),
            _worst.label("worst"),
            _newest.label("newest"),
            func.count().label("total"),
            func.count().filter(_is_open).label("open"),
            func.count().filter(seen).label("acknowledged"),
            func.count().filter(~UNMUTED).label("muted"),
            func.count(AlertRow.rule.distinct()).label("rules"),
            func.min(AlertRow.raised_at).filter(_is_open).label("oldest_open"),
            func.count().over().label("groups"),
        )
        .where(*conditions)
        .group_by(AlertRow.group_key)
        .order_by(_worst, _newest.desc(), GROUP_ID)
    )


async def _newest_of(
    session: AsyncSession, groups: Sequence[bytes], conditions: Sequence[ColumnElement[bool]]
) -> Mapping[str, Alert]:
    found = await session.scalars(
        select(AlertRow)
        .where(GROUP_HASH.in_(groups), *conditions)
        .ext(distinct_on(AlertRow.group_key))
        .order_by(AlertRow.group_key, AlertRow.raised_at.desc(), AlertRow.id.desc())
    )
    return {row.group_key: wire(row) for row in found}


def _wire(row: Any, newest: Alert) -> AlertGroup:
    return AlertGroup(
        id=row.id, group=row.group_key, severity=_SEVERITIES[row.worst], total=row.total, open=row.open,
        acknowledged=row.acknowledged, muted=row.muted, rules=row.rules, newest_at=row.newest,
        oldest_open_at=row.oldest_open, newest=newest,
    )  # fmt: skip
