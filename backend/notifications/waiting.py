"""The queue of notifications: what is put into it once, what is taken out for a try, and what became of that try.

Sends nothing. A try is taken out for as long as it may take: whoever took it and died leaves it to the next, so that a
notification may arrive twice, and is not lost.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Select, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from backend.clock import Clock
from backend.notifications import wording
from backend.notifications.absent import NOT_IN_FILE
from backend.notifications.core import GRAVITY, Rate, pause_after
from backend.notifications.tables import NotificationRate, NotificationRow
from backend.policy.notifying import NotificationRules
from contract.alerts import Severity
from contract.notifications import DeliveryState

DIGEST: Final = "digest"
"""Subject of the notification that tells how many were held back."""
DEAD_AFTER: Final = timedelta(seconds=10)
"""Beyond the time a try may take: whoever took it has not written down what became of it, and is taken for dead."""
_WAITING: Final = (DeliveryState.QUEUED.value, DeliveryState.FAILED.value)
_RATE_SPENT: Final = "more than the channel takes at a time; counted in a digest"
_FIRST: Final = -1
"""Gravity of what goes before everything else."""
_HELD_AT_ONCE: Final = 5_000
"""Bounds what is held back, or counted, in one statement: a storm has tens of thousands."""


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that channels are told of, once each."""

    subject_kind: str
    """alert, incident or test."""
    subject_id: str
    event: str
    """What happened to the subject, and which time."""
    severity: Severity
    title: str
    body: str
    quiet: str | None = None
    """Why it is written down only; None: it is sent."""
    first: bool = False
    """It goes before everything else that waits for the channel."""


async def put(session: AsyncSession, clock: Clock, notices: Iterable[tuple[Notice, Collection[str]]]) -> int:
    """Queue each notice to those of its channels that have none of this event yet; returns how many were queued."""
    now = clock.now()
    rows = [_row(clock, notice, channel, now) for notice, channels in notices for channel in sorted(set(channels))]
    if not rows:
        return 0
    statement = insert(NotificationRow).on_conflict_do_nothing(constraint="uq_notifications_once")
    added = await session.execute(statement.returning(NotificationRow.id), rows)
    return len(added.all())


def _row(clock: Clock, notice: Notice, channel: str, now: datetime) -> dict[str, Any]:
    state = DeliveryState.QUEUED if notice.quiet is None else DeliveryState.HELD_BACK
    return {
        "id": clock.new_id(),
        "channel": channel,
        "subject_kind": notice.subject_kind,
        "subject_id": notice.subject_id,
        "event": notice.event,
        "severity": notice.severity.value,
        "gravity": _FIRST if notice.first else GRAVITY[notice.severity],
        "title": notice.title,
        "body": notice.body if notice.quiet is None else "",
        "state": state.value,
        "queued_at": now,
        "next_at": now if notice.quiet is None else None,
        "reason": notice.quiet,
    }


async def over(session: AsyncSession, subject_kind: str, subject_ids: Collection[str], why: str) -> None:
    """Hold back what still waits about subjects of which there is nothing left to tell."""
    still = (
        select(NotificationRow.id)
        .where(NotificationRow.subject_kind == subject_kind, NotificationRow.subject_id.in_(subject_ids))
        .where(NotificationRow.state.in_(_WAITING))
    )
    await session.execute(
        update(NotificationRow)
        .where(NotificationRow.id.in_(await _locked(session, still)))
        .values(state=DeliveryState.HELD_BACK.value, next_at=None, reason=why, body="")
    )


async def _locked(session: AsyncSession, wanted: Select[UUID]) -> list[UUID]:
    """Take rows in the order of their ids, as everybody does who changes several: nobody waits in a circle.

    Whether each is still wanted is seen again once it is locked.
    """
    return list(await session.scalars(wanted.order_by(NotificationRow.id).with_for_update(of=NotificationRow)))


async def reached(session: AsyncSession, subject_kind: str, subject_ids: Collection[str]) -> Mapping[str, set[str]]:
    """Which channels may have heard of each subject: a notification was sent, or at least tried."""
    found = await session.execute(
        select(NotificationRow.subject_id, NotificationRow.channel)
        .where(NotificationRow.subject_kind == subject_kind, NotificationRow.subject_id.in_(subject_ids))
        .where(NotificationRow.attempts > 0)
        .distinct()
    )
    channels: dict[str, set[str]] = {}
    for subject_id, channel in found:
        channels.setdefault(subject_id, set()).add(channel)
    return channels


async def due(session: AsyncSession, now: datetime) -> list[str]:
    """Channels for which something is due."""
    found = await session.scalars(
        select(NotificationRow.channel)
        .where(NotificationRow.state.in_(_WAITING), NotificationRow.next_at <= now)
        .distinct()
    )
    return list(found)


async def take(session: AsyncSession, clock: Clock, rules: NotificationRules, channel: str) -> NotificationRow | None:
    """Take the gravest due notification of a channel out for a try, if the channel's rate has one left.

    What has waited too long for the rate is held back, and told as a number.
    """
    now = clock.now()
    rate = await _rate(session, channel, now)
    row = await _gravest(session, channel, now)
    if row is None:
        return None
    whole_at = Rate(rules.rate_of(channel)).taken(rate.whole_at, now)
    if whole_at is None:
        await _hold_back(session, clock, channel, now - timedelta(seconds=rules.wait_seconds))
        return None
    rate.whole_at = whole_at
    if row.subject_kind == DIGEST and row.attempts == 0:
        await _count_in(session, row)
    row.attempts += 1
    row.next_at = now + timedelta(seconds=rules.answer_seconds) + DEAD_AFTER
    await session.flush()
    return row


