"""Channels that the policy names and the file does not have, and which alerts about channels there are until when.

A name that is written wrongly in either must show before anybody should have been told there.
"""

from collections.abc import Collection
from typing import Final

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from backend.alerts import service as alerts
from backend.alerts.service import AlertDraft
from backend.context import Caller, Runtime
from backend.policy import Policy
from contract.alerts import Severity
from contract.scope import GLOBAL

log = structlog.get_logger(__name__)

FAILING: Final = "NOTIFICATIONS_FAILING"
"""Rule of the alert that a channel takes nothing."""
CHANNEL_FACT: Final = "channel"
NOT_IN_FILE: Final = "there is no such channel in the file of channels"
_REASON: Final = "reason"


def absent(policy: Policy, known: Collection[str]) -> list[str]:
    """The channels that the policy names and nobody knows, by name."""
    return sorted(policy.named_channels.keys() - set(known))


def tell(policy: Policy, known: Collection[str]) -> None:
    """Have the log say at a start which channels are absent."""
    if names := absent(policy, known):
        log.warning("channels_not_in_file", channels=names)


def fingerprint(channel: str) -> str:
    """What at most one live alert about a channel is known by."""
    return f"{FAILING}:{channel}"


def failing(channel: str, message: str, reason: str, **facts: str) -> AlertDraft:
    """The alert that a channel takes nothing."""
    return AlertDraft(
        fingerprint=fingerprint(channel),
        rule=FAILING,
        severity=Severity.HIGH,
        scope=GLOBAL,
        message=message,
        facts={CHANNEL_FACT: channel, _REASON: reason, **facts},
        moves=False,
    )


async def judge(session: AsyncSession, runtime: Runtime, caller: Caller, known: Collection[str]) -> None:
    """Raise an alert about each channel that is absent, and clear those that are about nothing any more."""
    gone = absent(runtime.policy, known)
    for name in gone:
        message = f"The policy names the channel {name}, and {NOT_IN_FILE}: nobody is told there."
        await alerts.raise_alert(session, runtime, caller, failing(name, message, NOT_IN_FILE))
    for _, alert in await alerts.live_of_rules(session, [FAILING]):
        channel = alert.facts.get(CHANNEL_FACT, "")
        if channel in known and alert.facts.get(_REASON) == NOT_IN_FILE:
            await alerts.clear_alert(session, runtime, caller, alert.id, why=f"{channel} is in the file of channels")
        elif channel not in known and channel not in gone:
            why = f"{channel} is not in the file of channels any more, and the policy does not name it"
            await alerts.clear_alert(session, runtime, caller, alert.id, why=why)
