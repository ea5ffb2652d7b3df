"""Owns the pages about one alert: labels, history, what changed around it, its runbook."""

from datetime import datetime, timedelta
from typing import Final

from console.state.floor import SEVERITIES
from console.state.freshness import coarse_age
from console.widgets import words
from console.widgets.alert_rows import place_text
from console.widgets.lines import EMPTY, Line, column, cut, left, line, outside, right, titled_rule, wrap
from console.widgets.view import View
from contract.alert_work import AlertEvent, Around, Nearby
from contract.alerts import Alert, Link, Severity

Row = tuple[Line, Link | None]

HISTORY: Final = Link(kind="history", id="", label="")
"""Where the heading of the history leads: nowhere; it is how the page finds it."""
OLDER: Final = Link(kind="older", id="", label="")
"""Where the last line of a history leads that goes on."""
DRILL_MUTES: Final = (
    "A drill mutes the alerts that are part of it until it is resolved: nobody is told of them, and no clock runs, "
    "unless the policy sets quiet_in_drills off."
)
"""What has to be said before an alert becomes part of a drill."""
_KINDS: Final = {
    "raised_again": "raised again", "acknowledgement_ended": "ack ended", "silence_ended": "silence ended"
}  # fmt: skip
"""Kinds of events that do not read as they are written."""
_NEAR: Final = frozenset({"raised", "raised_again", "escalated"})
_GOOD: Final = frozenset({"cleared", "acknowledged"})
_WHEN, _KIND, _ACTOR, _OFFSET = 15, 15, 13, 8
_SERVICE: Final = "service:"
"""How the names of machines begin; their column has no room for it."""
_LATE: Final = timedelta(minutes=1)
"""What became known later than this says so."""
_VALUE_CHARS: Final = 300
_LABEL: Final = 18
_MEANT: Final = 7 + 24 + 22
"""What an alert that is meant takes beside its message: severity, rule and place."""
_TEXT_ROWS: Final = 30
"""Of one annotation; longer ones belong behind the runbook's address."""


def label_rows(alert: Alert, view: View) -> list[Row]:
    """The labels that silences match."""
    if not alert.labels:
        return []
    rows: list[Row] = [(EMPTY, None), (titled_rule((("LABELS", "head"),), view.width, view.glyphs), None)]
    for name, value in sorted(alert.labels.items()):
        first, *rest = wrap(outside(value, _VALUE_CHARS), max(view.width - _LABEL, 10))
        rows.append((line((column(outside(name, 60), _LABEL, view.glyphs), "dim"), first), None))
        rows += [(line(" " * _LABEL, row), None) for row in rest]
    return rows


def history_rows(events: list[AlertEvent] | None, problem: str, view: View, *, more: bool = False) -> list[Row]:
    """What happened to it, the newest first."""
    count = f"{len(events):,}{' loaded' if more else ''}" if events is not None else ""
    title = (("HISTORY ", "head"), (count, "bold"))
    rows: list[Row] = [(EMPTY, None), (titled_rule(title, view.width, view.glyphs), HISTORY)]
    if events is None:
        said = (f"{view.glyphs.near} {outside(problem, 300)}", "near") if problem else ("Asking for it.", "dim")
        return [*rows, (line(said), None)]
    order = sorted(events, key=lambda one: (one.at, one.recorded_at), reverse=True)
    for one in order:
        rows += [(row, None) for row in _event_rows(one, view)]
    if more:
        said = (
            (f"{view.glyphs.near} {outside(problem, 300)} ", "near") if problem else ("There are older ones: ", "dim")
        )
        rows.append((line(said, ("Enter", "key"), (" loads them.", "dim")), OLDER))
    return rows


def _event_rows(one: AlertEvent, view: View) -> list[Line]:
    g = view.glyphs
    late = one.recorded_at - one.at
    behind = f" (recorded {coarse_age(late.total_seconds())} later)" if late >= _LATE else ""
    text = outside(one.text, 1_000) or ", ".join(f"{name} {value}" for name, value in _few(one.facts))
    indent = _WHEN + _KIND + _ACTOR
    first, *rest = wrap(f"{text}{behind}", max(view.width - indent, 16))
    kind = outside(_KINDS.get(one.kind, one.kind), 20)
    style = "near" if one.kind in _NEAR else "ok" if one.kind in _GOOD else ""
    head = line(
        (column(f"{one.at:%m-%d %H:%M:%S}", _WHEN, g), "dim"),
        (column(kind, _KIND, g), style),
        column(outside(one.actor.removeprefix(_SERVICE), 40), _ACTOR, g),
        first,
    )
    return [head, *(line(" " * indent, row) for row in rest)]


