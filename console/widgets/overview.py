"""Owns how the overview is drawn: limits, chains, indicators, alerts, freezes and executors as lines."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final

from console.state.floor import Floor, Tally, all_executors, chains
from console.state.freshness import Freshness, coarse_age, exact_age, seconds_between
from console.state.headline import amount
from console.widgets import words
from console.widgets.glyphs import Glyphs
from console.widgets.lines import (
    EMPTY,
    Line,
    cut,
    dimmed,
    left,
    line,
    middle_cut,
    outside,
    right,
    titled_rule,
    wrap,
)
from console.widgets.view import View
from contract.states import MeasureState, RiskLevel, RiskRule, ScopeKind

if TYPE_CHECKING:
    from contract.risk import Indicator, Measure
    from contract.scope import Scope

RULES: Final = {
    RiskRule.POSITION: "Position",
    RiskRule.DAILY_LOSS: "Daily loss",
    RiskRule.SUCCESS_RATE: "Success",
    RiskRule.GAS_SPEND: "Gas today",
}
_LABEL, _VALUE, _LIMIT, _USED, _STATE = 10, 11, 7, 5, 9
"""Widths of the risk table's columns, in cells."""
_SPARK_SHORT, _SPARK_LONG = 8, 24
"""Hours of history drawn: eight where room is short, the whole day where it is not."""
_GAPS: Final = 5
_LONG_SPARK_FROM: Final = 74
CHAINS_COLUMNS: Final = 22
INDICATORS: Final = ("regulatory", "operational", "security")

_CLOSEST_ROWS_MIN = 3
"""A heading over one row says less than the blank line it takes."""
_CLOSE_FROM: Final = Decimal("0.1")
"""Scopes below a tenth of their limit are near nothing, and would change places with every trade."""


def scope_text(scope: Scope, width: int, view: View) -> str:
    """A scope in a given number of cells; an address loses its middle, not its ends."""
    if scope.kind is ScopeKind.GLOBAL:
        return cut("global", width, view.glyphs)
    name = outside(scope.name, 120)
    if scope.kind is ScopeKind.INTERSECTION:
        return cut(name, width, view.glyphs)
    prefix = f"{scope.kind.value} "
    if scope.kind is ScopeKind.WALLET:
        return prefix + middle_cut(name, max(width - len(prefix), 0), view.glyphs)
    return cut(prefix + name, width, view.glyphs)


def risk_lines(floor: Floor, view: View) -> list[Line]:
    """The four limits: value, limit, history, share used, state. What is stale is dimmed; what is lost is `--`."""
    fresh = floor.risk_freshness(view.desk_now)
    spark = _SPARK_LONG if view.width >= _LONG_SPARK_FROM else _SPARK_SHORT
    if view.width < _LABEL + _VALUE + _LIMIT + spark + _USED + _STATE + _GAPS:
        spark = 0
    head = _risk_head(floor, view, fresh, spark)
    measures = (
        {one.rule: one for one in floor.risk.measures if one.scope.kind is ScopeKind.GLOBAL} if floor.risk else {}
    )
    rows = [_risk_row(rule, measures.get(rule), view, spark, lost=fresh is Freshness.LOST) for rule in RULES]
    return [head, *(dimmed(rows) if fresh is not Freshness.LIVE else rows)]


def _risk_head(floor: Floor, view: View, fresh: Freshness, spark: int) -> Line:
    assessed = floor.risk.assessed_at if floor.risk else None
    age_s = seconds_between(assessed, floor.now(view.desk_now))
    age = coarse_age(age_s) if age_s is not None else ""
    name = left("RISK", _LABEL, view.glyphs)
    cells = name + right("now", _VALUE, view.glyphs) + right("limit", _LIMIT, view.glyphs)
    if spark:
        cells += "  " + left(f"{spark} h", spark, view.glyphs)
    cells += right("used", _USED + 1, view.glyphs)
    mark = words.stale(fresh, age) or (((age, "dim"),) if age else EMPTY)
    return line((cells + "  ", "head"), *mark)


