"""Past days that newly stored trades pushed over a limit. Pure. Past days raise alerts and never freeze anything.

Here the broadest scope speaks: nobody can stop what happened years ago, so one sentence about the whole platform is
worth more than one for every wallet. A narrower scope is named only for days on which no broader one crossed.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal

from backend.risk.measures import crosses, figure
from backend.risk.model import DAILY_RULES, Limits, Part, by_scope
from contract.risk import RiskRule
from contract.scope import Scope, ScopeKind

JUDGED = (*sorted(DAILY_RULES), RiskRule.SUCCESS_RATE)
"""Rules that a past day can be judged by; positions are reported live and have no past."""
MAX_SCOPES = 5
"""Alerts of one rule that one import may raise; what is left out is counted in the last one's facts."""

DayParts = Mapping[date, Mapping[RiskRule, Sequence[Part]]]


@dataclass(frozen=True, slots=True)
class PastCrossing:
    """One rule and scope, and the past days on which it is over its limit since the new trades were stored."""

    rule: RiskRule
    scope: Scope
    limit: Decimal
    days: int
    first_day: date
    last_day: date
    worst_day: date
    worst: Decimal
    left_out: int = 0
    """Further scopes over the limit that get no alert of their own."""


def _minus(all_parts: Iterable[Part], added: Iterable[Part]) -> list[Part]:
    """What was stored before: all parts without what was added."""
    new = {part.place: part for part in added}
    rest = []
    for part in all_parts:
        extra = new.get(part.place)
        if extra is None:
            rest.append(part)
        else:
            rest.append(
                Part(part.place, part.amount - extra.amount, part.known - extra.known, part.unknown - extra.unknown)
            )
    return rest


def _new_on(rule: RiskRule, now: Sequence[Part], added: Sequence[Part], limits: Limits) -> dict[Scope, Decimal]:
    """Scopes that cross on one day now and did not before, with their values, broadest explanation only."""
    before = by_scope(_minus(now, added))
    after = by_scope(now)
    touched = by_scope(added)
    kinds = list(ScopeKind)
    found: dict[Scope, Decimal] = {}
    for scope in sorted(touched, key=lambda one: kinds.index(one.kind)):
        value = figure(rule, after[scope], limits).value
        limit = limits.of(rule, scope)
        was = figure(rule, before[scope], limits).value
        if value is None or not crosses(rule, value, limit) or crosses(rule, was, limit):
            continue
        covered = all(part.place.under(found) for part in after[scope])
        if not covered:
            found[scope] = value
    return found


def past_crossings(now: DayParts, added: DayParts, limits: Limits) -> list[PastCrossing]:
    """Every rule and scope that crossed on a past day because of the added trades; bounded, worst first."""
    found: list[PastCrossing] = []
    for rule in JUDGED:
        values: dict[Scope, dict[date, Decimal]] = {}
        for day, parts in added.items():
            for scope, value in _new_on(rule, now[day][rule], parts[rule], limits).items():
                values.setdefault(scope, {})[day] = value
        crossings = [_one(rule, scope, of_days, limits) for scope, of_days in values.items()]
        found += _bounded(crossings)
    return found


def _one(rule: RiskRule, scope: Scope, values: Mapping[date, Decimal], limits: Limits) -> PastCrossing:
    sign = 1 if rule is RiskRule.SUCCESS_RATE else -1
    worst_day = min(values, key=lambda day: (sign * values[day], day))
    limit = limits.of(rule, scope)
    return PastCrossing(rule, scope, limit, len(values), min(values), max(values), worst_day, values[worst_day])


def together(crossing: PastCrossing, earlier: PastCrossing) -> PastCrossing:
    """Two findings of one rule and scope as one; they are about different days, because a day crosses only once."""
    low_is_bad = crossing.rule is RiskRule.SUCCESS_RATE
    worse = (earlier.worst < crossing.worst) is low_is_bad
    return replace(
        earlier if worse else crossing,
        days=crossing.days + earlier.days,
        first_day=min(crossing.first_day, earlier.first_day),
        last_day=max(crossing.last_day, earlier.last_day),
    )


def _bounded(crossings: list[PastCrossing]) -> list[PastCrossing]:
    kinds = list(ScopeKind)
    worst_first = sorted(crossings, key=lambda one: (kinds.index(one.scope.kind), -one.days, one.scope.name))
    kept, dropped = worst_first[:MAX_SCOPES], worst_first[MAX_SCOPES:]
    if dropped:
        kept[-1] = replace(kept[-1], left_out=len(dropped))
    return kept
