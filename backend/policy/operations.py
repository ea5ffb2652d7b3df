"""The policy's operating part: limits and rules of trading, severities, audit categories."""

from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum
from functools import cached_property
from typing import Annotated, Final, Self

from pydantic import AfterValidator, Field, model_validator

from backend.policy.access import AccessRules
from backend.policy.alerting import AlertRules, Directory, Escalation
from backend.policy.alertmanager import AlertmanagerRules
from backend.policy.base import (
    Count,
    Flag,
    Percent,
    PolicyTable,
    PositiveAmount,
    PositiveCount,
    Ratio,
    Retention,
    Text,
    Texts,
    each_of,
    in_one_place,
)
from backend.policy.freezing import AutomaticFreezes, FreezeDrills, Freezes, Permits, ThawRules
from backend.policy.identity import IdentityRules
from backend.policy.incidents import IncidentRules
from backend.policy.notifying import NotificationRules
from backend.policy.recovery import RecoveryRules
from backend.policy.service_tokens import ServiceTokenRules
from backend.policy.sessions import SessionRules
from backend.policy.sso import SsoRules
from contract.alerts import Severity
from contract.risk import RiskRule
from contract.scope import Scope, ScopeKind
from contract.transactions import Outcome


class RiskAction(StrEnum):
    """What a crossed limit makes Watchfloor do."""

    ENFORCE_POSITION_LIMIT = "enforce_position_limit"
    """An automatic reduce-only freeze of the scope."""
    PAUSE_TRADING = "pause_trading"
    """An automatic halt of the scope."""
    REQUEST_STRATEGY_REVIEW = "request_strategy_review"
    NOTIFY = "notify"
    """Raise the alert and nothing else."""


class RiskThresholds(PolicyTable):
    """The limits that hold overall."""

    max_position_size_eth: PositiveAmount
    max_daily_loss_eth: PositiveAmount
    min_success_rate: Ratio
    max_gas_spend_eth_per_day: PositiveAmount

    def limit(self, rule: RiskRule) -> Decimal:
        """The limit of one rule, in ETH or as a ratio."""
        return {
            RiskRule.POSITION: self.max_position_size_eth,
            RiskRule.DAILY_LOSS: self.max_daily_loss_eth,
            RiskRule.SUCCESS_RATE: self.min_success_rate,
            RiskRule.GAS_SPEND: self.max_gas_spend_eth_per_day,
        }[rule]


class ScopeLimits(PolicyTable):
    """Limits of one scope; a limit left out is the overall one."""

    max_position_size_eth: PositiveAmount | None = None
    max_daily_loss_eth: PositiveAmount | None = None
    min_success_rate: Ratio | None = None
    max_gas_spend_eth_per_day: PositiveAmount | None = None

    def limit(self, rule: RiskRule) -> Decimal | None:
        """The limit of one rule in this scope, or None where the overall one holds."""
        return {
            RiskRule.POSITION: self.max_position_size_eth,
            RiskRule.DAILY_LOSS: self.max_daily_loss_eth,
            RiskRule.SUCCESS_RATE: self.min_success_rate,
            RiskRule.GAS_SPEND: self.max_gas_spend_eth_per_day,
        }[rule]


class RiskRuleTable(PolicyTable):
    """What happens when a limit is crossed."""

    alert: Text
    severity: Severity
    action: RiskAction


def _scope_text(value: str) -> str:
    scope = Scope.parse(value)
    if scope.kind in {ScopeKind.EXECUTOR, ScopeKind.INTERSECTION}:
        raise ValueError(f"a limit is set for global, a chain, a strategy or a wallet, not for {scope}")
    return str(scope)


ScopeText = Annotated[str, AfterValidator(_scope_text)]


class RiskTuning(PolicyTable):
    """Watchfloor's own numbers of the risk monitor."""

    success_rate_window: PositiveCount
    """The success rate is that of the last so many transactions."""
    success_rate_window_hours: PositiveCount
    """Transactions older than this say nothing about how trading goes now."""
    success_rate_min_samples: PositiveCount
    """Below so many known outcomes the rate is unknown, not bad."""
    near_fraction: Ratio
    """Share of a limit from which a value counts as near."""
    clear_margin: Ratio
    """How far back under its limit, as a share of it, a value must come before its alert clears."""
    max_unknown_fraction: Ratio
    """Above this share of transactions without a value, a figure that looks good is unknown, not ok."""
    limits: dict[ScopeText, ScopeLimits] = {}


