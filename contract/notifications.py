"""Wire types of notifications: where they go, what was sent, and what became of it."""

from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, Field

from contract.base import UtcDatetime, Wire, WireRequest, storable
from contract.states import Severity

MAX_CHANNEL_CHARS = 100
"""Wider than any name that the file of channels may have."""


class DeliveryState(StrEnum):
    """What became of one notification to one channel."""

    QUEUED = "queued"
    SENT = "sent"
    FAILED = "failed"
    """It is tried again at `next_at`."""
    GIVEN_UP = "given_up"
    HELD_BACK = "held_back"
    """Not sent: the channel's rate was spent, a drill, or a silence; `reason` says which."""


class Channel(Wire):
    """One place that is told; its address is a secret and is never shown."""

    name: str
    service: str
    """What kind of place by its address: mailto, slack, pagerduty, tgram, json …; empty if there is no address."""
    in_file: bool = True
    """False: the policy names it and the file of channels does not have it, so that nobody is told there."""
    severities: list[Severity]
    sent_24h: int = 0
    failed_24h: int = 0
    last_sent_at: UtcDatetime | None = None
    last_error: str | None = None


class Delivery(Wire):
    """One notification to one channel."""

    id: str
    channel: str
    subject_kind: str
    """alert, incident, test, or digest: how many of a channel were held back because its rate was spent."""
    subject_id: str
    title: str
    state: DeliveryState
    """A try that ended without an answer counts as failed; it may have arrived all the same."""
    attempts: int = 0
    queued_at: UtcDatetime
    sent_at: UtcDatetime | None = None
    next_at: UtcDatetime | None = None
    reason: str | None = None
    """Why it failed or was held back, without the channel's address."""


class ChannelTest(WireRequest):
    """Ask for a test to be sent."""

    channel: Annotated[str, Field(min_length=1, max_length=MAX_CHANNEL_CHARS), AfterValidator(storable)]
