"""Owns how the parts of incidents are drawn that have lists of their own: evidence, follow-ups, figures."""

from dataclasses import replace
from datetime import datetime
from typing import Final

from console.state.floor import Floor
from console.state.freshness import coarse_age, exact_age, seconds_between
from console.widgets import words
from console.widgets.glyphs import Glyphs
from console.widgets.lines import EMPTY, Line, column, cut, left, line, outside, right, titled_rule
from console.widgets.view import View
from console.widgets.why import why_rows
from contract.alerts import Link
from contract.incident_records import IncidentSnapshot
from contract.incidents import (
    Evidence,
    FollowUp,
    IncidentStats,
    Interval,
    IntervalStat,
    ResponseCompliance,
    StatGroup,
)

_KB: Final = 1_000
_DUE: Final = 14
_NAMES: Final = {
    Interval.TTD: "until it was seen",
    Interval.TTA: "until somebody answered",
    Interval.TTM: "until it was mitigated",
    Interval.TTR: "until it was over",
}
_LABEL, _COUNT, _VALUE = 28, 9, 9
"""Widths of the columns of a table of intervals, in cells."""
_MONTH: Final = 9
_BAR_MAX: Final = 40


def size_text(size_bytes: int) -> str:
    """A size as a person reads it."""
    if size_bytes < _KB:
        return f"{size_bytes} bytes"
    if size_bytes < _KB * _KB:
        return f"{size_bytes / _KB:.1f} kB"
    return f"{size_bytes / _KB / _KB:.1f} MB"


def evidence_rows(one: Evidence, now: datetime, view: View) -> list[Line]:
    """One piece: what it is, who added it, its hash."""
    g = view.glyphs
    ago = coarse_age(seconds_between(one.added_at, now) or 0.0)
    size = right(size_text(one.size_bytes), 10, g)
    tail = f"  {outside(one.added_by, 30)}, {ago} ago"
    name = column(outside(one.name, 200), max(view.width - len(size) - len(tail), 10), g)
    what = outside(one.description or one.query or one.media_type, 200)
    return [
        line((name, "bold"), size, (tail, "dim")),
        line(
            ("  sha256 ", "dim"),
            (one.sha256[:32] + g.ellipsis, ""),
            ("  " + cut(what, max(view.width - 44, 0), g), "dim"),
        ),
    ]


def follow_up_rows(one: FollowUp, view: View, *, names_incident: bool) -> list[Line]:
    """One thing to be done: until when, by whom, how old."""
    g = view.glyphs
    due, style = _due(one, g)
    head = f"{one.incident} " if names_incident else ""
    label = f"{head}{one.number}"
    text = cut(outside(one.text, 200), max(view.width - _DUE - len(label) - 1, 10), g)
    age = f"{one.age_days:,} day{'' if one.age_days == 1 else 's'} old"
    done = f", done by {outside(one.done_by or '', 40)}" if one.done_at else ""
    note = f": {outside(one.note, 200)}" if one.note else ""
    owner = outside(one.owner, 40) if one.owner else "nobody"
    second = f"{owner}, {age}{done}{note}"
    return [
        line((left(due, _DUE, g), style), (f"{label} ", "dim"), (text, "dim" if one.done_at else "bold")),
        line(" " * _DUE, (cut(second, max(view.width - _DUE, 10), g), "dim")),
    ]


def _due(one: FollowUp, g: Glyphs) -> tuple[str, str]:
    if one.done_at is not None:
        return f"{g.done} done", "ok"
    if one.due_on is None:
        return f"{g.idle} no date", "dim"
    return (
        f"{g.bad if one.overdue else g.partial} {one.due_on:%m-%d}{' LATE' if one.overdue else ''}",
        "bad" if one.overdue else "",
    )


def snapshot_rows(one: IncidentSnapshot, view: View) -> list[tuple[Line, Link | None]]:
    """The floor and the indicators as they were."""
    states = f" {view.glyphs.middot} ".join(f"{count:,} {outside(name, 20)}" for name, count in one.executors.items())
    counts = one.alert_counts
    facts = [
        ("taken", f"{one.taken_at:%Y-%m-%d %H:%M:%S} UTC"),
        ("assessed", f"{one.assessed_at:%Y-%m-%d %H:%M:%S} UTC"),
        ("executors", states or "none"),
        ("alerts", f"{counts.critical:,} critical, {counts.high:,} high, {counts.medium:,} medium, {counts.low:,} low"),
        *(("frozen", outside(hold, 100)) for hold in one.freezes),
    ]
    rows: list[tuple[Line, Link | None]] = [
        (line((left(name, 12, view.glyphs), "dim"), cut(text, view.width - 12, view.glyphs)), None)
        for name, text in facts
    ]
    return [*rows, (EMPTY, None), *why_rows(replace(Floor(), risk=one), view)]