class Risk(PolicyTable):
    """Risk limits and what crossing them means."""

    assessment_interval_seconds: PositiveCount
    thresholds: RiskThresholds
    rules: Annotated[dict[RiskRule, RiskRuleTable], AfterValidator(each_of(RiskRule))]
    watchfloor: RiskTuning

    @property
    def success_rate_window(self) -> int:
        """The success rate is that of the last so many transactions."""
        return self.watchfloor.success_rate_window

    @property
    def success_rate_min_samples(self) -> int:
        """Below so many known outcomes the rate is unknown."""
        return self.watchfloor.success_rate_min_samples

    @property
    def near_fraction(self) -> Decimal:
        """Share of a limit from which a value counts as near."""
        return self.watchfloor.near_fraction

    @property
    def limits(self) -> Mapping[str, ScopeLimits]:
        """Limits of single scopes by their printed form, e.g. `chain:arbitrum`."""
        return self.watchfloor.limits

    def limit_of(self, rule: RiskRule, scope: Scope) -> Decimal:
        """The limit of a rule in a scope: the scope's own, else the overall one. ETH, or a ratio for success_rate."""
        own = self.limits.get(str(scope))
        special = own.limit(rule) if own else None
        return self.thresholds.limit(rule) if special is None else special


class SeverityTable(PolicyTable):
    """How fast and by whom an incident of a severity is answered."""

    response_time_minutes: Count
    """0: immediately."""
    escalation: Text
    notification: Text | None = None
    description: Text | None = None


class Reporting(PolicyTable):
    """Transactions that have to be reported."""

    threshold_usd: PositiveAmount
    """A transaction of at least this value is reported."""
    transaction_type: Text
    jurisdiction: Text
    fields: Texts


class Kyt(PolicyTable):
    """Know your transaction: what makes one suspicious."""

    large_profit_usd: PositiveAmount
    large_gas_cost_usd: PositiveAmount
    hourly_count_factor: PositiveAmount
    """An hour with more than so many times the average number of transactions is unusual."""
    hourly_profit_factor: PositiveAmount
    """An hour with more than so many times the average profit is unusual."""


class AntiManipulation(PolicyTable):
    """One control against market manipulation."""

    control: Text
    implementation: Text
    frequency: Text


class TransactionMapping(PolicyTable):
    """How a platform's own words are read."""

    outcomes: dict[Outcome, Texts]

    @model_validator(mode="after")
    def _one_meaning(self) -> Self:
        in_one_place(self.outcomes)
        return self


class Transactions(PolicyTable):
    """Rules of single transactions."""

    reporting: Reporting
    kyt: Kyt
    max_price_impact_percent: Percent
    large_trade_usd: PositiveAmount
    """A trade above this counts as large in summaries."""
    anti_manipulation: tuple[AntiManipulation, ...]
    watchfloor: TransactionMapping

    @cached_property
    def _outcome_by_word(self) -> Mapping[str, Outcome]:
        return {word.lower(): outcome for outcome, words in self.watchfloor.outcomes.items() for word in words}

    def outcome_of(self, status: str) -> Outcome:
        """Read a status as a platform wrote it; a blank or unrecognised one is UNKNOWN, never a success."""
        return self._outcome_by_word.get(status.strip().lower(), Outcome.UNKNOWN)


FOREVER: Final = "forever"
"""The retention of what is never dropped."""
_DAYS_A_YEAR = 365
"""Retention is stated in days; the documents mean years by 2,555 and 1,095."""


def retention_name(days: int) -> str:
    """Name a retention as the documents speak of it: 7y, 3y, 1y, 90d."""
    years, rest = divmod(days, _DAYS_A_YEAR)
    return f"{days}d" if rest or not years else f"{years}y"


class AuditCategory(PolicyTable):
    """A category of audit entries."""

    title: Text
    events: Texts
    retention_days: PositiveCount
    encryption: Flag


