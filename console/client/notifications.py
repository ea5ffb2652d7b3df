"""One function per route about notifications. Contract models in and out. No rule lives here."""

from collections.abc import Sequence

from console.client.api import Api
from contract.base import Page
from contract.notifications import Channel, ChannelTest, Delivery, DeliveryState


async def channels(api: Api) -> Page[Channel]:
    """Where people are told, by name."""
    return await api.ask("notifications/channels", Page[Channel])


async def deliveries(
    api: Api,
    *,
    channel: str | None = None,
    states: Sequence[DeliveryState] = (),
    subject: str | None = None,
    limit: int | None = None,
    cursor: str | None = None,
) -> Page[Delivery]:
    """What was sent or was not, newest first."""
    query = {
        "channel": channel,
        "state": [state.value for state in states],
        "subject_id": subject,
        "limit": limit,
        "cursor": cursor,
    }
    return await api.ask("notifications", Page[Delivery], query)


async def send_test(api: Api, channel: str) -> Delivery:
    """Have a test sent to one channel; what came of it is known later."""
    return await api.act("notifications/test", Delivery, ChannelTest(channel=channel))


async def delivery(api: Api, ident: str) -> Delivery:
    """One notification to one channel."""
    return await api.ask(f"notifications/{ident}", Delivery)
