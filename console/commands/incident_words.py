"""How incidents read in text: lists, one record, its timeline, what is left to do, numbers. At most 80 columns."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from console.commands.base import glyph_set, sign
from console.commands.output import Cell, age, counted, instant, outside, table, wrapped
from console.widgets import words
from contract.incidents import Clock, Evidence, FollowUp, Incident, IncidentStats, IntervalStat, TimelineEntry
from contract.states import IncidentStatus

_BAR_COLUMNS: Final = 24
_SECONDS: Final = ((86_400, "d"), (3_600, "h"), (60, "m"), (1, "s"))


def entry(one: Incident, now: datetime) -> list[str]:
    """Two lines of a list."""
    grave = sign(words.severity(one.severity, glyph_set()), 9)
    state = f"{one.status}{', drill' if one.drill else ''}"
    head = f"{grave} {outside(one.id, 20).ljust(13)} {state.ljust(15)} {age(one.declared_at, now).rjust(7)}"
    who = f"{outside(one.commander, 40)} commands" if one.commander else "nobody commands"
    return [head, *wrapped(outside(one.title), 2), *wrapped(f"{outside(one.step, 40)}, {who}", 2)]


def record(one: Incident) -> list[str]:
    """One incident, whole."""
    drill = "  DRILL" if one.drill else ""
    lines = [
        f"{sign(words.severity(one.severity, glyph_set()))} {outside(one.id)}  {one.status}{drill}",
        *wrapped(outside(one.title), 2),
        f"  type      {outside(one.type)}",
        f"  declared  {instant(one.declared_at)} by {outside(one.declared_by, 40)}",
        f"  step      {outside(one.step)}",
        f"  version   {one.version}",
    ]
    lines += [f"  {outside(role.role, 20).ljust(16)} {outside(role.person, 50)}" for role in one.roles]
    lines += [f"  {mark.name.ljust(16)} {instant(mark.occurred_at)}" for mark in one.milestones]
    lines += [line for clock in one.clocks for line in _clock(clock)]
    lines += _impact(one)
    lines += [f"  see {outside(link.kind, 20)} {outside(link.label, 30)} {outside(link.id, 40)}" for link in one.links]
    for step in one.steps:
        lines.append(f"  {outside(step.name)}")
        for action in step.actions:
            by = f" ({outside(action.done_by, 30)})" if action.done_by else ""
            lines += wrapped(f"[{'x' if action.done_at else ' '}] {action.number} {outside(action.text)}{by}", 4)
    needs = " (wanted before it can be closed)" if one.postmortem_required else ""
    lines.append(f"  post-mortem {one.postmortem or 'none'}{needs}")
    return [*lines, f"  {counted(one.follow_ups_open, 'follow-up action')} open"]


def closing(one: Incident) -> list[str]:
    """What is put away for good, and what of it is not finished."""
    open_actions = sum(action.done_at is None for step in one.steps for action in step.actions)
    needs = " (wanted before it can be closed)" if one.postmortem_required else ""
    return [
        f"{sign(words.severity(one.severity, glyph_set()))} {outside(one.id)}  {one.status}",
        *wrapped(outside(one.title), 2),
        f"  post-mortem {one.postmortem or 'none'}{needs}",
        f"  {counted(one.follow_ups_open, 'follow-up action')} open; they stay on the overview until they are done",
        f"  {counted(open_actions, 'action')} of the procedure not ticked off",
    ]


def _clock(clock: Clock) -> list[str]:
    done = f"done {instant(clock.done_at)}" if clock.done_at else "not done"
    line = f"  {outside(clock.name, 16).ljust(16)} by {instant(clock.due_at)}, {done}"
    told = [outside(part, 200) for part in (clock.to and f"to {clock.to}", clock.reference) if part]
    return [line, *wrapped(", ".join(told), 4)] if told else [line]


def _impact(one: Incident) -> list[str]:
    impact = one.impact
    told = {
        "services": ", ".join(outside(name, 40) for name in impact.services) or None,
        "loss": f"{impact.loss_usd:f} USD" if impact.loss_usd is not None else None,
        "loss in ETH": f"{impact.loss_eth:f} ETH" if impact.loss_eth is not None else None,
        "users": f"{impact.users:,}" if impact.users is not None else None,
    }
    lines = [line for name, value in told.items() for line in wrapped(f"{name.ljust(16)} {value or 'unknown'}", 2)]
    return lines + (wrapped(outside(impact.description, 2_000), 2) if impact.description else [])


def line(one: TimelineEntry) -> list[str]:
    """A line of the timeline; what was corrected says so."""
    by = "watchfloor" if one.auto else outside(one.actor, 30)
    gone = " [corrected]" if one.corrected_by else ""
    head = f"{one.occurred_at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC  {one.kind.ljust(12)} {by}{gone}"
    return [head, *wrapped(outside(one.text, 10_000), 2)]


def piece(one: Evidence) -> list[str]:
    """A piece of evidence, with its hash to compare."""
    said = wrapped(outside(one.description, 2_000), 2) if one.description else []
    head = f"{outside(one.name, 40)}  {one.size_bytes:,} bytes  {instant(one.added_at)}"
    return [head, f"  {outside(one.id, 40)}", f"  sha256 {outside(one.sha256, 64)}", *said]


def follow_up(one: FollowUp) -> list[str]:
    """Something to be done."""
    due = f"by {one.due_on}" if one.due_on else "no due date"
    state = "done" if one.done_at else "OVERDUE" if one.overdue else "open"
    head = f"{state.ljust(8)} {outside(one.id, 30).ljust(16)} {due}, {counted(one.age_days, 'day')} old"
    return [head, *wrapped(f"{outside(one.text)} ({outside(one.owner, 40) if one.owner else 'nobody'})", 2)]


def span(seconds: float | None) -> str:
    """A length of time in its two largest units; unknown is a dash."""
    if seconds is None:
        return "-"
    left, parts = round(seconds), []
    for size, unit in _SECONDS:
        if left >= size:
            parts.append(f"{left // size}{unit}")
            left %= size
    return " ".join(parts[:2]) or "0s"


def numbers(stats: IncidentStats) -> list[str]:
    """The numbers of a span, with the medians of all incidents as bars."""
    what = "drill" if stats.drills else "incident"
    lines = [f"{counted(stats.groups[0].incidents, what)} from {instant(stats.since)} to {instant(stats.until)}", ""]
    lines += _bars(stats.groups[0].intervals)
    rows: list[Sequence[Cell]] = [
        (group.month or "all", group.severity or "all", f"{group.incidents:,}", *map(_cell, group.intervals))
        for group in stats.groups
    ]
    lines += ["", "Median, 90th percentile, how many are known:"]
    lines += table(("MONTH", "SEVERITY", "N", "TTD", "TTA", "TTM", "TTR"), rows, right=(2,))
    lines += ["", "Answered within the time of the policy:"]
    answered: list[Sequence[Cell]] = [
        (one.severity, f"{one.target_minutes:,} min", *_counts(one.in_time, one.late, one.unanswered, one.unmeasured))
        for one in stats.compliance
    ]
    heads = ("SEVERITY", "TARGET", "IN TIME", "LATE", "NEVER", "NOT MEASURED")
    lines += table(heads, answered, right=(1, 2, 3, 4, 5))
    if any(one.unmeasured for one in stats.compliance):
        lines += ["", *wrapped("Not measured: answered by being declared, by whoever saw them first.", 0)]
    return lines


def _counts(*counts: int) -> list[str]:
    return [f"{count:,}" for count in counts]


def _cell(stat: IntervalStat) -> str:
    return f"{span(stat.median_s)}/{span(stat.p90_s)}/{stat.n}"


def _bars(stats: Sequence[IntervalStat]) -> list[str]:
    longest = max((one.median_s for one in stats if one.median_s is not None), default=0.0)
    lines = []
    for one in stats:
        share = one.median_s / longest if one.median_s is not None and longest else 0.0
        missing = f", {one.missing:,} missing" if one.missing else ""
        apart = f", {one.unmeasured:,} not measured" if one.unmeasured else ""
        bar = ("#" * round(share * _BAR_COLUMNS)).ljust(_BAR_COLUMNS)
        lines.append(f"{one.interval.upper()}  {bar}  {span(one.median_s)} of {one.n:,}{missing}{apart}")
    return lines


def after(one: Incident) -> list[str]:
    """What an act says when it is done."""
    who = f", {outside(one.commander, 40)} commands" if one.commander else ""
    over = "" if one.status is IncidentStatus.OPEN else f" ({one.status})"
    return [f"{outside(one.id)}{over}: {outside(one.step, 40)}{who}."]
