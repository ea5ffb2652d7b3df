"""The plain sentences, facts and links of risk alerts. Pure. Names in them come from outside and are shown cleaned."""

from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal

from backend.risk.crossings import Crossing
from backend.risk.model import DAILY_RULES
from backend.risk.past import PastCrossing
from contract.alerts import Link
from contract.risk import RiskRule
from contract.scope import Scope, ScopeKind

_SMALL_ETH = Decimal("0.1")
"""Below this two decimals say nothing."""


def amount(rule: RiskRule, value: Decimal) -> str:
    """A value with its unit: `12.41 ETH`, `71.2 %`."""
    if rule is RiskRule.SUCCESS_RATE:
        return f"{value * 100:.1f} %"
    return f"{value:,.2f} ETH" if abs(value) >= _SMALL_ETH or not value else f"{value:,.6f} ETH"


def exact(value: Decimal) -> str:
    """All digits of a value, without idle zeros."""
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def plain(rule: RiskRule, value: Decimal) -> str:
    """A limit without idle zeros: `10 ETH`, `80 %`."""
    number = value * 100 if rule is RiskRule.SUCCESS_RATE else value
    text = exact(number)
    return f"{text} %" if rule is RiskRule.SUCCESS_RATE else f"{text} ETH"


def named(scope: Scope) -> str:
    """A scope in a sentence: `the platform`, `strategy arbitrage`."""
    if scope.kind is ScopeKind.GLOBAL:
        return "the platform"
    return " and ".join(f"{term.kind.value} {term.name}" for term in scope.terms)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def crossing_message(crossing: Crossing) -> str:
    """What happened, in one sentence with the value and the limit."""
    rule, who = crossing.rule, named(crossing.scope)
    value, limit = amount(rule, crossing.value), plain(rule, crossing.limit)
    match rule:
        case RiskRule.POSITION:
            return _sentence(f"{who} holds {value}, over the limit of {limit}.")
        case RiskRule.DAILY_LOSS:
            return _sentence(f"{who} lost {value} today, over the limit of {limit}.")
        case RiskRule.GAS_SPEND:
            return _sentence(f"{who} spent {value} on gas today, over the limit of {limit}.")
        case RiskRule.SUCCESS_RATE:
            return _sentence(
                f"{who} succeeded in {value} of its last {crossing.figure.known} trades, under the minimum of {limit}."
            )


def crossing_facts(crossing: Crossing, day: date) -> dict[str, str]:
    """What the rule saw when it fired."""
    facts = {
        "value": exact(crossing.value),
        "limit": exact(crossing.limit),
        "unit": "ratio" if crossing.rule is RiskRule.SUCCESS_RATE else "ETH",
        "samples": str(crossing.figure.known + crossing.figure.unknown),
        "unknown": str(crossing.figure.unknown),
    }
    if crossing.rule in DAILY_RULES:
        facts["day"] = day.isoformat()
    if crossing.explains:
        facts["also_over_the_limit"] = ", ".join(str(scope) for scope in crossing.explains)
    return facts


def trades_link(scope: Scope, first: date, last: date) -> Link:
    """The trades of a scope on some days, as a filter of the list of trades."""
    parts = [] if scope.kind is ScopeKind.GLOBAL else [f"{scope.kind.value}={scope.name}"]
    parts += [f"from={first.isoformat()}T00:00:00Z", f"to={last + timedelta(days=1)}T00:00:00Z"]
    label = f"trades of {first}" if first == last else f"trades from {first} to {last}"
    return Link(kind="transaction", id="&".join(parts), label=label)


def past_message(crossing: PastCrossing) -> str:
    """What past days showed once their trades were stored, in one sentence with the worst of them."""
    rule, who, days = crossing.rule, named(crossing.scope), crossing.days
    value, limit = amount(rule, crossing.worst), plain(rule, crossing.limit)
    when = f"on {crossing.worst_day}" if days == 1 else f"on {crossing.worst_day}, the worst of {days} past days"
    match rule:
        case RiskRule.GAS_SPEND:
            return _sentence(f"{who} spent {value} on gas {when}, over the limit of {limit} a day.")
        case RiskRule.SUCCESS_RATE:
            return _sentence(f"{who} succeeded in {value} of its trades {when}, under the minimum of {limit}.")
        case _:
            return _sentence(f"{who} lost {value} {when}, over the limit of {limit} a day.")


def past_facts(crossing: PastCrossing) -> dict[str, str]:
    """What the judgement of past days found."""
    facts = {
        "value": exact(crossing.worst),
        "limit": exact(crossing.limit),
        "unit": "ratio" if crossing.rule is RiskRule.SUCCESS_RATE else "ETH",
        "worst_day": crossing.worst_day.isoformat(),
        "days_over_the_limit": str(crossing.days),
        "first_day": crossing.first_day.isoformat(),
        "last_day": crossing.last_day.isoformat(),
    }
    if crossing.left_out:
        facts["further_scopes_over_the_limit"] = str(crossing.left_out)
    return facts


def past_of_facts(rule: RiskRule, scope: Scope, facts: Mapping[str, str]) -> PastCrossing:
    """Read what `past_facts` wrote."""
    return PastCrossing(
        rule,
        scope,
        Decimal(facts["limit"]),
        int(facts["days_over_the_limit"]),
        date.fromisoformat(facts["first_day"]),
        date.fromisoformat(facts["last_day"]),
        date.fromisoformat(facts["worst_day"]),
        Decimal(facts["value"]),
        int(facts.get("further_scopes_over_the_limit", 0)),
    )
