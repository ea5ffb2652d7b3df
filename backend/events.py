"""Stream events written with the change they tell of. Writes the table; fan-out to consoles is `backend.stream`."""

from pydantic import BaseModel
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from contract.stream import Topic

CHANNEL = "watchfloor_events"
"""The NOTIFY channel; its payload is the highest new event id."""
_ORDER_LOCK_KEY = 0x5746_0001
"""Advisory lock that makes id order equal commit order, so that resuming after an id never skips a late commit."""
_STALLED_WRITER_MS = 3_500
"""A process stopped between taking the lock and committing holds up every writer; the server ends it after this."""
_PENDING = "pending_events"

_LOCK = text("SELECT pg_advisory_xact_lock(:key), set_config('idle_in_transaction_session_timeout', :stalled_ms, true)")
_INSERT = text(
    "WITH added AS ("
    " INSERT INTO stream_events (topic, payload)"
    " SELECT topic, payload::jsonb"
    " FROM unnest(CAST(:topics AS text[]), CAST(:payloads AS text[])) WITH ORDINALITY AS q(topic, payload, position)"
    " ORDER BY position RETURNING id)"
    " SELECT pg_notify(:channel, max(id)::text) FROM added"
)


def publish(session: AsyncSession, topic: Topic, payload: BaseModel) -> None:
    """Queue an event; it is written and announced when, and only when, the session's transaction commits.

    A rolled-back savepoint does not take its events back: publish after the savepoint has succeeded.
    """
    session.info.setdefault(_PENDING, []).append((topic.value, payload.model_dump_json()))


async def keep_order(session: AsyncSession) -> None:
    """Have what the transaction numbers from here on be numbered in the order of commits, and commit soon.

    PostgreSQL releases the lock only after the commit is visible, so the next writer's ids are higher and later.
    """
    await session.execute(_LOCK, {"key": _ORDER_LOCK_KEY, "stalled_ms": str(_STALLED_WRITER_MS)})


async def flush_events(session: AsyncSession) -> None:
    """Write the queued events as the last statements of a transaction. Called by `backend.db` only."""
    pending: list[tuple[str, str]] = session.info.pop(_PENDING, [])
    if not pending:
        return
    topics, payloads = zip(*pending, strict=True)
    await keep_order(session)
    await session.execute(_INSERT, {"topics": list(topics), "payloads": list(payloads), "channel": CHANNEL})
