"""Wire types of risk: four measures against policy, three indicators with their reasons."""

from contract.alerts import Link
from contract.base import Money, UtcDatetime, Wire
from contract.scope import Scope
from contract.states import MeasureState as MeasureState  # noqa: PLC0414  part of what this module offers
from contract.states import RiskLevel as RiskLevel  # noqa: PLC0414  part of what this module offers
from contract.states import RiskRule as RiskRule  # noqa: PLC0414  part of what this module offers


class Measure(Wire):
    """One rule in one scope at one instant."""

    rule: RiskRule
    scope: Scope
    value: Money | None
    """ETH for position, daily_loss and gas_spend; a ratio 0..1 for success_rate; None when nothing is known."""
    limit: Money
    used: Money | None
    """Share of the limit used, 0 = far away, 1 = at the limit; for success_rate limit/value."""
    state: MeasureState
    samples: int
    """How many transactions or executors the value was computed from."""
    unknown: int = 0
    """How many of them carried no value and were left out, never counted as 0."""
    history: list[Money | None] = []
    """24 hourly values, oldest first, only for the overall scope."""
    projected_hit_at: UtcDatetime | None = None
    """When the limit is reached at the pace of the last hour; None when not approaching it today."""


class Reason(Wire):
    """One fact that raised an indicator to its level."""

    level: RiskLevel
    text: str
    link: Link | None = None


class Indicator(Wire):
    """Regulatory, operational or security risk, with the facts behind it."""

    name: str
    level: RiskLevel
    reasons: list[Reason]


class RiskSnapshot(Wire):
    """The latest assessment."""

    assessed_at: UtcDatetime | None
    """None before the first assessment: everything in here is then UNKNOWN."""
    interval_seconds: int
    """The policy's longest gap between assessments; older than twice this is stale."""
    measures: list[Measure]
    indicators: list[Indicator]
