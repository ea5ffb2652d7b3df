"""Owns how alerts are drawn on their own screen: heading and detail."""

from datetime import datetime
from typing import NamedTuple

from rich.cells import cell_len

from console.state.floor import Floor
from console.state.freshness import coarse_age, due_text, seconds_between
from console.widgets import words
from console.widgets.alert_rows import OWN, columns_head, mute_left
from console.widgets.lines import Line, column, cut, label_text, left, line, outside, titled_rule, wrap
from console.widgets.overview import feed_age, scope_text
from console.widgets.view import View
from contract.alerts import Alert, AlertStatus, Escalation, Link, Muting

_LABEL_COLUMNS = 14
_WIDE_LABELS_FROM = 60
"""From here on the longest label of a page is written out."""
_INCIDENT = "incident"
_FACTS_FIRST = ("value", "limit", "samples", "unknown", "day", "worst_day")
"""What the rule saw comes first; a database hands facts out in an order of its own."""


class Shown(NamedTuple):
    """How many alerts a list holds."""

    shown: int
    """Those that pass the filter."""
    known: int
    """Not cleared, muted ones among them."""
    muted: int
    total: int
    """Not cleared and not muted, by the backend's count."""
    cleared: int
    marked: int = 0
    filter_text: str = ""
    heading: str = "ALERTS"


def list_title(floor: Floor, view: View, counted: Shown, columns: int) -> Line:
    """How many alerts are shown of how many there are, and how many of them are muted, cleared or marked.

    The names of the columns stand above a list that is so many `columns` wide, also where the title goes on beyond it.
    """
    g = view.glyphs
    text, live = counted.filter_text, counted.known - counted.muted
    count = f"{counted.shown:,} of {counted.known + counted.cleared:,}" if text else f"{live:,}"
    more = f" loaded of {counted.total:,}" if counted.total > live else ""
    words_shown: Line = ((" containing ", ""), (outside(text, 40), "near")) if text else ()
    marks: Line = ((f"  {g.marked} {counted.marked:,} marked", "key"),) if counted.marked else ()
    below = ", ".join(
        f"{count:,} {what}" for count, what in ((counted.muted, "muted"), (counted.cleared, "cleared")) if count
    )
    rest: Line = ((f", {below} below", "dim"),) if below and not text else ()
    title = ((f"{cut(counted.heading, columns // 2, g)} ", "head"), (count + more, "bold"), *marks, *words_shown, *rest)
    above = titled_rule(title, columns, g, (*feed_age(floor, view), *columns_head(columns, g)))
    beyond: Line = ((f" {g.rule * (view.width - columns - 1)}", "rule"),) if view.width > columns else ()
    return (*above, *beyond)


def detail_lines(alert: Alert, floor: Floor, view: View, place: str) -> list[Line]:
    """Everything known of one alert, the message first; `place` says which row it is."""
    return [content for content, _ in detail_rows(alert, floor, view, place)]


def detail_rows(alert: Alert, floor: Floor, view: View, place: str = "") -> list[tuple[Line, Link | None]]:
    """Everything known of one alert; rows with a link can be followed."""
    g = view.glyphs
    sign = words.severity(alert.severity, g)
    status = words.alert_status(alert.status, g)
    head = line(
        (f"{sign.glyph} {sign.word} ", sign.style),
        (outside(alert.rule, 60), "bold"),
        "  ",
        (f"{status.glyph} {status.word}", status.style),
    )
    rows: list[tuple[Line, Link | None]] = [
        (titled_rule(head, view.width, g, ((place, "dim"),) if place else ()), None)
    ]
    rows += [(line((row, "bold")), None) for row in wrap(outside(alert.message), view.width)]
    facts = [
        ("scope", scope_text(alert.scope, view.width - _LABEL_COLUMNS, view)),
        ("raised", _raised(alert, floor, view)),
        ("response", _response(alert, view, floor)),
        *_work(alert, floor.now(view.desk_now), view),
        ("action taken", outside(alert.action_taken) if alert.action_taken else "none, only informed"),
        *_facts(alert),
    ]
    wide = max(_LABEL_COLUMNS, *(cell_len(name) + 2 for name, _ in facts)) if view.width >= _WIDE_LABELS_FROM else 0
    labels = wide or _LABEL_COLUMNS
    for name, value in facts:
        leads = links_of(alert)[0] if name == _INCIDENT else None
        text = (cut(value, view.width - labels, g), "link" if leads else "")
        rows.append((line((column(name, labels, g), "dim"), text), leads))
    for link in alert.links:
        rows.append((line((left("link", labels, g), "dim"), (f"{g.arrow} ", "key"), (link_text(link), "link")), link))
    return rows


