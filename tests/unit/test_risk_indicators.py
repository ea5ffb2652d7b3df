"""The written rules of the three indicators."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from backend.policy.load import load_policy
from backend.risk.indicators import MAX_REASONS_OF_RULE, NAMES, RULES, Facts, assess, unknown
from contract.alerts import Alert, AlertStatus, Severity
from contract.executors import Executor, ExecutorState
from contract.freeze import Freeze, FreezeMode, FreezeStatus
from contract.risk import Indicator, Measure, MeasureState, RiskLevel, RiskRule
from contract.scope import GLOBAL, Scope

NOW = datetime(2026, 3, 10, 12, 30, tzinfo=UTC)
POLICY = load_policy("mev")
SOURCES = [load_policy(name) for name in ("mev", "methtrader")]


def executor(name: str, state: ExecutorState = ExecutorState.TRADING) -> Executor:
    return Executor(name=name, chain="base", strategy="s", wallet="0xa", state=state, registered_at=NOW)


def alert(severity: Severity, **changes: Any) -> Alert:
    return Alert(
        id="a1",
        rule="DAILY_LOSS_LIMIT",
        severity=severity,
        status=AlertStatus.OPEN,
        scope=GLOBAL,
        message="The platform lost 12 ETH today.",
        raised_at=NOW,
        updated_at=NOW,
        **changes,
    )


def hold(scope: str, mode: FreezeMode = FreezeMode.HALT, rule: str | None = None) -> Freeze:
    return Freeze(
        id="f1",
        ref="FRZ-0001",
        epoch=1,
        scope=Scope.parse(scope),
        mode=mode,
        status=FreezeStatus.ACTIVE,
        reason="r",
        created_by="oscar",
        created_at=NOW,
        automatic_rule=rule,
    )


def measure(rule: RiskRule, state: MeasureState) -> Measure:
    return Measure(
        rule=rule, scope=GLOBAL, value=Decimal(9), limit=Decimal(10), used=Decimal("0.9"), state=state, samples=3
    )


CALM = Facts(
    now=NOW,
    steps=POLICY.watchfloor.indicators,
    severity_of={rule: table.severity for rule, table in POLICY.risk.rules.items()},
    measures=[measure(RiskRule.DAILY_LOSS, MeasureState.OK)],
    executors=[executor("bot-1")],
    freezes=[],
    overdue=[],
    past_days=[],
    trades_today=100,
    profit_unknown_today=0,
    reportable_today=3,
    failed_sign_ins=1,
    accounts_waiting=0,
    denied_requests=2,
)


def level(name: str, **changes: Any) -> RiskLevel:
    return next(one for one in assess(replace(CALM, **changes)) if one.name == name).level


def test_a_calm_floor_is_low_and_gives_no_reason() -> None:
    assert assess(CALM) == [Indicator(name=name, level=RiskLevel.LOW, reasons=[]) for name in NAMES]


@pytest.mark.parametrize(
    ("name", "changes", "expected"),
    [
        ("regulatory", {"reportable_today": 100}, RiskLevel.MEDIUM),
        ("regulatory", {"reportable_today": 1000}, RiskLevel.HIGH),
        ("regulatory", {"profit_unknown_today": 75}, RiskLevel.HIGH),
        ("regulatory", {"overdue": [alert(Severity.CRITICAL, due_at=NOW - timedelta(hours=1))]}, RiskLevel.HIGH),
        ("regulatory", {"past_days": [alert(Severity.CRITICAL)]}, RiskLevel.MEDIUM),
        ("operational", {"measures": [measure(RiskRule.DAILY_LOSS, MeasureState.NEAR)]}, RiskLevel.MEDIUM),
        ("operational", {"measures": [measure(RiskRule.DAILY_LOSS, MeasureState.CROSSED)]}, RiskLevel.CRITICAL),
        ("operational", {"measures": [measure(RiskRule.GAS_SPEND, MeasureState.CROSSED)]}, RiskLevel.MEDIUM),
        ("operational", {"executors": [executor("b", ExecutorState.SILENT)]}, RiskLevel.HIGH),
        ("operational", {"executors": [executor("b", ExecutorState.FREEZING)]}, RiskLevel.HIGH),
        ("operational", {"freezes": [hold("chain:base")]}, RiskLevel.MEDIUM),
        ("operational", {"freezes": [hold("global")]}, RiskLevel.HIGH),
        ("operational", {"executors": [], "trades_today": 0}, RiskLevel.UNKNOWN),
        ("security", {"failed_sign_ins": 5}, RiskLevel.MEDIUM),
        ("security", {"failed_sign_ins": 25}, RiskLevel.HIGH),
        ("security", {"accounts_waiting": 1}, RiskLevel.MEDIUM),
        ("security", {"denied_requests": 20}, RiskLevel.MEDIUM),
        ("security", {"freezes": [hold("wallet:0xab")]}, RiskLevel.HIGH),
        ("security", {"freezes": [hold("wallet:0xab", rule="DAILY_LOSS_LIMIT")]}, RiskLevel.LOW),
    ],
)
def test_each_rule_raises_its_indicator(name: str, changes: dict[str, Any], expected: RiskLevel) -> None:
    assert level(name, **changes) is expected
    reasons = next(one for one in assess(replace(CALM, **changes)) if one.name == name).reasons
    assert (not reasons) == (expected is RiskLevel.LOW)


def test_something_grave_counts_more_than_something_unknown() -> None:
    assert level("operational", executors=[], trades_today=0, freezes=[hold("global")]) is RiskLevel.HIGH


def test_every_rule_has_an_id_of_its_own_and_a_sentence() -> None:
    assert len({rule.id for rule in RULES}) == len(RULES)
    assert all(rule.sentence.endswith(".") and rule.indicator in NAMES for rule in RULES)


def test_reasons_are_bounded_and_say_how_many_more() -> None:
    found = assess(replace(CALM, executors=[executor(f"b{n}", ExecutorState.FREEZING) for n in range(40)]))
    reasons = next(one for one in found if one.name == "operational").reasons
    assert len(reasons) == MAX_REASONS_OF_RULE
    assert reasons[-1].text.endswith("And 35 more like it.")


def test_unknown_says_why() -> None:
    assert {(one.level, one.reasons[0].text) for one in unknown("Stale.")} == {(RiskLevel.UNKNOWN, "Stale.")}


@pytest.mark.parametrize("policy", SOURCES)
def test_every_policy_states_its_steps_in_order(policy: Any) -> None:
    for name in type(policy.watchfloor.indicators).model_fields:
        steps = getattr(policy.watchfloor.indicators, name)
        assert steps.medium <= steps.high
