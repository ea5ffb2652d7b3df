"""`watchfloor notifications channels|list|test`: where people are told outside the console, and what became of it."""

import asyncio
import time
from typing import Final

import click

from console.client import notifications as client
from console.client.api import Api
from console.commands.base import Call, command, finish, paging
from console.commands.output import counted, instant, outside, wrapped
from contract.errors import ExitCode
from contract.notifications import Channel, Delivery, DeliveryState

_PENDING: Final = frozenset({DeliveryState.QUEUED})
_ASK_EVERY_S: Final = 0.5
"""A test is sent within a second or two."""


@click.group()
def notifications() -> None:
    """Telling people outside the console: channels, what was sent, tests."""


@notifications.command("channels")
@command("notifications.channels")
def list_channels(call: Call) -> None:
    """Where people are told: which severities, and what became of the last day's."""
    page = call.ask(client.channels)
    call.answer(page, lambda: [line for one in page.items for line in _channel(one)] or ["No channels."])


@notifications.command("list")
@click.option("--channel", help="Of one channel only.")
@click.option("--state", "states", type=click.Choice([one.value for one in DeliveryState]), multiple=True)
@click.option("--subject", metavar="ID", help="About one alert or incident only.")
@paging
@command("notifications.list")
def list_deliveries(
    call: Call,
    /,
    *,
    channel: str | None,
    states: tuple[str, ...],
    subject: str | None,
    limit: int,
    cursor: str | None,
) -> None:
    """What was sent or was not, newest first."""
    wanted = [DeliveryState(one) for one in states]
    page = call.ask(
        lambda api: client.deliveries(api, channel=channel, states=wanted, subject=subject, limit=limit, cursor=cursor)
    )
    call.answer_page(page, lambda: [line for one in page.items for line in _delivery(one)] or ["No notifications."])


@notifications.command("test")
@click.argument("channel")
@click.option(
    "--wait", type=click.IntRange(0, 600), default=30, show_default=True, help="Seconds to wait for what comes of it."
)
@command("notifications.test")
def test(call: Call, channel: str, wait: int) -> None:
    """Send a test to one channel, and say what came of the first try; exit 1 if it was not taken, 124 if too late."""
    found = call.ask(lambda api: _tested(api, channel, wait))
    call.answer(found, lambda: _delivery(found))
    if found.state in _PENDING and wait:
        finish(ExitCode.TIMED_OUT)
    if found.state is not DeliveryState.SENT and found.state not in _PENDING:
        finish(ExitCode.CHECK_FAILED)


async def _tested(api: Api, channel: str, wait_s: int) -> Delivery:
    found = await client.send_test(api, channel)
    deadline = time.monotonic() + wait_s
    while found.state in _PENDING and time.monotonic() < deadline:
        await asyncio.sleep(_ASK_EVERY_S)
        found = await client.delivery(api, found.id)
    return found


def _channel(one: Channel) -> list[str]:
    severities = ", ".join(one.severities) or "nothing"
    day = f"{counted(one.sent_24h, 'notification')} sent in 24 h, {one.failed_24h} not"
    lines = [
        f"{outside(one.name, 63)}  {outside(one.service, 40) if one.in_file else 'not in the file'}",
        f"  told of {severities}",
        f"  {day}; last sent {instant(one.last_sent_at)}",
    ]
    if not one.in_file:
        lines += wrapped("The policy names it, the file has it not: nobody is told there.", 2)
    elif one.last_error is not None:
        lines += wrapped(f"fails: {outside(one.last_error)}", 2)
    return lines


def _delivery(one: Delivery) -> list[str]:
    state = one.state.value.replace("_", " ")
    tries = f", {counted(one.attempts, 'try', 'tries')}" if one.attempts else ""
    when = f"sent {instant(one.sent_at)}" if one.sent_at else f"queued {instant(one.queued_at)}"
    lines = [
        f"{state}  {outside(one.channel, 63)}  {when}{tries}",
        *wrapped(outside(one.title), 2),
        f"  {outside(one.subject_kind, 20)} {outside(one.subject_id, 100)}",
    ]
    if one.reason is not None:
        again = f"; tried again {instant(one.next_at)}" if one.next_at else ""
        lines += wrapped(f"{outside(one.reason)}{again}", 2)
    return lines
