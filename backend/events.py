"""Stream events written with the change they tell of. Owns the table; fan-out to consoles is `backend.stream`."""

from typing import Any

from pydantic import BaseModel
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from contract.stream import Topic

CHANNEL = "watchfloor_events"
"""The NOTIFY channel; its payload is the highest new event id."""
_ORDER_LOCK_KEY = 0x5746_0001
"""Advisory lock that makes id order equal commit order, so that resuming after an id never skips a late commit."""
_PENDING = "pending_events"


def publish(session: AsyncSession, topic: Topic, payload: BaseModel) -> None:
    """Queue an event; it is written and announced when, and only when, the session's transaction commits."""
    session.info.setdefault(_PENDING, []).append((topic.value, payload.model_dump_json()))


async def flush_events(session: AsyncSession) -> None:
    """Write the queued events as the last statements of a transaction. Called by `backend.db` only."""
    pending: list[tuple[str, str]] = session.info.pop(_PENDING, [])
    if not pending:
        return
    await session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ORDER_LOCK_KEY})
    rows: list[dict[str, Any]] = [{"topic": topic, "payload": payload} for topic, payload in pending]
    for row in rows:
        await session.execute(
            text("INSERT INTO stream_events (topic, payload) VALUES (:topic, CAST(:payload AS jsonb))"), row
        )
    await session.execute(
        text("SELECT pg_notify(:channel, (SELECT max(id) FROM stream_events)::text)"), {"channel": CHANNEL}
    )