def figure_rows(stats: IncidentStats, view: View) -> list[Line]:
    """Every interval of all severities, then month by month as a chart, then who answered in time."""
    what = "drill" if stats.drills else "incident"
    whole = next((one for one in stats.groups if one.month is None and one.severity is None), None)
    if whole is None or not whole.incidents:
        return [line((f"No {what} was declared in this time.", "dim"))]
    rows = [*_table("ALL", whole, view, what), EMPTY]
    for group in stats.groups:
        if group.month is None and group.severity is not None and group.incidents:
            rows += [*_table(words.severity(group.severity, view.glyphs).word, group, view, what), EMPTY]
    return [*rows, *_compliance(stats.compliance, view), EMPTY, *chart_rows(stats, view)]


def _table(name: str, group: StatGroup, view: View, what: str) -> list[Line]:
    g = view.glyphs
    count = f"{group.incidents:,} {what}{'' if group.incidents == 1 else 's'}"
    heads = "".join(
        right(text, width, g)
        for text, width in (("n", 5), ("missing", _COUNT), ("median", _VALUE), ("p90", _VALUE), ("max", _VALUE))
    )
    title = titled_rule(line((f"{name} ", "head"), (count, "bold")), view.width, g, ((heads, "head"),))
    return [title, *(row for one in group.intervals for row in _interval(one, view))]


def _interval(one: IntervalStat, view: View) -> list[Line]:
    g = view.glyphs
    name = f"{one.interval.value.upper()}  {_NAMES[one.interval]}"
    values = "".join(right(duration(value), _VALUE, g) for value in (one.median_s, one.p90_s, one.max_s))
    counts = right(f"{one.n:,}", 5, g)
    missing = right(f"{one.missing:,}" if one.missing else "", _COUNT, g)
    room = max(view.width - len(counts) - len(missing) - len(values), 5)
    row = line(left(name, room, g), counts, (missing, "near"), (values, "bold"))
    if not one.unmeasured:
        return [row]
    apart = f"     {one.unmeasured:,} not measured: declared by whoever saw it first"
    return [row, line((cut(apart, view.width, g), "dim"))]


def duration(value_s: float | None) -> str:
    """How long; what is not known is `--`."""
    return "--" if value_s is None else exact_age(value_s)


def _compliance(compliance: list[ResponseCompliance], view: View) -> list[Line]:
    g = view.glyphs
    rows = [titled_rule(line(("ANSWERED IN TIME", "head")), view.width, g)]
    for one in compliance:
        sign = words.severity(one.severity, g)
        total = one.in_time + one.late + one.unanswered
        if not total and not one.unmeasured:
            continue
        share = f"{one.in_time * 100 // total} %" if total else "--"
        late = f", {one.late:,} late" if one.late else ""
        never = f", {one.unanswered:,} never" if one.unanswered else ""
        apart = f", {one.unmeasured:,} not measured" if one.unmeasured else ""
        style = "dim" if not total else "ok" if one.in_time == total else "near"
        answered = f"{one.in_time:,} of {total:,}" if total else "none"
        text = f"{answered} within {one.target_minutes:,} min{late}{never}{apart}"
        rows.append(
            line((left(f"{sign.glyph} {sign.word}", 8, g), sign.style), (right(share, 6, g), style), f"  {text}")
        )
    return rows if len(rows) > 1 else [*rows, line(("Nothing had to be answered.", "dim"))]


def chart_rows(stats: IncidentStats, view: View) -> list[Line]:
    """Month by month: how many, and how long until they were over; a bar is the median."""
    g = view.glyphs
    what = "drills" if stats.drills else "incidents"
    months = [one for one in stats.groups if one.month is not None and one.severity is None]
    medians = {one.month: _median(one) for one in months}
    longest = max((value for value in medians.values() if value is not None), default=0.0)
    room = min(max(view.width - _MONTH - _COUNT - _VALUE - 2, 5), _BAR_MAX)
    rows = [titled_rule(line(("MONTHS ", "head"), (f"{what}, median until over", "dim")), view.width, g)]
    for one in months:
        value = medians[one.month]
        cells = max(round(value / longest * room), 1) if value is not None and longest > 0 else 0
        count = right(f"{one.incidents:,}", _COUNT, g)
        rows.append(
            line(
                (left(one.month or "", _MONTH, g), ""),
                count,
                "  ",
                (left(g.full * cells, room, g), "spark"),
                (right(duration(value), _VALUE, g), "bold"),
            )
        )
    return rows


def _median(group: StatGroup) -> float | None:
    return next((one.median_s for one in group.intervals if one.interval is Interval.TTR), None)