def _risk_row(rule: RiskRule, measure: Measure | None, view: View, spark: int, *, lost: bool) -> Line:
    g = view.glyphs
    if measure is None:
        return line(left(RULES[rule], _LABEL, g), (right("--", _VALUE, g), "dim"), ("  no data", "dim"))
    sign = words.measure(MeasureState.UNKNOWN if lost else measure.state, g)
    known = measure.value is not None and not lost
    value = amount(rule, measure.value) if known and measure.value is not None else "--"
    used = f"{measure.used * 100:.0f} %" if measure.used is not None and not lost else "--"
    limit = _limit_text(rule, measure.limit, g)
    value_style = sign.style if sign.style in {"near", "bad"} else "bold"
    history: Line = EMPTY
    if spark:
        bars = words.sparkline(list(measure.history), spark, g)
        history = (("  ", ""), (bars, "spark"))
    return line(
        left(RULES[rule], _LABEL, g),
        (right(value, _VALUE, g), value_style),
        (right(limit, _LIMIT, g), "dim"),
        *history,
        (right(used, _USED + 1, g), "" if sign.style == "ok" else sign.style),
        ("  ", ""),
        (left(f"{sign.glyph} {sign.word}", _STATE, g), sign.style),
    )


def _limit_text(rule: RiskRule, limit: Decimal, g: Glyphs) -> str:
    if rule is RiskRule.SUCCESS_RATE:
        return f"{g.at_least}{limit * 100:.0f} %"
    return f"{limit.normalize():,f}"


def chains_lines(floor: Floor, view: View, rows: int) -> list[Line]:
    """Executors by chain: how many there are and how many trade."""
    g = view.glyphs
    name_width = view.width - 11
    head = line((left("CHAINS", name_width, g) + right("exec", 5, g) + right("trade", 6, g), "head"))
    tallies = chains(floor)
    if not tallies:
        return [head, line(("no executors", "dim"))]
    kept = tallies if len(tallies) <= rows else tallies[: rows - 1]
    lines = [_chain_row(one, name_width, view) for one in kept]
    if len(kept) < len(tallies):
        lines.append(line((f"and {len(tallies) - len(kept)} more: 3", "dim")))
    fresh = floor.feed_freshness(view.desk_now)
    return [head, *(dimmed(lines) if fresh is not Freshness.LIVE else lines)]


def _chain_row(one: Tally, name_width: int, view: View) -> Line:
    g = view.glyphs
    if one.silent or one.wedged:
        mark, style = g.bad, "bad"
    elif one.freezing:
        mark, style = g.partial, "near"
    elif one.frozen:
        mark, style = g.frozen, "frozen"
    else:
        mark, style = (g.ok, "ok") if one.trading == one.executors else (g.near, "near")
    return line(
        (f"{mark} ", style),
        left(outside(one.name, 60), name_width - 2, g),
        right(str(one.executors), 5, g),
        (right(str(one.trading), 6, g), style),
    )


def indicators_line(floor: Floor, view: View) -> Line:
    """The three indicators on one line."""
    g = view.glyphs
    fresh = floor.risk_freshness(view.desk_now)
    known = {one.name.lower(): one for one in floor.risk.indicators} if floor.risk else {}
    spans: list[tuple[str, str]] = []
    for name in INDICATORS:
        indicator = known.get(name)
        level = indicator.level if indicator and fresh is not Freshness.LOST else RiskLevel.UNKNOWN
        sign = words.level(level, g)
        style = sign.style if fresh is Freshness.LIVE else "dim"
        spans += [(f"{name.capitalize()} ", ""), (f"{sign.glyph} {sign.word}", style), ("   ", "")]
    return (*spans, ("w", "key"), (" why?", "dim"))


def reasons_lines(indicators: list[Indicator], view: View, per_indicator: int) -> list[Line]:
    """The facts behind the indicators, worst first."""
    g = view.glyphs
    order = list(RiskLevel)
    lines: list[Line] = []
    for indicator in indicators:
        sign = words.level(indicator.level, g)
        lines.append(line((f"{indicator.name.capitalize()} ", "bold"), (f"{sign.glyph} {sign.word}", sign.style)))
        reasons = sorted(indicator.reasons, key=lambda reason: -order.index(reason.level))
        for reason in reasons[:per_indicator]:
            mark = words.level(reason.level, g)
            first, *rest = wrap(outside(reason.text), max(view.width - 4, 8))
            lines.append(line("  ", (f"{mark.glyph} ", mark.style), first))
            lines += [line("    ", row) for row in rest]
        if not reasons:
            lines.append(line(("  nothing raised it", "dim")))
        elif len(reasons) > per_indicator:
            lines.append(line((f"  and {len(reasons) - per_indicator} more: w", "dim")))
    return lines


