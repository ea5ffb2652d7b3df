"""The history of alerts: what happened to each, in an order that a reader can follow. Nothing here is ever changed.

Lines are written among the last statements of their transaction, under the lock that orders stream events: their ids
are in the order of the commits, so that whoever reads on from an id misses nothing. A rolled-back savepoint does not
take its lines back: add them after it has succeeded.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from sqlalchemy import any_, literal, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import UUID as UUID_COLUMN
from sqlalchemy.ext.asyncio import AsyncSession

from backend.alerts.bulk import insert_many
from backend.alerts.tables import AlertEventRow, AlertRow
from backend.context import Caller, Runtime
from backend.db import before_commit
from backend.errors import WatchfloorError, known_ident, not_found
from backend.events import keep_order
from contract.alert_work import AlertEvent
from contract.base import Page
from contract.errors import ErrorCode

MAX_EVENTS: Final = 500
"""Lines that are read at a time."""
MUTED: Final = "muted"
"""Fact of a line about an alert that was muted at the time: nobody is to be told of it."""
TO: Final = "to"
"""Fact that names whom an alert was given to."""
KEY: Final = "key"
"""Fact of a line that tells under which idempotency key it was asked for; shown to nobody."""
BREACHED: Final = "breached"
"""Fact of an escalation that nobody asked for: when the time of the step before was over."""
_MAX_DIGITS: Final = 18
"""A number of so many digits fits into the column."""
_PENDING: Final = "pending_alert_events"


class Kind(StrEnum):
    """What a line of the history tells."""

    RAISED = "raised"
    RAISED_AGAIN = "raised_again"
    CHANGED = "changed"
    ACKNOWLEDGED = "acknowledged"
    ACKNOWLEDGEMENT_ENDED = "acknowledgement_ended"
    ASSIGNED = "assigned"
    NOTED = "noted"
    ESCALATED = "escalated"
    NAMED = "named"
    """Somebody who has it by name since it was escalated."""
    SILENCED = "silenced"
    SILENCE_ENDED = "silence_ended"
    MUTED = "muted"
    UNMUTED = "unmuted"
    CLEARED = "cleared"
    NOTIFIED = "notified"
    LINKED = "linked"


@dataclass(frozen=True, slots=True)
class Happening:
    """One line to be written."""

    alert_id: UUID
    kind: Kind
    text: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)
    person: str | None = None
    """Whom it was given to; kept apart from the facts, so that the name can be erased."""
    at: datetime | None = None
    """When it happened by the clock of whoever knows; None: now."""


@dataclass(frozen=True, slots=True)
class Told:
    """One line as it was written, for those who follow the history."""

    number: int
    """Its place: higher is later, on every backend."""
    alert_id: str
    event: AlertEvent

    @property
    def muted(self) -> bool:
        """Whether the alert was muted when it happened."""
        return MUTED in self.event.facts


def happened(session: AsyncSession, runtime: Runtime, caller: Caller, *lines: Happening) -> None:
    """Add lines to the histories of alerts; they are written when, and only when, the transaction commits."""
    now = runtime.clock.now()
    pending: list[dict[str, Any]] | None = session.info.get(_PENDING)
    if pending is None:
        pending = session.info[_PENDING] = []
        before_commit(session, lambda: _last(session))
    pending += [
        {
            "alert_id": line.alert_id,
            "kind": line.kind.value,
            "at": line.at or now,
            "recorded_at": now,
            "actor": caller.subject[:100],
            "person": line.person,
            "text": line.text,
            "facts": dict(line.facts),
        }
        for line in lines
    ]


def named(alert_id: UUID, step: str, people: Sequence[str], at: datetime | None = None) -> list[Happening]:
    """Who has an alert by name now that it has come to a step: a line each, so that a name can be erased."""
    return [Happening(alert_id, Kind.NAMED, facts={"step": step}, person=person, at=at) for person in people]


async def _last(session: AsyncSession) -> None:
    # in the next round: whatever else is written before the commit takes its own locks first, and nobody in a circle
    before_commit(session, lambda: _write(session))


async def _write(session: AsyncSession) -> None:
    rows: list[dict[str, Any]] = session.info.pop(_PENDING, [])
    if rows:
        await _hold(session, {row["alert_id"] for row in rows})
        await keep_order(session)
        await insert_many(session, AlertEventRow.__tablename__, rows)


async def _hold(session: AsyncSession, alert_ids: Collection[UUID]) -> None:
    """Take the alerts before the order: whoever has one and waits for the order must never be waited for by us."""
    wanted = select(AlertRow.id).where(AlertRow.id == any_(literal(sorted(alert_ids), ARRAY(UUID_COLUMN))))
    await session.execute(wanted.order_by(AlertRow.id).with_for_update(read=True, key_share=True))


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody asks for under a key: the line that it writes."""

    kind: Kind
    text: str
    person: str | None = None


