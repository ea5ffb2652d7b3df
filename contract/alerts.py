"""Wire types of alerts: what was raised, about what, and who has seen it."""

from pydantic import Field, field_validator

from contract.base import UtcDatetime, Wire, WireRequest, storable
from contract.scope import MAX_STORED_CHARS, Scope
from contract.states import AlertCategory as AlertCategory  # noqa: PLC0414  part of what this module offers
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


class Muting(Wire):
    """What keeps an alert from being told about; it is kept and listed all the same."""

    kind: str
    """silence, inhibition, mute_time or drill."""
    id: str
    """The silence, the inhibiting alert's fingerprint, the time interval's name, or the incident that is a drill."""
    by: str | None = None
    comment: str = ""
    until: UtcDatetime | None = None


class Escalation(Wire):
    """How far up an alert nobody has acknowledged has been passed."""

    level: int
    """0 while it is with whoever is on call."""
    to: str
    """Who has it now: a title of the policy's escalation table."""
    people: list[str] = []
    """Who that is by name: accounts of the policy's directory; empty where it names nobody."""
    next_to: str | None = None
    next_at: UtcDatetime | None = None
    """When it goes on to `next_to` unless somebody acknowledges it; None at the top, and once it is acknowledged."""


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
    source: str = "watchfloor"
    """Whose rule it is: Watchfloor's own, or `alertmanager:NAME`."""
    category: AlertCategory = AlertCategory.RISK
    labels: dict[str, str] = {}
    """What silences match and groups are made by; own alerts have alertname, severity, category, source and scope."""
    annotations: dict[str, str] = {}
    starts_at: UtcDatetime | None = None
    """When it began by the clock of its source; `raised_at` is when it came here."""
    group: str = ""
    """Alerts with the same text belong together on a screen."""
    assigned_to: str | None = None
    escalation: Escalation | None = None
    muted_by: list[Muting] = []
    runbook_url: str | None = None
    acknowledge_comment: str | None = None
    incident: str | None = None
    """The incident that it is part of, e.g. INC-2026-001."""
    times_raised: int = 1
    """More than once: a silence over it ended while it went on."""


class AcknowledgeRequest(WireRequest):
    """Say that a person has seen the alert; it stays until its rule clears it."""

    comment: str = ""
    idempotency_key: str = Field(default="", max_length=64)
    """Sent again under the same key, it does not acknowledge what has been raised again since."""

    _key = field_validator("idempotency_key")(storable)


class AlertsTaken(Wire):
    """What became of the alerts of one delivery; an Alertmanager reads only that it was taken."""

    raised: int
    cleared: int
    known: int
    """Nothing new: told before, or over before it was heard of."""


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
