"""The three risk indicators as one table of written rules. Pure: every fact is an argument.

Each rule states in one sentence what raises its indicator and gives a reason, with a link, for every fact it finds. An
indicator stands at its gravest reason. A source that says nothing yields a reason of level UNKNOWN: the indicator is
then UNKNOWN unless something graver is known, and never LOW.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from backend.policy.operations import Indicators, Steps
from backend.risk.wording import amount, named, plain
from contract.alerts import Alert, Link, Severity
from contract.executors import Executor, ExecutorState
from contract.freeze import Freeze
from contract.risk import Indicator, Measure, MeasureState, Reason, RiskLevel, RiskRule
from contract.scope import GLOBAL, ScopeKind

NAMES = ("regulatory", "operational", "security")
MAX_REASONS_OF_RULE = 5
"""Reasons one rule may give; what exceeds it is counted in the last."""
_GRAVITY = [RiskLevel.LOW, RiskLevel.UNKNOWN, RiskLevel.MEDIUM, RiskLevel.HIGH, RiskLevel.CRITICAL]
_LEVEL_OF = {
    Severity.CRITICAL: RiskLevel.CRITICAL,
    Severity.HIGH: RiskLevel.HIGH,
    Severity.MEDIUM: RiskLevel.MEDIUM,
    Severity.LOW: RiskLevel.LOW,
}


@dataclass(frozen=True, slots=True)
class Facts:
    """All that the rules look at."""

    now: datetime
    steps: Indicators
    severity_of: Mapping[RiskRule, Severity]
    measures: Sequence[Measure]
    executors: Sequence[Executor]
    freezes: Sequence[Freeze]
    overdue: Sequence[Alert]
    """Alerts nobody acknowledged within the response time of their severity."""
    past_days: Sequence[Alert]
    """Unacknowledged alerts about days gone by."""
    trades_today: int
    profit_unknown_today: int
    reportable_today: int
    failed_sign_ins: int
    """In the last 24 hours."""
    accounts_waiting: int
    denied_requests: int
    """In the last 24 hours."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One written rule."""

    id: str
    indicator: str
    sentence: str
    reasons: Callable[[Facts], Iterable[Reason]]


def _step(count: int, steps: Steps) -> RiskLevel | None:
    if count >= steps.high:
        return RiskLevel.HIGH
    return RiskLevel.MEDIUM if count >= steps.medium else None


def _counted(count: int, steps: Steps, text: str, link: Link | None = None) -> Iterable[Reason]:
    level = _step(count, steps)
    if level is not None:
        yield Reason(level=level, text=text, link=link)


def _alert_link(alert: Alert) -> Link:
    return Link(kind="alert", id=alert.id, label=alert.rule)


def _reportable(facts: Facts) -> Iterable[Reason]:
    count = facts.reportable_today
    text = f"{count:,} trades of today reach the reporting threshold and are not reported from here."
    return _counted(count, facts.steps.reportable_trades, text)


def _without_value(facts: Facts) -> Iterable[Reason]:
    if not facts.trades_today:
        return []
    percent = facts.profit_unknown_today * 100 // facts.trades_today
    text = f"{facts.profit_unknown_today:,} of today's {facts.trades_today:,} trades state no profit."
    return _counted(percent, facts.steps.trades_without_value_percent, text)


