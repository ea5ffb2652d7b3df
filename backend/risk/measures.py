"""The four figures of risk and where each stands against its limit. Pure: every input is an argument.

Position is the sum of absolute positions that executors report. Daily loss is max(0, -sum of net profit) of the UTC
day; `profit_*` of a trade is net of gas and of what was paid to builders. Gas is the sum of gas cost of the UTC day.
The success rate is successes / (successes + failures) of the last N trades by block time within the window's hours.
What is unknown is counted beside a figure and is never added as 0.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from backend.risk.model import DAILY_RULES, ZERO, Figure, Limits, Part, PartsOfScopes
from contract.risk import Measure, MeasureState, RiskRule
from contract.scope import GLOBAL, Scope, ScopeKind

HISTORY_HOURS = 24
"""Length of the sparklines."""
MAX_LISTED = {ScopeKind.GLOBAL: 1, ScopeKind.CHAIN: 20, ScopeKind.STRATEGY: 20, ScopeKind.WALLET: 10}
"""Scopes of a kind listed in a snapshot, those nearest their limit first: a snapshot is sent to every console."""
MAX_CROSSED_LISTED = 50
"""Crossed scopes of one rule that are listed whatever their number."""
_USED_PLACES = Decimal("0.0001")
_KIND_ORDER = list(ScopeKind)


def figure(rule: RiskRule, parts: Iterable[Part], limits: Limits) -> Figure:
    """A rule's value over some parts: ETH, or a ratio for the success rate."""
    total, known, unknown = ZERO, 0, 0
    for part in parts:
        total += part.amount
        known += part.known
        unknown += part.unknown
    if not known or (rule is RiskRule.SUCCESS_RATE and known < limits.min_samples):
        return Figure(None, known, unknown)
    if rule is RiskRule.SUCCESS_RATE:
        return Figure(total / known, known, unknown)
    return Figure(max(ZERO, -total) if rule is RiskRule.DAILY_LOSS else total, known, unknown)


def crosses(rule: RiskRule, value: Decimal | None, limit: Decimal) -> bool:
    """Whether a value is past its limit; an unknown one never is, and one exactly at it is not."""
    if value is None:
        return False
    return value < limit if rule is RiskRule.SUCCESS_RATE else value > limit


def is_back(rule: RiskRule, value: Decimal | None, limit: Decimal, margin: Decimal) -> bool:
    """Whether a value has come back far enough for its alert to clear; an unknown one has not."""
    if value is None:
        return False
    if rule is RiskRule.SUCCESS_RATE:
        return value >= min(Decimal(1), limit * (1 + margin))
    return value <= limit * (1 - margin)


def state(rule: RiskRule, found: Figure, limit: Decimal, limits: Limits) -> MeasureState:
    """Where a figure stands. A success rate is near when most of the failures that the limit allows are used up."""
    if found.value is None:
        return MeasureState.UNKNOWN
    if crosses(rule, found.value, limit):
        return MeasureState.CROSSED
    if rule is RiskRule.SUCCESS_RATE:
        near = limit < 1 and (1 - found.value) >= (1 - limit) * limits.near_fraction
    else:
        near = found.value >= limit * limits.near_fraction
    if near:
        return MeasureState.NEAR
    if found.unknown > limits.max_unknown_fraction * (found.known + found.unknown):
        return MeasureState.UNKNOWN
    return MeasureState.OK


def used(rule: RiskRule, value: Decimal | None, limit: Decimal) -> Decimal | None:
    """Share of the limit that is used, to four decimals; for the success rate limit / value."""
    if value is None:
        return None
    over, under = (limit, value) if rule is RiskRule.SUCCESS_RATE else (value, limit)
    return None if under == 0 else (over / under).quantize(_USED_PLACES)


def projected_hit(value: Decimal, limit: Decimal, pace_eth_per_hour: Decimal, now: datetime) -> datetime | None:
    """When a daily figure reaches its limit at the pace of the last hour; None if not before the UTC day ends."""
    if pace_eth_per_hour <= 0 or value >= limit:
        return None
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    hours = (limit - value) / pace_eth_per_hour
    if hours > HISTORY_HOURS:
        return None
    hit = now + timedelta(seconds=int(hours * 3600))
    return hit if hit < midnight else None


