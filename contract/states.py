"""The words in which states travel: every enumeration of a wire type that a screen tells apart.

Standard library only, so that the first picture need not wait for the library behind the wire types.
"""

from enum import StrEnum


class Severity(StrEnum):
    """Severities of both compliance documents, most urgent first."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


class AlertStatus(StrEnum):
    """open → acknowledged → cleared; clearing is done by the rule that raised it, never by a person."""

    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    CLEARED = "cleared"


class AlertCategory(StrEnum):
    """The four kinds of alerts of the second compliance document."""

    CRITICAL = "critical"
    PERFORMANCE = "performance"
    RISK = "risk"
    COMPLIANCE = "compliance"


class IncidentStatus(StrEnum):
    """open → resolved → closed; a resolved one may be opened again, a closed one never is."""

    OPEN = "open"
    RESOLVED = "resolved"
    CLOSED = "closed"


class MilestoneName(StrEnum):
    """The instants that the metrics are made of."""

    STARTED = "started"
    DETECTED = "detected"
    NOTIFIED = "notified"
    ACKNOWLEDGED = "acknowledged"
    INVESTIGATING = "investigating"
    IDENTIFIED = "identified"
    CONTAINED = "contained"
    MITIGATED = "mitigated"
    RESOLVED = "resolved"
    CLOSED = "closed"


class PostmortemState(StrEnum):
    """draft → review → approved; what was sent back is a draft again, an approved version never changes."""

    DRAFT = "draft"
    REVIEW = "review"
    APPROVED = "approved"


class AuditResult(StrEnum):
    """How the act ended."""

    SUCCESS = "success"
    FAILURE = "failure"
    DENIED = "denied"


class ExecutorState(StrEnum):
    """Halted, wedged and dead are told apart: silence is never shown as halted."""

    TRADING = "trading"
    REDUCING = "reducing"
    FROZEN = "frozen"
    """It has acknowledged a hold."""
    FREEZING = "freezing"
    """A hold covers it and it has not answered yet."""
    WEDGED = "wedged"
    """A hold covers it, its gate goes on renewing, but the bot's own code has not asked it anything for a while."""
    SILENT = "silent"
    """Not heard of for longer than a permit lives; it holds no valid permit."""


class FreezeMode(StrEnum):
    """What an executor under the hold may still do. Cancels always pass."""

    HALT = "halt"
    REDUCE_ONLY = "reduce-only"
    CANCEL_ALL = "cancel-all"
    """Take resting orders back first, then as HALT: the strictest."""

    @property
    def stops(self) -> bool:
        """Whether nothing but cancels may be sent."""
        return self is not FreezeMode.REDUCE_ONLY


class FreezeStatus(StrEnum):
    """active → thaw_requested → thawing → thawed; a refused, lapsed or broken-off one returns to active."""

    ACTIVE = "active"
    THAW_REQUESTED = "thaw_requested"
    THAWING = "thawing"
    """Approved and taking effect in stages: part of its executors may trade again while they are watched."""
    THAWED = "thawed"
    LATCHED = "latched"
    """In force at one backend, and not in the database yet."""


class HaltState(StrEnum):
    """What is known of one executor under one hold; derived from stored statements, never from the command."""

    REQUESTED = "requested"
    DELIVERED = "delivered"
    """It names the hold's epoch, and has not said that it obeys."""
    ACKED = "acked"
    """It has signed that it obeys, and what it had sent until then."""
    QUIESCED = "quiesced"
    """Nothing of what it had sent is open any more."""
    VERIFIED = "verified"
    """Another party than the executor agrees."""
    EXPIRED = "expired"
    """It has not answered, but its permit has run out: it may not send. Never of one that no permit bounds."""
    VIOLATION = "violation"
    """It, or somebody with its wallet, did more than was acknowledged."""

    @property
    def is_halted(self) -> bool:
        """Whether it can be counted as halted: it said so, or cannot send."""
        return self in _HALTED


_HALTED = frozenset({HaltState.ACKED, HaltState.QUIESCED, HaltState.VERIFIED, HaltState.EXPIRED})


class Fate(StrEnum):
    """How something that was under way when an executor halted has ended."""

    LANDED = "landed"
    REPLACED = "replaced"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


class RiskRule(StrEnum):
    """The four thresholds of the policy."""

    POSITION = "position"
    DAILY_LOSS = "daily_loss"
    SUCCESS_RATE = "success_rate"
    GAS_SPEND = "gas_spend"


class MeasureState(StrEnum):
    """Where a value stands against its limit. UNKNOWN is never shown as ok."""

    OK = "ok"
    NEAR = "near"
    CROSSED = "crossed"
    UNKNOWN = "unknown"


class RiskLevel(StrEnum):
    """The four levels of an indicator; UNKNOWN when its inputs are missing or stale."""

    LOW = "LOW"
    MEDIUM = "MEDIUM"
    HIGH = "HIGH"
    CRITICAL = "CRITICAL"
    UNKNOWN = "UNKNOWN"


class ScopeKind(StrEnum):
    """The dimensions along which operations can be frozen and limited."""

    GLOBAL = "global"
    CHAIN = "chain"
    STRATEGY = "strategy"
    WALLET = "wallet"
    EXECUTOR = "executor"
    INTERSECTION = "intersection"
    """What several of the above cover all at once."""


class ElevationStatus(StrEnum):
    """How far an elevation is."""

    REQUESTED = "requested"
    APPROVED = "approved"
    """In force until `ends_at`."""
    DENIED = "denied"
    LAPSED = "lapsed"
    """Nobody decided in time."""
    ENDED = "ended"
    """Somebody ended it early, or took the request back."""
    EXPIRED = "expired"
    """Its time was up."""