class Unwritable(StrEnum):
    """What becomes of an act whose audit entry the database cannot take."""

    CLOSED = "closed"
    """It does not happen."""
    SPOOL = "spool"
    """Its entry waits in a local file; it does not happen only if that cannot take it either."""


class AuditMapping(PolicyTable):
    """Which event type falls into which category."""

    event_types: dict[str, Texts]
    """Category → beginnings of event types, cut at a dot; the longest that fits decides."""
    fallback: Text
    """Category of an event type that no beginning fits."""
    when_unwritable: dict[str, Unwritable] = {}
    """Category → what happens when the database cannot take its entry; `closed` for one that is not named."""
    outbox_age_seconds: PositiveCount = 10
    """An entry that waits longer than this for its place in the ledger raises a critical alert."""
    import_retention_days: Retention = "forever"
    """How long an imported log is kept whose import names no retention."""

    @model_validator(mode="after")
    def _one_category(self) -> Self:
        in_one_place(self.event_types)
        return self


class Audit(PolicyTable):
    """The audit log's categories."""

    categories: Annotated[dict[str, AuditCategory], Field(min_length=1)]
    watchfloor: AuditMapping

    @cached_property
    def _category_by_prefix(self) -> Mapping[str, str]:
        return {prefix: name for name, prefixes in self.watchfloor.event_types.items() for prefix in prefixes}

    def may_spool(self, category: str) -> bool:
        """Whether an entry of the category may wait in a local file while the database is away."""
        return self.watchfloor.when_unwritable.get(category) is Unwritable.SPOOL

    def stated_category(self, event_type: str) -> str | None:
        """The category that the mapping states for an event type; None when only the fall-back is left."""
        parts = event_type.split(".")
        for length in range(len(parts), 0, -1):
            category = self._category_by_prefix.get(".".join(parts[:length]))
            if category is not None:
                return category
        return None


class Stream(PolicyTable):
    """The event stream to consoles."""

    keep_events_minutes: PositiveCount
    """How long an event can be resumed from."""
    beat_seconds: PositiveCount
    """Longest silence on the stream."""


class Steps(PolicyTable):
    """From how many on a fact raises an indicator to medium, and to high."""

    medium: PositiveCount
    high: PositiveCount


class Indicators(PolicyTable):
    """How much of something raises the regulatory, operational or security indicator."""

    reportable_trades: Steps
    """Transactions of the day at or above the reporting threshold."""
    trades_without_value_percent: Steps
    """Share of the day's transactions whose profit nobody stated."""
    silent_executors_percent: Steps
    failed_sign_ins: Steps
    """In the last 24 hours."""
    denied_requests: Steps
    """In the last 24 hours."""


class LedgerRules(PolicyTable):
    """What the audit ledger needs from outside before it believes itself, and before it drops anything."""

    witnesses: PositiveCount
    """How many witnesses must hold a signed head before it counts as witnessed."""
    archive_copies: PositiveCount
    """In how many places a sound copy of a partition must lie before the partition may be dropped."""
    archive_check_days: PositiveCount
    """How often every copy is read back."""
    period_hours: PositiveCount
    """Length of the periods whose entries are counted and sealed."""
    checkpoint_interval_s: PositiveCount
    """Longest time between a log's growth and its next signed head."""
    witnessed_within_s: PositiveCount
    """How long a head may stay unsigned or unwitnessed before it is an alert."""
    rollback_check_minutes: PositiveCount
    """Longest time between two comparisons of the database with what signer and witnesses hold."""
    settled_after_s: Annotated[PositiveCount, Field(le=120)]
    """How long a process that wrote entries is quiet before it says that they are settled."""


class Watchfloor(PolicyTable):
    """Numbers that no compliance document states and Watchfloor needs."""

    permits: Permits
    freezes: Freezes
    freeze_drills: FreezeDrills
    stream: Stream
    indicators: Indicators
    ledger: LedgerRules
    thaw: ThawRules
    automatic_freezes: AutomaticFreezes
    access: AccessRules
    identity: IdentityRules
    sessions: SessionRules
    sso: SsoRules
    service_tokens: ServiceTokenRules
    alerts: AlertRules
    alertmanager: AlertmanagerRules
    escalation: Escalation
    directory: Directory = {}
    notifications: NotificationRules
    incidents: IncidentRules
    recovery: RecoveryRules
