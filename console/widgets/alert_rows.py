"""Owns how a list of alerts is drawn: its columns and their heading, one row each, and what an empty list says."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Final

from console.state.floor import Floor, waits
from console.state.freshness import Freshness, coarse_age, due_text, exact_age, seconds_between
from console.widgets import words
from console.widgets.glyphs import Glyphs
from console.widgets.lines import EMPTY, Line, column, cut, left, line, outside, pad, right, titled_rule
from console.widgets.overview import feed_age, scope_text
from console.widgets.view import View
from contract.states import AlertStatus, ScopeKind

if TYPE_CHECKING:
    from contract.alerts import Alert

OWN: Final = "watchfloor"
"""The source of alerts that Watchfloor's own rules raise."""

_SIGN: Final = 7
_RULE, _PLACE, _PLACE_MIN, _MESSAGE_MIN = 23, 26, 12, 20
"""Widths of an alert's columns; the longest rule of our own has 22 characters."""
_AGE, _CLOCK, _UP = 5, 12, 8
_SOURCE: Final = 14
_SOURCE_FROM: Final = 94
"""From here on the source has a column of its own; below it stands where a scope would say nothing."""


def columns_head(width: int, g: Glyphs) -> Line:
    """The names of the columns at the right, each above its own."""
    source = left("source", _SOURCE, g) if width >= _SOURCE_FROM else ""
    return line((f"{source}{right('age', _AGE, g)}{right('response', _CLOCK, g)}{right('up in', _UP, g)}", "head"))


def alerts_title(floor: Floor, view: View) -> Line:
    """The heading of the alerts: how many by severity, and their age if the line is down. Muted ones do not count."""
    g = view.glyphs
    counts = floor.counts
    spans: list[tuple[str, str]] = [("ALERTS ", "head")]
    if floor.loaded_at is None:
        spans.append(("no data yet", "dim"))
    elif not counts.total:
        muted = sum(bool(alert.muted_by) for alert in floor.alerts.values())
        spans.append((f"none waits, {muted:,} muted", "near") if muted else ("none", "ok"))
    for count, word, style in (
        (counts.critical, "critical", "bad"),
        (counts.high, "high", "near"),
        (counts.medium, "medium", ""),
        (counts.low, "low", "dim"),
    ):
        if count:
            spans.append((f"{count:,} {word}  ", style))
    return titled_rule(tuple(spans), view.width, g, (*feed_age(floor, view), *columns_head(view.width, g)))


def alert_row(alert: Alert, floor: Floor, view: View, *, marked: bool = False) -> Line:
    """One alert: severity, rule, place, what happened, how old, the time left to respond, and until it goes up."""
    g = view.glyphs
    now = floor.now(view.desk_now)
    sign = words.severity(alert.severity, g)
    waiting = waits(alert)
    over = waiting and due_text(alert.due_at, now)[1]
    age_s = seconds_between(alert.raised_at, now) or 0.0
    source = left(outside(source_name(alert.source), 40), _SOURCE, g) if view.width >= _SOURCE_FROM else ""
    tail = source + right(coarse_age(age_s), _AGE, g) + right(cut(clock_text(alert, now, g), _CLOCK - 1, g), _CLOCK, g)
    room = view.width - _SIGN - len(source) - _AGE - _CLOCK - _UP
    rule_width, place_width, message_width = _columns(room)
    middle: Line = EMPTY
    if place_width:
        middle = ((" " + left(place_text(alert, place_width, view), place_width, g), ""),)
    if message_width > 0:
        middle = (*middle, (" " + column(outside(alert.message), message_width, g), "dim"))
    return pad(
        line(
            (f"{sign.glyph} {left(sign.word, 4, g)}", sign.style if waiting else "dim"),
            (g.marked if marked else " ", "key"),
            (left(outside(alert.rule, 60), rule_width, g), "bold" if waiting else ""),
            *middle,
            (tail, "bad" if over else "" if waiting else "dim"),
            (right(up_text(alert, now, g), _UP, g), "near" if alert.escalation and alert.escalation.level else ""),
        ),
        view.width,
        g,
    )


def source_name(source: str) -> str:
    """A source in one word: the name of an Alertmanager, not what it is."""
    return source.partition(":")[2] or source


def place_text(alert: Alert, width: int, view: View) -> str:
    """Where it happens: its scope; what comes from elsewhere and has none is told apart by where it comes from."""
    if alert.scope.kind is not ScopeKind.GLOBAL or alert.source == OWN:
        return scope_text(alert.scope, width, view)
    instance = alert.labels.get("instance", "")
    return cut(outside(f"{source_name(alert.source)} {instance}".strip(), 120), width, view.glyphs)


def clock_text(alert: Alert, now: datetime, g: Glyphs) -> str:
    """What is left of the response time, or why it does not matter any more."""
    if alert.status is AlertStatus.CLEARED:
        return f"{g.ok} cleared"
    if alert.muted_by:
        return f"{g.muted} muted {mute_left(alert, now)}".rstrip()
    if alert.status is not AlertStatus.OPEN:
        return f"{g.done} {outside(alert.acknowledged_by or 'seen', 12)}"
    return due_text(alert.due_at, now)[0]


def mute_left(alert: Alert, now: datetime) -> str:
    """How long it stays muted; empty where nobody has said."""
    ends = [one.until for one in alert.muted_by]
    known = [until for until in ends if until is not None]
    return coarse_age(max((max(known) - now).total_seconds(), 0.0)) if known and len(known) == len(ends) else ""


def up_text(alert: Alert, now: datetime, g: Glyphs) -> str:
    """How far it has gone up the escalation table, and when it goes on unless somebody acknowledges it."""
    step = alert.escalation
    if step is None or alert.status is AlertStatus.CLEARED:
        return ""
    level = f"{g.up}{step.level}" if step.level else g.up
    if step.next_at is None or not waits(alert):
        return level if step.level else ""
    left_s = (step.next_at - now).total_seconds()
    return f"{level} {coarse_age(left_s)}" if left_s > 0 else f"{level} now"


def _columns(room: int) -> tuple[int, int, int]:
    """Widths of rule, place and message: a message of a few characters says nothing and gives way to the place."""
    if room < _RULE + _PLACE_MIN:
        return max(room, 8), 0, 0
    if room < _RULE + _PLACE + _MESSAGE_MIN:
        return _RULE, room - _RULE - 1, 0
    return _RULE, _PLACE, room - _RULE - _PLACE - 2


def no_alerts(floor: Floor, view: View) -> list[Line]:
    """What the list says when it is empty."""
    if floor.loaded_at is None:
        return [line(("No alerts known yet: waiting for the backend.", "dim"))]
    heard_s = floor.heard_s(view.desk_now)
    live = floor.feed_freshness(view.desk_now) is Freshness.LIVE
    age = "now" if live or heard_s is None else f"{exact_age(heard_s)} ago"
    return [line(("No alerts. ", "ok" if live else "dim"), (f"Last word from the backend: {age}.", "dim"))]
