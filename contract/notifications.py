"""Wire types of notifications: where they go, what was sent, and what became of it."""

from enum import StrEnum

from contract.base import UtcDatetime, Wire
from contract.states import Severity


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
    """What kind of place by its address: mailto, slack, pagerduty, tgram, json …"""
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
    """alert, incident or test."""
    subject_id: str
    title: str
    state: DeliveryState
    attempts: int = 0
    queued_at: UtcDatetime
    sent_at: UtcDatetime | None = None
    next_at: UtcDatetime | None = None
    reason: str | None = None
    """Why it failed or was held back, without the channel's address."""
