"""What other areas and the routes may use of notifications: tell, test, see what became of it. Sends nothing itself."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.expression import ColumnElement

from backend.audit import service as audit
from backend.audit.service import AuditDraft
from backend.context import Caller, Runtime
from backend.errors import WatchfloorError, not_found
from backend.lookup import row_named
from backend.notifications import absent, waiting, wording
from backend.notifications.channels import channels_now
from backend.notifications.core import GRAVITY
from backend.notifications.tables import NotificationRow
from backend.notifications.waiting import Notice
from backend.paging import count_capped, cut_page, newest_first
from backend.policy.notifying import EVERY_CHANNEL
from contract.alerts import Severity
from contract.base import Page
from contract.errors import ErrorCode
from contract.notifications import Channel, Delivery, DeliveryState

__all__ = [
    "DeliveryFilter",
    "get_delivery",
    "list_channels",
    "list_deliveries",
    "send_test",
    "tell",
]

_DAY: Final = timedelta(hours=24)
_TEST: Final = "test"
_BAD: Final = (DeliveryState.FAILED.value, DeliveryState.GIVEN_UP.value)
_LAST_ERRORS: Final = text(
    "SELECT DISTINCT ON (channel) channel, reason, queued_at FROM notifications"
    " WHERE state IN ('failed', 'given_up') ORDER BY channel, queued_at DESC"
)


@dataclass(frozen=True, slots=True)
class DeliveryFilter:
    """What a page of deliveries is narrowed to; empty leaves a field open."""

    channel: str | None = None
    state: Collection[DeliveryState] = ()
    subject_kind: str | None = None
    subject_id: str | None = None
    since: datetime | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        """The filter as SQL conditions."""
        found: list[ColumnElement[bool]] = []
        if self.state:
            found.append(NotificationRow.state.in_([state.value for state in self.state]))
        if self.since is not None:
            found.append(NotificationRow.queued_at >= self.since)
        stated = (
            (NotificationRow.channel, self.channel),
            (NotificationRow.subject_kind, self.subject_kind),
            (NotificationRow.subject_id, self.subject_id),
        )
        return found + [column == value for column, value in stated if value is not None]


async def tell(
    session: AsyncSession,
    runtime: Runtime,
    *,
    subject_kind: str,
    subject_id: str,
    event: str,
    severity: Severity,
    title: str,
    body: str,
    channels: Collection[str] = (EVERY_CHANNEL,),
    drill: bool = False,
) -> int:
    """Queue a notification to some channels with the caller's transaction; `*` is those of the severity.

    Returns to how many.

    Each channel hears of an event of a subject once, however often this is called. Titles and bodies leave the house:
    name no person in them.
    """
    rules = runtime.policy.notifications
    told = {name for name in channels if name != EVERY_CHANNEL}
    if EVERY_CHANNEL in channels:
        known = channels_now(runtime.settings)
        told |= {name for name in rules.severities[severity] if name != EVERY_CHANNEL and name not in known}
        told |= {name for name, entry in known.items() if rules.told(severity, name, entry.severities)}
    quiet = "part of a drill" if drill and rules.quiet_in_drills else None
    title, body = wording.finished(title, body)
    notice = Notice(subject_kind, subject_id, event, severity, title, body, quiet)
    return await waiting.put(session, runtime.clock, [(notice, told)])


async def send_test(session: AsyncSession, runtime: Runtime, caller: Caller, channel: str) -> Delivery:
    """Queue a test to one channel; it takes the way of every notification, before what else waits.

    Raises:
        WatchfloorError: NOT_FOUND for a channel that is not in the file.
    """
    if channel not in channels_now(runtime.settings):
        raise not_found("channel", channel)
    title, body = wording.of_test(channel, runtime.clock.now())
    ident = str(runtime.clock.new_id())
    notice = Notice(_TEST, ident, _TEST, Severity.LOW, title, body, first=True)
    await waiting.put(session, runtime.clock, [(notice, [channel])])
    draft = AuditDraft(
        event_type="notifications.test.requested",
        action="notification tested",
        resource_type="channel",
        resource_id=channel,
        new_value={"test": ident},
    )
    await audit.record(session, runtime, caller, draft)
    row = await session.scalars(
        select(NotificationRow).where(NotificationRow.subject_kind == _TEST, NotificationRow.subject_id == ident)
    )
    return _wire(row.one())


async def get_delivery(session: AsyncSession, ident: str) -> Delivery:
    """One notification to one channel.

    Raises:
        WatchfloorError: NOT_FOUND.
    """
    return _wire(await row_named(session, NotificationRow, "notification", ident))


async def list_deliveries(
    session: AsyncSession, wanted: DeliveryFilter, *, cursor: str | None, limit: int, as_of: datetime
) -> Page[Delivery]:
    """One page of the log of deliveries, newest first.

    Raises:
        WatchfloorError: INVALID_REQUEST for a cursor that is not ours, or a text with NUL.
    """
    if any("\x00" in text for text in (wanted.channel, wanted.subject_kind, wanted.subject_id) if text):
        raise WatchfloorError(ErrorCode.INVALID_REQUEST, "Nothing has NUL in its name.")
    conditions = wanted.conditions()
    query = newest_first(
        select(NotificationRow).where(*conditions), NotificationRow.queued_at, NotificationRow.id, cursor, limit
    )
    rows = (await session.scalars(query)).all()
    total = await count_capped(session, NotificationRow, conditions) if cursor is None else None
    page, more = cut_page(rows, limit, lambda row: (row.queued_at, row.id))
    return Page(items=[_wire(row) for row in page], next_cursor=more, total=total, as_of=as_of)


async def list_channels(session: AsyncSession, runtime: Runtime) -> list[Channel]:
    """Where people are told, by name, with what became of the last day's notifications.

    Channels that only the policy names are among them.
    """
    rules = runtime.policy.notifications
    since = runtime.clock.now() - _DAY
    found = await session.execute(
        select(
            NotificationRow.channel,
            func.count().filter(NotificationRow.sent_at >= since).label("sent"),
            func.count().filter(NotificationRow.state.in_(_BAD), NotificationRow.queued_at >= since).label("failed"),
            func.max(NotificationRow.sent_at).label("last"),
        ).group_by(NotificationRow.channel)
    )
    counted = {row.channel: row for row in found}
    errors = await session.execute(_LAST_ERRORS)
    wrong = {row.channel: row for row in errors}
    known = channels_now(runtime.settings)
    named = runtime.policy.named_channels
    listed = []
    for name in sorted({*known, *named}):
        entry, row, error = known.get(name), counted.get(name), wrong.get(name)
        last = row.last if row else None
        wrong_since = error.reason if error and (last is None or error.queued_at > last) else None
        listed.append(
            Channel(
                name=name,
                service=entry.service if entry else "",
                in_file=entry is not None,
                severities=[
                    one for one in GRAVITY if rules.told(one, name, entry.severities if entry else named[name])
                ],
                sent_24h=row.sent if row else 0,
                failed_24h=row.failed if row else 0,
                last_sent_at=last,
                last_error=wrong_since if entry else absent.NOT_IN_FILE,
            )
        )
    return listed


def _wire(row: NotificationRow) -> Delivery:
    return Delivery(
        id=str(row.id),
        channel=row.channel,
        subject_kind=row.subject_kind,
        subject_id=row.subject_id,
        title=row.title,
        state=DeliveryState(row.state),
        attempts=row.attempts,
        queued_at=row.queued_at,
        sent_at=row.sent_at,
        next_at=row.next_at,
        reason=row.reason,
    )