def _few(facts: dict[str, str]) -> list[tuple[str, str]]:
    return [(outside(name, 40), outside(value, 80)) for name, value in list(facts.items())[:4]]


def around_rows(alert: Alert, around: Around, view: View) -> list[Row]:
    """What changed around an alert, oldest first, with the alert itself in its place."""
    g = view.glyphs
    began = alert.starts_at or alert.raised_at
    mark = titled_rule(
        ((f"{began:%H:%M:%S} ", "bold"), (f"{outside(alert.rule, 60)} ", "bold"), ("began", "near")), view.width, g
    )
    rows: list[Row] = []
    placed = False
    for one in sorted(around.items, key=lambda one: (one.at, one.id)):
        if not placed and one.at > began:
            rows.append((mark, None))
            placed = True
        rows += _nearby_rows(one, began, view)
    if not placed:
        rows.append((mark, None))
    if not around.items:
        rows.append((line(("Nothing that Watchfloor knows of changed in this time.", "dim")), None))
    if around.left_out:
        rows.append((line((f"And {around.left_out:,} more that are not shown.", "near")), None))
    rows += [(line((f"Not shown to you: {outside(what, 200)}", "near")), None) for what in around.missing]
    return rows


def _nearby_rows(one: Nearby, began: datetime, view: View) -> list[Row]:
    g = view.glyphs
    away_s = (one.at - began).total_seconds()
    offset = f"{'-' if away_s < 0 else '+'}{coarse_age(abs(away_s))}"
    actor = column(outside(one.actor.removeprefix(_SERVICE), 40), _ACTOR, g) if one.actor else ""
    indent = 9 + _OFFSET + 9 + (_ACTOR if actor else 0)
    first, *rest = wrap(outside(one.text, 500), max(view.width - indent, 16))
    link = Link(kind=one.kind, id=one.id, label="")
    head = line(
        (f"{one.at:%H:%M:%S} ", "dim"),
        right(offset, _OFFSET - 1, g) + " ",
        (column(outside(one.kind, 20), 9, g), "key"),
        (actor, "dim"),
        first,
    )
    return [(head, link), *((line(" " * indent, row), link) for row in rest)]


def runbook_rows(alert: Alert, view: View) -> list[Row]:
    """Where its runbook is, and what its source says about it."""
    rows: list[Row] = []
    if alert.runbook_url:
        rows.append((line(("runbook  ", "dim"), (outside(alert.runbook_url, 500), "link")), None))
        rows.append((line(("         y copies the address: this console opens no browser.", "dim")), None))
    else:
        rows.append(
            (
                line((f"{view.glyphs.unknown} ", "dim"), "No runbook is known for ", (outside(alert.rule, 60), "bold")),
                None,
            )
        )
        rows.append((line(("  The policy names runbooks by rule, and rule files bring theirs along.", "dim")), None))
    for name, value in sorted(alert.annotations.items()):
        rows += [
            (EMPTY, None),
            (titled_rule(((outside(name, 40).upper(), "head"),), view.width, view.glyphs), None),
        ]
        parts = wrap(outside(value, 4_000), view.width)
        rows += [(line(part), None) for part in parts[:_TEXT_ROWS]]
    return rows


def critical_text(alerts: list[Alert]) -> str:
    """How many of the alerts that an act is about are critical; empty where none is."""
    critical = sum(alert.severity is Severity.CRITICAL for alert in alerts)
    if not critical:
        return ""
    return f", {critical:,} of them CRITICAL" if len(alerts) > 1 else ", which is CRITICAL"


def meant_rows(alerts: list[Alert], view: View, most: int) -> list[Line]:
    """The alerts that an act is about, the most severe of them one by one."""
    g = view.glyphs
    alerts = sorted(alerts, key=lambda alert: SEVERITIES.index(alert.severity))
    kept = alerts if len(alerts) <= most else alerts[: most - 1]
    rows = []
    for alert in kept:
        sign = words.severity(alert.severity, g)
        muted = f" {g.muted} muted" if alert.muted_by else ""
        room = max(view.width - _MEANT - len(muted), 0)
        rows.append(
            line(
                (f"{sign.glyph} {left(sign.word, 5, g)}", sign.style),
                (column(outside(alert.rule, 60), 24, g), "bold"),
                column(place_text(alert, 21, view), 22, g),
                (cut(outside(alert.message, 200), room, g), "dim"),
                (muted, "dim"),
            )
        )
    if len(kept) < len(alerts):
        rows.append(line((f"  and {len(alerts) - len(kept):,} more", "dim")))
    return rows
