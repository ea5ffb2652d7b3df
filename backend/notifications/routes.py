"""HTTP routes of notifications."""

from datetime import UTC
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import AwareDatetime

from backend.context import CurrentRuntime
from backend.db import Tx
from backend.guard import CurrentCaller, needs
from backend.notifications import service
from backend.notifications.service import DeliveryFilter
from backend.notifications.tables import MAX_SUBJECT_CHARS
from backend.openapi import refusals
from backend.paging import DEFAULT_PAGE_ROWS, MAX_PAGE_ROWS
from contract.base import Page
from contract.errors import ErrorCode
from contract.notifications import Channel, ChannelTest, Delivery, DeliveryState
from contract.permissions import Permission

router = APIRouter(tags=["notifications"])
_MANAGES = needs(Permission.MANAGE_NOTIFICATIONS)
_Text = Annotated[str | None, Query(max_length=MAX_SUBJECT_CHARS)]


@router.get("/v1/notifications/channels", **_MANAGES)
async def list_channels(session: Tx, runtime: CurrentRuntime) -> Page[Channel]:
    """Where people are told outside the console, by name; never the addresses."""
    return Page(items=await service.list_channels(session, runtime), as_of=runtime.clock.now())


@router.get("/v1/notifications", **_MANAGES)
async def list_deliveries(
    *,
    session: Tx,
    runtime: CurrentRuntime,
    channel: _Text = None,
    state: Annotated[list[DeliveryState] | None, Query()] = None,
    subject_kind: _Text = None,
    subject_id: _Text = None,
    since: AwareDatetime | None = None,
    cursor: str | None = None,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE_ROWS)] = DEFAULT_PAGE_ROWS,
) -> Page[Delivery]:
    """What was sent or was not, newest first; `state` may be given several times."""
    begin = since.astimezone(UTC) if since is not None else None
    wanted = DeliveryFilter(channel, state or (), subject_kind, subject_id, begin)
    return await service.list_deliveries(session, wanted, cursor=cursor, limit=limit, as_of=runtime.clock.now())


@router.post("/v1/notifications/test", status_code=202, responses=refusals(ErrorCode.NOT_FOUND), **_MANAGES)
async def test_channel(session: Tx, runtime: CurrentRuntime, caller: CurrentCaller, body: ChannelTest) -> Delivery:
    """Send a test to one channel; the answer comes before it is sent, and its id says what became of it."""
    return await service.send_test(session, runtime, caller, body.channel)


@router.get("/v1/notifications/{notification_id}", **_MANAGES)
async def get_delivery(notification_id: str, session: Tx) -> Delivery:
    """One notification to one channel."""
    return await service.get_delivery(session, notification_id)