async def acts_under(
    session: AsyncSession, caller: Caller, key: str, alert_ids: Sequence[UUID]
) -> dict[UUID, tuple[str, str, str | None]]:
    """What somebody has done to some alerts under a key: kind, text and person of the line in the history of each."""
    if not key:
        return {}
    wanted = select(AlertEventRow.alert_id, AlertEventRow.kind, AlertEventRow.text, AlertEventRow.person).where(
        AlertEventRow.alert_id.in_(alert_ids),
        AlertEventRow.actor == caller.subject[:100],
        AlertEventRow.facts[KEY].astext == key,
    )
    return {alert_id: (kind, text, person) for alert_id, kind, text, person in await session.execute(wanted)}


def is_done(asked: Asked, before: tuple[str, str, str | None] | None) -> bool:
    """Whether the line of the same act under its key stands in the history.

    Raises:
        WatchfloorError: CONFLICT: that of another act does.
    """
    if before is None:
        return False
    if before != (asked.kind.value, asked.text, asked.person):
        raise WatchfloorError(ErrorCode.CONFLICT, "The idempotency key belongs to another act.")
    return True


def _wire(row: AlertEventRow) -> AlertEvent:
    known = {name: value for name, value in row.facts.items() if name != KEY}
    facts = known if row.person is None else {**known, TO: row.person}
    return AlertEvent(
        id=str(row.id), kind=row.kind, at=row.at, recorded_at=row.recorded_at, actor=row.actor, text=row.text,
        facts=facts,
    )  # fmt: skip


def _told(rows: Iterable[AlertEventRow]) -> list[Told]:
    return [Told(row.id, str(row.alert_id), _wire(row)) for row in rows]


async def events_after(
    session: AsyncSession, cursor: int, limit: int = MAX_EVENTS, *, kinds: Sequence[str] = ()
) -> list[Told]:
    """The next lines behind a number, of some kinds or of all, in the order they were committed. 0 is the beginning."""
    query = select(AlertEventRow).where(AlertEventRow.id > cursor)
    if kinds:
        query = query.where(AlertEventRow.kind.in_(kinds))
    return _told(await session.scalars(query.order_by(AlertEventRow.id).limit(min(limit, MAX_EVENTS))))


async def newest_event(session: AsyncSession) -> int:
    """The number of the last line; 0 while there is none."""
    return await session.scalar(select(AlertEventRow.id).order_by(AlertEventRow.id.desc()).limit(1)) or 0


async def events_of(session: AsyncSession, alert_ids: Sequence[str], *, after: int = 0) -> list[Told]:
    """The first lines of some alerts behind a number, oldest first; fewer than `MAX_EVENTS` are the last."""
    idents = [known_ident("alert", ident) for ident in alert_ids]
    query = select(AlertEventRow).where(AlertEventRow.alert_id.in_(idents), AlertEventRow.id > after)
    return _told(await session.scalars(query.order_by(AlertEventRow.id).limit(MAX_EVENTS)))


async def history(session: AsyncSession, alert_id: str, *, cursor: str | None, limit: int) -> Page[AlertEvent]:
    """One page of an alert's history, newest first.

    Raises:
        WatchfloorError: NOT_FOUND; INVALID_REQUEST for a cursor that is not ours.
    """
    ident = known_ident("alert", alert_id)
    query = select(AlertEventRow).where(AlertEventRow.alert_id == ident)
    if cursor is not None:
        query = query.where(AlertEventRow.id < _number(cursor))
    rows = (await session.scalars(query.order_by(AlertEventRow.id.desc()).limit(limit + 1))).all()
    if not rows and await session.scalar(select(AlertRow.id).where(AlertRow.id == ident)) is None:
        raise not_found("alert", alert_id)
    more = str(rows[limit - 1].id) if len(rows) > limit else None
    return Page(items=[_wire(row) for row in rows[:limit]], next_cursor=more)


def _number(cursor: str) -> int:
    if cursor.isascii() and cursor.isdigit() and len(cursor) <= _MAX_DIGITS:
        return int(cursor)
    raise WatchfloorError(
        ErrorCode.INVALID_REQUEST, "The cursor is not one this server gave out.", hint="Start from the first page."
    )