@dataclass(frozen=True, slots=True)
class Inputs:
    """Everything one assessment of the measures is made of."""

    now: datetime
    parts: Mapping[RiskRule, PartsOfScopes]
    paces: Mapping[RiskRule, Mapping[Scope, Decimal]]
    """ETH an hour by which a daily figure grows."""
    history: Mapping[RiskRule, Sequence[Decimal | None]]
    """24 hourly values of the overall scope, oldest first; the last is the hour under way."""


def measure_all(inputs: Inputs, limits: Limits) -> dict[tuple[RiskRule, Scope], Measure]:
    """Every rule in every scope that has parts, and every rule overall even where there are none."""
    found: dict[tuple[RiskRule, Scope], Measure] = {}
    for rule in RiskRule:
        scopes = inputs.parts.get(rule, {})
        for scope in {GLOBAL: None} | dict.fromkeys(scopes):
            value = figure(rule, scopes.get(scope, ()), limits)
            found[rule, scope] = _measure(rule, scope, value, inputs, limits)
    return found


def _measure(rule: RiskRule, scope: Scope, found: Figure, inputs: Inputs, limits: Limits) -> Measure:
    limit = limits.of(rule, scope)
    pace = inputs.paces.get(rule, {}).get(scope, ZERO)
    hit = (
        projected_hit(found.value, limit, pace, inputs.now) if found.value is not None and rule in DAILY_RULES else None
    )
    return Measure(
        rule=rule,
        scope=scope,
        value=found.value,
        limit=limit,
        used=used(rule, found.value, limit),
        state=state(rule, found, limit, limits),
        samples=found.known + found.unknown,
        unknown=found.unknown,
        history=list(inputs.history.get(rule, ())) if scope == GLOBAL else [],
        projected_hit_at=hit,
    )


def listed(measures: Mapping[tuple[RiskRule, Scope], Measure]) -> list[Measure]:
    """The bounded part of all measures that a snapshot carries, overall first, then by kind and name."""
    chosen: set[Scope] = set()
    by_use = sorted(measures.values(), key=lambda measure: (-(measure.used or ZERO), str(measure.scope)))
    for kind, most in MAX_LISTED.items():
        names = dict.fromkeys(measure.scope for measure in by_use if measure.scope.kind is kind)
        chosen |= set(list(names)[:most])
    for rule in RiskRule:
        crossed = (m for m in by_use if m.rule is rule and m.state is MeasureState.CROSSED)
        chosen |= {measure.scope for measure in list(crossed)[:MAX_CROSSED_LISTED]}
    rules = list(RiskRule)
    return sorted(
        (measure for measure in measures.values() if measure.scope in chosen),
        key=lambda m: (_KIND_ORDER.index(m.scope.kind), m.scope.name, rules.index(m.rule)),
    )


def rolled(
    previous: Sequence[Decimal | None], previous_at: datetime | None, now: datetime, value: Decimal | None
) -> list[Decimal | None]:
    """An hourly history moved on to now: the hour under way holds the newest value, hours nobody measured hold None."""
    kept: list[Decimal | None] = list(previous)[-HISTORY_HOURS:]
    kept = [*[None for _ in range(HISTORY_HOURS - len(kept))], *kept]
    if previous_at is None:
        return [*kept[1:], value]
    passed = int(now.timestamp()) // 3600 - int(previous_at.timestamp()) // 3600
    if passed <= 0:
        return [*kept[:-1], value]
    missed = min(passed - 1, HISTORY_HOURS - 1)
    gap: list[Decimal | None] = [None] * missed
    return [*kept, *gap, value][-HISTORY_HOURS:]


def displayed(measures: Iterable[Measure]) -> tuple[object, ...]:
    """What a person can tell apart on a screen: values to a thousandth of their limit, times to five minutes."""

    def steps(value: Decimal | None, limit: Decimal) -> int | None:
        return None if value is None else int(value / limit * 1000)

    def shown(measure: Measure) -> tuple[object, ...]:
        hit = measure.projected_hit_at
        return (
            measure.rule,
            measure.scope,
            measure.state,
            measure.limit,
            steps(measure.value, measure.limit),
            bool(measure.unknown),
            None if hit is None else int(hit.timestamp()) // 300,
            tuple(steps(value, measure.limit) for value in measure.history),
        )

    return tuple(shown(measure) for measure in measures)
