"""`watchfloor risk show` and `watchfloor compliance metrics`."""

import click

from console.commands.base import Call, cell, command, glyph_set
from console.commands.output import age, instant, now_of, outside, painted, table, wrapped
from console.widgets import words
from contract.overview import ComplianceMetrics
from contract.risk import Indicator, Measure, RiskRule, RiskSnapshot
from contract.scope import ScopeKind


@click.group()
def risk() -> None:
    """Risk: the policy's measures and the three indicators."""


@risk.command("show")
@click.option("--all", "everything", is_flag=True, help="Every scope, not only the overall one and what is near.")
@command("risk.show")
def show(call: Call, *, everything: bool) -> None:
    """Where the floor stands against its limits, and why the indicators say what they say."""
    snapshot = call.ask(lambda api: api.risk())
    call.answer(snapshot, lambda: _assessment(snapshot, everything=everything))


@click.group()
def compliance() -> None:
    """Compliance: what the dashboard of the compliance document shows."""


@compliance.command("metrics")
@command("compliance.metrics")
def metrics(call: Call) -> None:
    """Risks, metrics and alerts in one answer."""
    answer = call.ask(lambda api: api.compliance_metrics())
    call.answer(answer, lambda: _metrics(answer))


def _metrics(answer: ComplianceMetrics) -> list[str]:
    lines = _assessment(answer.metrics, everything=False)
    lines.append(f"Alerts not cleared: {len(answer.alerts)}")
    g = glyph_set()
    for alert in answer.alerts:
        glyph, word, style = words.severity(alert.severity, g)
        lines.append(painted(f"  {glyph} {word}", style) + f" {outside(alert.rule)} {outside(str(alert.scope))}")
    return lines


def _assessment(snapshot: RiskSnapshot, *, everything: bool) -> list[str]:
    if snapshot.assessed_at is None:
        return ["Nothing has been assessed yet: every value is unknown."]
    now = now_of(None)
    shown = [m for m in snapshot.measures if everything or _matters(m)]
    lines = [
        f"Assessed {instant(snapshot.assessed_at)} ({age(snapshot.assessed_at, now)} ago)",
        *table(("measure", "scope", "now", "limit", "used", "state"), [_row(m) for m in shown], right=(2, 3, 4)),
    ]
    for indicator in snapshot.indicators:
        lines += _why(indicator)
    return lines


def _matters(measure: Measure) -> bool:
    return measure.scope.kind is ScopeKind.GLOBAL or measure.state.value in {"near", "crossed"}


def _row(measure: Measure) -> tuple[str | tuple[str, str], ...]:
    return (
        measure.rule.value.replace("_", " "),
        outside(str(measure.scope), 30),
        _value(measure, measure.value),
        _value(measure, measure.limit),
        "--" if measure.used is None else f"{measure.used:.0%}",
        cell(words.measure(measure.state, glyph_set())),
    )


def _value(measure: Measure, value: object) -> str:
    if value is None:
        return "--"
    return f"{value:.1%}" if measure.rule is RiskRule.SUCCESS_RATE else f"{value:,.3f} ETH"


def _why(indicator: Indicator) -> list[str]:
    glyph, word, style = words.level(indicator.level, glyph_set())
    lines = [f"{outside(indicator.name, 20).capitalize().ljust(12)} {painted(f'{glyph} {word}', style)}"]
    for reason in indicator.reasons:
        lines += wrapped(f"{outside(reason.text, 300)}", 4)
    return lines
