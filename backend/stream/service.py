"""What a console may hear, and what is kept for those that resume. Writes no event: see `backend.events`."""

from collections.abc import AsyncIterator
from datetime import timedelta

from sqlalchemy import delete, func, or_, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from backend.context import Caller, Runtime
from backend.db import Database
from backend.monitors import Monitor
from backend.stream.broker import Event
from backend.stream.frames import event_frame
from backend.stream.tables import StreamEvent
from contract.permissions import Permission
from contract.stream import Topic

TOPIC_PERMISSION: dict[Topic, Permission] = {
    Topic.ALERT: Permission.VIEW_ALERTS,
    Topic.ALERTS: Permission.VIEW_ALERTS,
    Topic.INCIDENT: Permission.VIEW_INCIDENTS,
    Topic.FREEZE: Permission.VIEW_FREEZES,
    Topic.LATCHED: Permission.VIEW_FREEZES,
    Topic.RISK: Permission.VIEW_RISK,
    Topic.EXECUTORS: Permission.VIEW_EXECUTORS,
    Topic.TRANSACTIONS: Permission.VIEW_TRANSACTIONS,
    Topic.ELEVATION: Permission.VIEW_OVERVIEW,
    Topic.RECOVERY: Permission.VIEW_RECOVERY,
}
"""Events of a topic go only to callers who may read the same thing by its route."""
REPLAY_PAGE_ROWS = 500
"""Events read at once for a console that resumes; bounds the memory of one stream."""
MAX_REPLAY_EVENTS = 5_000
"""A console further behind loads the overview again: that is one answer instead of thousands."""
KEEP_ROWS = 50_000
"""Upper bound of the table however busy the feed is: about 50 MB."""
PRUNE_BATCH_ROWS = 10_000
"""Deleted in one tick; bounds its duration."""
PRUNE_INTERVAL_S = 60.0
"""How often old events are looked for; the table outgrows its bound by at most a minute's events."""


NEWEST_EVENT_ID = select(func.max(StreamEvent.__table__.c.id)).scalar_subquery()
"""For statements that ask more than this; NULL before the first event."""


def topics_for(caller: Caller) -> frozenset[Topic]:
    """The topics whose events a caller may hear."""
    return frozenset(topic for topic, permission in TOPIC_PERMISSION.items() if permission in caller.permissions)


async def last_event_id(session: AsyncSession) -> int:
    """The newest committed event. Read it before the data it goes with: resuming after it then misses nothing."""
    newest = await session.scalar(select(func.max(StreamEvent.id)))
    return newest or 0


async def can_resume(session: AsyncSession, after: int) -> bool:
    """Whether everything after the id is still kept, and not too much of it."""
    oldest, newest = (await session.execute(select(func.min(StreamEvent.id), func.max(StreamEvent.id)))).one()
    if newest is None:
        return after == 0
    return bool(oldest - 1 <= after <= newest and newest - after <= MAX_REPLAY_EVENTS)


async def replay(database: Database, topics: frozenset[Topic], *, after: int, up_to: int) -> AsyncIterator[Event]:
    """Kept events in order; holds no connection while the console reads a page."""
    while after < up_to:
        async with database.read() as session:
            rows = await session.execute(
                select(StreamEvent.id, StreamEvent.topic, text("payload::text"))
                .where(StreamEvent.id > after, StreamEvent.id <= up_to)
                .order_by(StreamEvent.id)
                .limit(REPLAY_PAGE_ROWS)
            )
            page = [(ident, topic, payload) for ident, topic, payload in rows]
        if not page:
            return
        for ident, topic, payload in page:
            if topic in topics:
                yield Event(ident, Topic(topic), event_frame(ident, topic, payload))
        after = page[-1][0]


async def prune(session: AsyncSession, runtime: Runtime) -> None:
    """Delete the oldest events, always a prefix and never the newest one, so that `can_resume` can tell."""
    newest = await last_event_id(session)
    oldest_rows = select(StreamEvent.id, StreamEvent.created_at).order_by(StreamEvent.id).limit(PRUNE_BATCH_ROWS)
    batch = oldest_rows.subquery()
    cutoff = runtime.clock.now() - timedelta(minutes=runtime.policy.stream.keep_events_minutes)
    expired = or_(batch.c.created_at < cutoff, batch.c.id <= newest - KEEP_ROWS)
    boundary = await session.scalar(select(func.max(batch.c.id)).where(expired))
    if boundary is not None:
        await session.execute(delete(StreamEvent).where(StreamEvent.id <= boundary, StreamEvent.id < newest))


PRUNE = Monitor(name="stream.prune", interval_s=PRUNE_INTERVAL_S, tick=prune)
