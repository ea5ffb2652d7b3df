"""Owns how alerts are drawn on their own screen: heading and detail."""

from rich.cells import cell_len

from console.state.floor import Floor
from console.state.freshness import coarse_age, due_text, seconds_between
from console.widgets import words
from console.widgets.lines import Line, column, cut, label_text, left, line, outside, titled_rule, wrap
from console.widgets.overview import feed_age, scope_text
from console.widgets.view import View
from contract.alerts import Alert, AlertStatus, Link

_LABEL_COLUMNS = 14
_WIDE_LABELS_FROM = 60
"""From here on the longest label of a page is written out."""
_FACTS_FIRST = ("value", "limit", "samples", "unknown", "day", "worst_day")
"""What the rule saw comes first; a database hands facts out in an order of its own."""


def list_title(floor: Floor, view: View, *, shown: int, known: int, total: int, cleared: int, filter_text: str) -> Line:
    """How many alerts are shown of how many there are."""
    g = view.glyphs
    count = f"{shown:,} of {known + cleared:,}" if filter_text else f"{known:,}"
    more = f" loaded of {total:,}" if total > known else ""
    words_shown: Line = ((" containing ", ""), (outside(filter_text, 40), "near")) if filter_text else ()
    below: Line = ((f", {cleared:,} cleared below", "dim"),) if cleared and not filter_text else ()
    return titled_rule(
        (("ALERTS ", "head"), (count + more, "bold"), *words_shown, *below),
        view.width,
        g,
        (*feed_age(floor, view), ("age  response", "head")),
    )


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
        ("raised", f"{alert.raised_at:%Y-%m-%d %H:%M:%S} UTC, {_ago(alert, floor, view)} ago"),
        ("response", _response(alert, view, floor)),
        ("action taken", outside(alert.action_taken) if alert.action_taken else "none, only informed"),
        *_facts(alert),
    ]
    wide = max(_LABEL_COLUMNS, *(cell_len(name) + 2 for name, _ in facts)) if view.width >= _WIDE_LABELS_FROM else 0
    labels = wide or _LABEL_COLUMNS
    for name, value in facts:
        rows.append((line((column(name, labels, g), "dim"), cut(value, view.width - labels, g)), None))
    for link in alert.links:
        rows.append((line((left("link", labels, g), "dim"), (f"{g.arrow} ", "key"), (link_text(link), "link")), link))
    return rows


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


def link_text(link: Link) -> str:
    """What a link says."""
    return f"{outside(link.kind, 20)} {outside(link.label, 80)}"


def _ago(alert: Alert, floor: Floor, view: View) -> str:
    return coarse_age(seconds_between(alert.raised_at, floor.now(view.desk_now)) or 0.0)


def _response(alert: Alert, view: View, floor: Floor) -> str:
    if alert.status is AlertStatus.CLEARED:
        return f"cleared {alert.cleared_at or alert.updated_at:%Y-%m-%d %H:%M:%S} UTC"
    if alert.status is not AlertStatus.OPEN:
        by = outside(alert.acknowledged_by or "somebody", 40)
        at = f" at {alert.acknowledged_at:%H:%M:%S} UTC" if alert.acknowledged_at else ""
        return f"seen by {by}{at}"
    due, over = due_text(alert.due_at, floor.now(view.desk_now))
    if not due:
        return "no response time in the policy"
    return f"{due}{': nobody has answered in time' if over else ''}"