def _overdue(facts: Facts) -> Iterable[Reason]:
    for alert in facts.overdue:
        minutes = int((facts.now - (alert.due_at or facts.now)).total_seconds() // 60)
        yield Reason(
            level=RiskLevel.HIGH if alert.severity in {Severity.CRITICAL, Severity.HIGH} else RiskLevel.MEDIUM,
            text=f"{alert.rule} on {alert.scope} is past its response time by {minutes:,} min, unacknowledged.",
            link=_alert_link(alert),
        )


def _past_days(facts: Facts) -> Iterable[Reason]:
    for alert in facts.past_days:
        yield Reason(level=RiskLevel.MEDIUM, text=f"Not yet acknowledged: {alert.message}", link=_alert_link(alert))


def _limits(facts: Facts) -> Iterable[Reason]:
    for measure in facts.measures:
        if measure.value is None:
            continue
        value, limit = amount(measure.rule, measure.value), plain(measure.rule, measure.limit)
        what = f"{measure.rule.value.replace('_', ' ')} of {named(measure.scope)}: {value}"
        if measure.state is MeasureState.CROSSED:
            level = _LEVEL_OF[facts.severity_of[measure.rule]]
            yield Reason(level=level, text=f"Limit crossed, {what}, limit {limit}.")
        elif measure.state is MeasureState.NEAR:
            yield Reason(level=RiskLevel.MEDIUM, text=f"Near its limit, {what}, limit {limit}.")


def _silent(facts: Facts) -> Iterable[Reason]:
    silent = [one for one in facts.executors if one.state is ExecutorState.SILENT]
    if not silent:
        return []
    percent = max(1, len(silent) * 100 // len(facts.executors))
    text = f"{len(silent):,} of {len(facts.executors):,} executors are silent."
    link = Link(kind="executor", id=silent[0].name, label=silent[0].name)
    return _counted(percent, facts.steps.silent_executors_percent, text, link)


def _holds(facts: Facts) -> Iterable[Reason]:
    for freeze in facts.freezes:
        everything = freeze.scope == GLOBAL and freeze.mode.stops
        yield Reason(
            level=RiskLevel.HIGH if everything else RiskLevel.MEDIUM,
            text=f"{freeze.ref} holds {named(freeze.scope)} ({freeze.mode.value}).",
            link=Link(kind="freeze", id=freeze.id, label=freeze.ref),
        )


def _unanswered(facts: Facts) -> Iterable[Reason]:
    for one in facts.executors:
        if one.state is ExecutorState.FREEZING:
            yield Reason(
                level=RiskLevel.HIGH,
                text=f"Executor {one.name} is under a hold and has not confirmed that it halted.",
                link=Link(kind="executor", id=one.name, label=one.name),
            )


def _nothing_known(facts: Facts) -> Iterable[Reason]:
    if not facts.executors and not facts.trades_today:
        yield Reason(level=RiskLevel.UNKNOWN, text="No executor has reported and no trade of today is stored.")


def _sign_ins(facts: Facts) -> Iterable[Reason]:
    text = f"{facts.failed_sign_ins:,} failed sign-ins in the last 24 hours."
    link = Link(kind="audit", id="event_type=auth.login.failed", label="failed sign-ins")
    return _counted(facts.failed_sign_ins, facts.steps.failed_sign_ins, text, link)


def _waiting(facts: Facts) -> Iterable[Reason]:
    if facts.accounts_waiting:
        link = Link(kind="audit", id="event_type=auth.login.failed", label="failed sign-ins")
        text = f"Accounts that have to wait after too many failed sign-ins: {facts.accounts_waiting:,}."
        yield Reason(level=RiskLevel.MEDIUM, text=text, link=link)


def _denied(facts: Facts) -> Iterable[Reason]:
    text = f"{facts.denied_requests:,} requests were denied for lack of a permission in the last 24 hours."
    link = Link(kind="audit", id="event_type=auth.permission.denied", label="denied requests")
    return _counted(facts.denied_requests, facts.steps.denied_requests, text, link)


def _wallet_holds(facts: Facts) -> Iterable[Reason]:
    for freeze in facts.freezes:
        if freeze.scope.kind is ScopeKind.WALLET and freeze.automatic_rule is None:
            yield Reason(
                level=RiskLevel.HIGH,
                text=f"{freeze.ref}: a person froze {named(freeze.scope)}; its key may be compromised.",
                link=Link(kind="freeze", id=freeze.id, label=freeze.ref),
            )


RULES: tuple[Rule, ...] = (
    Rule("REG-1", "regulatory", "Many trades of the day reach the reporting threshold.", _reportable),
    Rule(
        "REG-2",
        "regulatory",
        "Many trades of the day state no profit, so that reports would be incomplete.",
        _without_value,
    ),
    Rule("REG-3", "regulatory", "An alert was not acknowledged within the response time of its severity.", _overdue),
    Rule("REG-4", "regulatory", "Imported days crossed a limit and nobody has acknowledged it.", _past_days),
    Rule("OPS-1", "operational", "A limit is crossed (the rule's severity) or near (medium).", _limits),
    Rule("OPS-2", "operational", "Executors are silent.", _silent),
    Rule("OPS-3", "operational", "Trading is held; a halt of everything is high.", _holds),
    Rule("OPS-4", "operational", "An executor has not confirmed a hold.", _unanswered),
    Rule("OPS-5", "operational", "Nothing is heard from trading: unknown, not low.", _nothing_known),
    Rule("SEC-1", "security", "Many sign-ins failed in the last 24 hours.", _sign_ins),
    Rule("SEC-2", "security", "An account has to wait after too many failed sign-ins.", _waiting),
    Rule("SEC-3", "security", "Many requests were denied in the last 24 hours.", _denied),
    Rule(
        "SEC-4",
        "security",
        "A person froze a single wallet, as one does when its key may be compromised.",
        _wallet_holds,
    ),
)


def _bounded(reasons: Iterable[Reason]) -> list[Reason]:
    gravest_first = sorted(reasons, key=lambda reason: -_GRAVITY.index(reason.level))
    kept = gravest_first[:MAX_REASONS_OF_RULE]
    more = len(gravest_first) - len(kept)
    if more:
        kept[-1] = kept[-1].model_copy(update={"text": f"{kept[-1].text} And {more:,} more like it."})
    return kept


def assess(facts: Facts) -> list[Indicator]:
    """The three indicators, each with its reasons, gravest first."""
    found = []
    for name in NAMES:
        reasons = [reason for rule in RULES if rule.indicator == name for reason in _bounded(rule.reasons(facts))]
        reasons.sort(key=lambda reason: -_GRAVITY.index(reason.level))
        found.append(Indicator(name=name, level=reasons[0].level if reasons else RiskLevel.LOW, reasons=reasons))
    return found


def unknown(why: str) -> list[Indicator]:
    """The three indicators when nothing current is known."""
    reason = Reason(level=RiskLevel.UNKNOWN, text=why)
    return [Indicator(name=name, level=RiskLevel.UNKNOWN, reasons=[reason]) for name in NAMES]
