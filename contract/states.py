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
    SILENT = "silent"
    """Not heard of for longer than a permit lives; it holds no valid permit."""


class FreezeMode(StrEnum):
    """What an executor under the hold may still do. Cancels always pass."""

    HALT = "halt"
    REDUCE_ONLY = "reduce-only"


class FreezeStatus(StrEnum):
    """active → thaw_requested → thawed; a refused or lapsed request returns to active."""

    ACTIVE = "active"
    THAW_REQUESTED = "thaw_requested"
    THAWED = "thawed"


class HaltState(StrEnum):
    """What is known of one executor under one hold; derived from its own answers, never from the command."""

    REQUESTED = "requested"
    ACKED = "acked"
    EXPIRED = "expired"
    """It has not answered, but its permit has run out: it may not send."""


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
