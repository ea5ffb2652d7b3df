"""The policy's part of notifications: who is told of what, how often, and how long it is tried."""

from collections.abc import Collection
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Final

from pydantic import AfterValidator, Field

from backend.policy.base import Flag, PolicyTable, PositiveCount, Text, each_of, unique
from contract.alerts import Severity

EVERY_CHANNEL: Final = "*"
MAX_TRIES: Final = 20
"""With the longest pause of an hour that is most of a day."""


class IncidentTopic(StrEnum):
    """What of an incident people are told outside the console."""

    DECLARED = "declared"
    SEVERITY_RAISED = "severity_raised"
    COMMANDER_CHANGED = "commander_changed"
    REPORT_DUE = "report_due"
    REPORT_OVERDUE = "report_overdue"
    RESOLVED = "resolved"
    REVIEW = "review"
    """Its post-mortem waits for somebody to approve it."""


class NotificationRules(PolicyTable):
    """Which channels are told of which severity, and how they are spared."""

    severities: Annotated[
        dict[Severity, Annotated[tuple[Text, ...], AfterValidator(unique)]], AfterValidator(each_of(Severity))
    ]
    """Channels by name; `*` is every channel. The file with the addresses may say otherwise for a channel."""
    incidents: Annotated[
        dict[IncidentTopic, Annotated[tuple[Text, ...], AfterValidator(unique)]], AfterValidator(each_of(IncidentTopic))
    ]
    """Channels by name that are told of an incident; `*` is those of its severity. Empty: nobody."""
    cleared: Flag
    """Whether whoever was told of an alert is told that it is over."""
    quiet_in_drills: Flag
    """Whether what a drill causes is written down only."""
    per_minute: PositiveCount
    """How many notifications a channel takes, on the average and at once."""
    rates: dict[Text, PositiveCount] = {}
    """The same for single channels, by name."""
    wait_seconds: PositiveCount
    """How long a notification waits for its channel's rate before it is only counted."""
    tries: Annotated[PositiveCount, Field(le=MAX_TRIES)]
    first_retry_seconds: PositiveCount
    """Pause after the first failure; doubles with each further one."""
    longest_retry_seconds: PositiveCount
    answer_seconds: Annotated[PositiveCount, Field(le=300)]
    """How long one try may take."""
    kept_days: PositiveCount
    """How long the log of deliveries reaches back; the audit log says for longer what was sent."""

    @property
    def kept(self) -> timedelta:
        """How far the log of deliveries reaches back."""
        return timedelta(days=self.kept_days)

    def rate_of(self, channel: str) -> int:
        """Notifications a minute that a channel takes."""
        return self.rates.get(channel, self.per_minute)

    def told(self, severity: Severity, channel: str, own: Collection[Severity] | None) -> bool:
        """Whether a channel is told of a severity: as its own entry says, or else as this table does."""
        if own is not None:
            return severity in own
        return bool({EVERY_CHANNEL, channel}.intersection(self.severities[severity]))
