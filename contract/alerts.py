"""Wire types of alerts: what was raised, about what, and who has seen it."""

from contract.base import UtcDatetime, Wire, WireRequest
from contract.scope import MAX_STORED_CHARS, Scope
from contract.states import AlertStatus as AlertStatus  # noqa: PLC0414  part of what this module offers
from contract.states import Severity as Severity  # noqa: PLC0414  part of what this module offers

MAX_FINGERPRINT_CHARS = MAX_STORED_CHARS + 150
"""What tells one crossing from another: a rule, a scope at its longest, and a period."""


class Link(Wire):
    """A pointer from one record to another, followed with one key on the screen."""

    kind: str
    """Resource type: alert, freeze, executor, audit, transaction, import."""
    id: str
    label: str


class Alert(Wire):
    """One crossing of one rule in one scope; it lives until the rule clears it."""

    id: str
    rule: str
    """POSITION_SIZE_EXCEEDED, DAILY_LOSS_LIMIT, LOW_SUCCESS_RATE, GAS_SPEND_LIMIT, …"""
    severity: Severity
    status: AlertStatus
    scope: Scope
    message: str
    """One plain sentence with the measured value and the limit."""
    facts: dict[str, str] = {}
    """What the rule saw when it fired: value, limit, unit, sample size, window."""
    links: list[Link] = []
    raised_at: UtcDatetime
    updated_at: UtcDatetime
    due_at: UtcDatetime | None = None
    """Response due by the policy's severity table."""
    acknowledged_by: str | None = None
    acknowledged_at: UtcDatetime | None = None
    cleared_at: UtcDatetime | None = None
    action_taken: str | None = None
    """What the policy made Watchfloor do: a freeze, a review request; None when only informed."""


class AcknowledgeRequest(WireRequest):
    """Say that a person has seen the alert; it stays until its rule clears it."""

    comment: str = ""


class AlertCounts(Wire):
    """Alerts not yet cleared, by severity."""

    critical: int = 0
    high: int = 0
    medium: int = 0
    low: int = 0

    @property
    def total(self) -> int:
        """All alerts not yet cleared."""
        return self.critical + self.high + self.medium + self.low