def side_lines(floor: Floor, view: View) -> list[Line]:
    """The right-hand column of a wide screen: why the indicators stand where they do, and which scopes press."""
    g = view.glyphs
    if floor.risk is None:
        return []
    lines = [titled_rule((("WHY", "head"),), view.width, g), *reasons_lines(list(floor.risk.indicators), view, 4)]
    closest = closest_lines(floor, view, view.height - len(lines) - 1)
    fresh = floor.risk_freshness(view.desk_now)
    lines = lines if fresh is Freshness.LIVE else dimmed(lines)
    return [*lines, EMPTY, *closest] if closest else lines


def closest_lines(floor: Floor, view: View, rows: int) -> list[Line]:
    """The chains, strategies and wallets that have used most of a limit, in at most so many rows, heading included."""
    measures = floor.risk.measures if floor.risk is not None else []
    scoped = [one for one in measures if one.scope.kind is not ScopeKind.GLOBAL and _is_worth_a_row(one)]
    if not scoped or rows < _CLOSEST_ROWS_MIN:
        return []
    scoped.sort(key=_pressure)
    lines = [titled_rule((("CLOSEST TO A LIMIT", "head"),), view.width, view.glyphs)]
    lines += [_scoped_row(one, view) for one in scoped[: rows - 1]]
    return lines if floor.risk_freshness(view.desk_now) is Freshness.LIVE else dimmed(lines)


def _is_worth_a_row(measure: Measure) -> bool:
    """Whether a scope has used enough of its limit to be called close to it."""
    return measure.used is not None and measure.used >= _CLOSE_FROM


def _pressure(measure: Measure) -> tuple[int, str, str, str]:
    """Order by the per cent shown, then by name: rows that look alike must not change places with every trade."""
    return -round((measure.used or Decimal(0)) * 100), measure.rule, measure.scope.kind, measure.scope.name


def _scoped_row(measure: Measure, view: View) -> Line:
    g = view.glyphs
    sign = words.measure(measure.state, g)
    used = f"{measure.used * 100:.0f} %" if measure.used is not None else "--"
    room = view.width - 19
    return line(
        (f"{sign.glyph} ", sign.style),
        left(RULES[measure.rule], 11, g),
        left(scope_text(measure.scope, room - 1, view), room, g),
        (right(used, 6, g), "" if sign.style == "ok" else sign.style),
    )


def feed_age(floor: Floor, view: View) -> Line:
    """What a heading says while alerts, freezes and executors are older than they should be."""
    fresh = floor.feed_freshness(view.desk_now)
    heard_s = floor.heard_s(view.desk_now)
    mark = words.stale(fresh, exact_age(heard_s) if heard_s is not None else "")
    return (*mark, ("  ", "")) if mark and floor.loaded_at is not None else EMPTY


def executors_line(floor: Floor, view: View) -> Line:
    """All executors in one line."""
    g = view.glyphs
    counted = all_executors(floor)
    fresh = floor.feed_freshness(view.desk_now)
    spans: list[tuple[str, str]] = [("EXECUTORS ", "head")]
    if floor.loaded_at is None:
        return (*spans, ("no data yet", "dim"))
    spans.append((f"{floor.executors_total} ", "bold"))
    for count, glyph, word, style in (
        (counted.trading, g.ok, "trading", "ok"),
        (counted.reducing, g.partial, "reducing", "near"),
        (counted.freezing, g.partial, "freezing", "near"),
        (counted.frozen, g.frozen, "frozen", "frozen"),
        (counted.wedged, g.bad, "WEDGED", "bad"),
        (counted.silent, g.bad, "SILENT", "bad"),
    ):
        if count:
            spans.append((f"  {glyph} {count} {word}", style if fresh is Freshness.LIVE else "dim"))
    open_orders = [one.open_orders for one in floor.executors.values()]
    if fresh is not Freshness.LOST and any(one is not None for one in open_orders):
        spans.append((f"   {sum(one or 0 for one in open_orders):,} open orders", "dim"))
    return tuple(spans)