async def _rate(session: AsyncSession, channel: str, now: datetime) -> NotificationRate:
    """What the channel has taken, locked: whoever else takes for this channel waits."""
    await session.execute(insert(NotificationRate).values(channel=channel, whole_at=now).on_conflict_do_nothing())
    found = await session.scalars(
        select(NotificationRate).where(NotificationRate.channel == channel).with_for_update(key_share=True)
    )
    return found.one()


async def _gravest(session: AsyncSession, channel: str, now: datetime) -> NotificationRow | None:
    found = await session.scalars(
        select(NotificationRow)
        .where(NotificationRow.channel == channel, NotificationRow.state.in_(_WAITING), NotificationRow.next_at <= now)
        .order_by(NotificationRow.gravity, NotificationRow.queued_at, NotificationRow.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    return found.one_or_none()


async def _hold_back(session: AsyncSession, clock: Clock, channel: str, before: datetime) -> None:
    late = (
        select(NotificationRow.id)
        .where(NotificationRow.channel == channel, NotificationRow.state == DeliveryState.QUEUED.value)
        .where(NotificationRow.attempts == 0, NotificationRow.queued_at < before)
        .where(NotificationRow.subject_kind != DIGEST)
        .limit(_HELD_AT_ONCE)
    )
    held = await session.execute(
        update(NotificationRow)
        .where(NotificationRow.id.in_(await _locked(session, late)))
        .values(state=DeliveryState.HELD_BACK.value, next_at=None, reason=_RATE_SPENT, rate_spent=True, body="")
        .returning(NotificationRow.gravity)
    )
    worst = min((gravity for (gravity,) in held), default=None)
    if worst is None:
        return
    waits = await session.scalar(
        select(NotificationRow.id)
        .where(NotificationRow.channel == channel, NotificationRow.state.in_(_WAITING))
        .where(NotificationRow.subject_kind == DIGEST, NotificationRow.attempts == 0)
    )
    if waits is None:
        severity = list(Severity)[worst]
        notice = Notice(DIGEST, channel, f"counted:{clock.new_id()}", severity, "", "", first=True)
        await put(session, clock, [(notice, [channel])])


async def _count_in(session: AsyncSession, digest: NotificationRow) -> None:
    """Write into a digest how many were held back since the last one."""
    uncounted = (
        NotificationRow.channel == digest.channel,
        NotificationRow.rate_spent.is_(True),
        NotificationRow.counted_in.is_(None),
    )
    some = (
        select(NotificationRow.id)
        .where(*uncounted)
        .order_by(NotificationRow.gravity, NotificationRow.queued_at, NotificationRow.id)
        .limit(_HELD_AT_ONCE)
    )
    chosen = select(NotificationRow.id).where(NotificationRow.id.in_(some))
    counted = await session.execute(
        update(NotificationRow)
        .where(NotificationRow.id.in_(await _locked(session, chosen)))
        .values(counted_in=digest.id)
        .returning(NotificationRow.gravity, NotificationRow.queued_at, NotificationRow.id, NotificationRow.title)
    )
    rows = sorted((gravity, at, ident, title) for gravity, at, ident, title in counted)
    severity = list(Severity)[rows[0][0]] if rows else Severity(digest.severity)
    digest.severity = severity.value
    digest.title, digest.body = wording.of_digest(len(rows), severity, [title for *_, title in rows])


async def sent(session: AsyncSession, clock: Clock, taken: NotificationRow) -> NotificationRow | None:
    """Write down that a try succeeded; None: somebody else has taken the notification since."""
    row = await _still(session, taken)
    if row is not None:
        row.state, row.sent_at = DeliveryState.SENT.value, clock.now()
        row.next_at = row.reason = None
        row.body = ""  # it has left; what may name somebody is not kept beside the alert
        await session.flush()
    return row


async def failed(
    session: AsyncSession, clock: Clock, rules: NotificationRules, taken: NotificationRow, problem: str
) -> NotificationRow | None:
    """Write down that a try failed; None: somebody else has taken the notification since, or it is over."""
    row = await _still(session, taken)
    if row is None or row.state not in _WAITING:
        return None
    row.reason = problem
    if row.attempts >= rules.tries:
        row.state, row.next_at, row.body = DeliveryState.GIVEN_UP.value, None, ""
    else:
        pause = pause_after(row.attempts, rules.first_retry_seconds, rules.longest_retry_seconds)
        row.state, row.next_at = DeliveryState.FAILED.value, clock.now() + pause
    await session.flush()
    return row


async def _still(session: AsyncSession, taken: NotificationRow) -> NotificationRow | None:
    found = await session.scalars(
        select(NotificationRow)
        .where(NotificationRow.id == taken.id, NotificationRow.attempts == taken.attempts)
        .with_for_update()
    )
    return found.one_or_none()


async def give_up_unknown(session: AsyncSession, known: Collection[str], before: datetime) -> list[UUID]:
    """Give up what has waited for channels that nobody knows."""
    unknown = (
        select(NotificationRow.id)
        .where(NotificationRow.state.in_(_WAITING), NotificationRow.channel.not_in(known))
        .where(NotificationRow.queued_at < before)
        .limit(_HELD_AT_ONCE)
    )
    found = await session.scalars(
        update(NotificationRow)
        .where(NotificationRow.id.in_(await _locked(session, unknown)))
        .values(state=DeliveryState.GIVEN_UP.value, next_at=None, reason=NOT_IN_FILE, body="")
        .returning(NotificationRow.id)
    )
    return list(found)