def _raised(alert: Alert, floor: Floor, view: View) -> str:
    again = f", {alert.times_raised} times" if alert.times_raised > 1 else ""
    return f"{alert.raised_at:%Y-%m-%d %H:%M:%S} UTC, {_ago(alert, floor, view)} ago{again}"


def _work(alert: Alert, now: datetime, view: View) -> list[tuple[str, str]]:
    """What it is part of, who has it, what keeps it quiet, where it comes from; what nobody has said is left out."""
    found: list[tuple[str, str]] = []
    if alert.incident:
        found.append((_INCIDENT, outside(alert.incident, 40)))
    if alert.acknowledge_comment:
        found.append(("comment", outside(alert.acknowledge_comment, 300)))
    if alert.assigned_to:
        found.append(("assigned", outside(alert.assigned_to, 80)))
    if alert.escalation is not None and alert.status is not AlertStatus.CLEARED:
        found.append(("escalation", escalation_text(alert.escalation, now)))
    found += [("muted", f"{view.glyphs.muted} {muting_text(one, now)}") for one in alert.muted_by]
    if alert.source != OWN:
        found.append(("source", outside(alert.source, 80)))
    return found


def escalation_text(step: Escalation, now: datetime) -> str:
    """Who has it, and who gets it when."""
    has = with_people(step)
    if step.next_at is None:
        return has
    left_s = (step.next_at - now).total_seconds()
    when = f"in {coarse_age(left_s)}" if left_s > 0 else "now"
    return f"{has}, then {outside(step.next_to or 'the next', 60)} {when} unless acknowledged"


def with_people(step: Escalation) -> str:
    """Who has it: the title, and who that is by name."""
    names = f" ({', '.join(outside(name, 40) for name in step.people)})" if step.people else ""
    return f"{outside(step.to, 60)}{names}"


def muting_text(one: Muting, now: datetime) -> str:
    """What mutes it, by whom, for how long, and why."""
    kind = {"silence": "silence", "inhibition": "inhibited by", "mute_time": "mute time"}.get(one.kind, one.kind)
    by = f" of {outside(one.by, 40)}" if one.by else ""
    left_s = (one.until - now).total_seconds() if one.until else None
    until = f", {coarse_age(max(left_s, 0.0))} left" if left_s is not None else ""
    why = f': "{outside(one.comment, 200)}"' if one.comment else ""
    return f"{outside(kind, 20)} {outside(one.id, 40)}{by}{until}{why}"


def _facts(alert: Alert) -> list[tuple[str, str]]:
    """What the rule saw: value and limit with their unit first, the rest as the record has it."""
    known = dict(alert.facts)
    unit = known.pop("unit", "")
    order = [*(name for name in _FACTS_FIRST if name in known), *(name for name in known if name not in _FACTS_FIRST)]
    with_unit = {"value", "limit"} if unit else set()
    return [
        (label_text(name), outside(f"{known[name]} {unit}" if name in with_unit else known[name], 200))
        for name in order
    ]


def acknowledged_text(alert: Alert) -> str:
    """What an acknowledgement did."""
    then = ", which clears it." if alert.status is AlertStatus.CLEARED else "; it stays until its rule clears it."
    return f"Acknowledged {alert.rule} on {alert.scope}{then}"


def links_of(alert: Alert) -> list[Link]:
    """What an alert points at: the incident that it is part of first."""
    incident = [Link(kind="incident", id=alert.incident, label=alert.incident)] if alert.incident else []
    return [*incident, *alert.links]


def link_text(link: Link) -> str:
    """What a link says."""
    return f"{outside(link.kind, 20)} {outside(link.label, 80)}"


def _ago(alert: Alert, floor: Floor, view: View) -> str:
    return coarse_age(seconds_between(alert.raised_at, floor.now(view.desk_now)) or 0.0)


def _response(alert: Alert, view: View, floor: Floor) -> str:
    if alert.status is AlertStatus.CLEARED:
        return f"cleared {alert.cleared_at or alert.updated_at:%Y-%m-%d %H:%M:%S} UTC"
    if alert.muted_by and alert.status is AlertStatus.OPEN:
        rest = mute_left(alert, floor.now(view.desk_now))
        return f"none while it is muted{f', {rest} left' if rest else ''}"
    if alert.status is not AlertStatus.OPEN:
        by = outside(alert.acknowledged_by or "somebody", 40)
        at = f" at {alert.acknowledged_at:%H:%M:%S} UTC" if alert.acknowledged_at else ""
        return f"seen by {by}{at}"
    due, over = due_text(alert.due_at, floor.now(view.desk_now))
    if not due:
        return "no response time in the policy"
    return f"{due}{': nobody has answered in time' if over else ''}"
