"""The stream route: replay, then live, as server-sent events. Holds no transaction while it streams."""

from collections.abc import AsyncIterator
from typing import Annotated

import structlog
from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import StreamingResponse
from sqlalchemy.exc import SQLAlchemyError

from backend.auth.service import Watch
from backend.context import Caller, CurrentRuntime, Runtime
from backend.guard import CurrentCaller, needs
from backend.stream import service
from backend.stream.broker import Broker, Subscription
from backend.stream.frames import beat_frame, latched_frame, reset_frame
from contract.freeze import LatchedFreezes
from contract.permissions import Permission
from contract.stream import Topic

log = structlog.get_logger(__name__)
router = APIRouter(tags=["stream"])

_MAX_ID = 2**63 - 1
_HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}
"""Nothing on the way may keep or collect events."""


class _Latched:
    """What this backend has latched, told whenever it is something else than before."""

    def __init__(self, runtime: Runtime, topics: frozenset[Topic]) -> None:
        self._runtime = runtime
        self._may_hear = Topic.LATCHED in topics
        self._told = LatchedFreezes(items=[])

    def news(self) -> bytes:
        """A frame, or nothing."""
        latched = self._runtime.latched
        now = LatchedFreezes(items=latched.tell(), journals_elsewhere=latched.journals_elsewhere)
        if not self._may_hear or now == self._told:
            return b""
        self._told = now
        return latched_frame(now)


async def _first_part(runtime: Runtime, subscription: Subscription, after: int) -> AsyncIterator[tuple[int, bytes]]:
    """What was committed before the subscription: positions and frames."""
    async with runtime.database.read() as session:
        resumable = await service.can_resume(session, after)
    if not resumable:
        runtime.metrics.stream_resets.inc()
        yield subscription.start, reset_frame(subscription.start)
        return
    yield after, beat_frame(runtime.clock.now())
    async for event in service.replay(runtime.database, subscription.topics, after=after, up_to=subscription.start):
        yield event.id, event.frame


async def _live(runtime: Runtime, broker: Broker, subscription: Subscription, position: int) -> AsyncIterator[bytes]:
    """What is committed from now on, until the session ends or the server stops."""
    beat_s = runtime.policy.stream.beat_seconds
    latched = _Latched(runtime, subscription.topics)
    while True:
        events = await subscription.take(beat_s)
        if subscription.closed:
            return
        if subscription.lost:
            position = broker.position
            subscription.recover()
            runtime.metrics.stream_resets.inc()
            yield reset_frame(position)
            continue
        frames = b"".join([*(event.frame for event in events if event.id > position), latched.news()])
        if frames:
            yield frames
        elif broker.listening:  # silence tells a console that what it shows may be old
            yield beat_frame(runtime.clock.now())


async def _stream(
    runtime: Runtime, broker: Broker, watch: Watch, caller: Caller, after: int | None
) -> AsyncIterator[bytes]:
    topics = service.topics_for(caller)
    with broker.subscribe(topics) as subscription, watch.over(caller, subscription.close):
        position = subscription.start
        try:
            if after is None:
                yield beat_frame(runtime.clock.now())
            else:
                async for sent_to, frame in _first_part(runtime, subscription, after):
                    yield frame
                    position = sent_to
            async for frame in _live(runtime, broker, subscription, position):
                yield frame
        except SQLAlchemyError as error:
            log.warning("stream_ended_without_database", error=str(error))


def _resume_point(header: str | None, query: int | None) -> int | None:
    """The header is newer than the address when a client reconnects; one we never gave out is answered by a reset."""
    if header is None:
        return query
    return int(header) if header.isascii() and header.isdigit() and int(header) <= _MAX_ID else _MAX_ID


@router.get(
    "/v1/stream",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {}}, "description": "Server-sent events, see contract.stream"}},
    **needs(Permission.VIEW_OVERVIEW),
)
async def stream(
    request: Request,
    runtime: CurrentRuntime,
    caller: CurrentCaller,
    after: Annotated[int | None, Query(ge=0, le=_MAX_ID, description="Send events after this id")] = None,
    last_event_id: Annotated[str | None, Header(max_length=100)] = None,
) -> StreamingResponse:
    """Committed events as they happen, after the given one if it is still kept, else after an event `reset`."""
    broker: Broker = request.app.state.broker
    watch: Watch = request.app.state.watch
    broker.refuse_if_full()
    frames = _stream(runtime, broker, watch, caller, _resume_point(last_event_id, after))
    return StreamingResponse(frames, media_type="text/event-stream", headers=_HEADERS)
