"""Owns how alerts are drawn by group: one row a group, the heading above them, and what is known of one."""

from typing import Final

from console.state.floor import Floor
from console.state.freshness import coarse_age, seconds_between
from console.widgets import words
from console.widgets.alert_rows import place_text, source_name
from console.widgets.lines import EMPTY, Line, column, left, line, outside, pad, right, titled_rule, wrap
from console.widgets.overview import feed_age
from console.widgets.view import View
from contract.alert_work import AlertGroup

_SIGN, _ALERTS, _OPEN, _NEWEST, _WAITS = 7, 7, 8, 7, 7
_TAIL: Final = _ALERTS + _OPEN + _NEWEST + _WAITS
_RULE, _PLACE_MIN, _PLACE, _MESSAGE_MIN = 24, 10, 24, 20
_LABEL: Final = 10
_GROUP_CHARS: Final = 400
"""Of the text that alerts of a group share: its labels are at the beginning."""


def groups_title(floor: Floor, view: View, shown: str, columns: int, marked: int = 0) -> Line:
    """How many groups there are, and the names of the columns above a list that is so many `columns` wide."""
    g = view.glyphs
    marks: Line = ((f"  {g.marked} {marked:,} marked", "key"),) if marked else ()
    title = (("GROUPS ", "head"), (shown, "bold"), *marks)
    names = "".join(
        right(name, width, g)
        for name, width in (("alerts", _ALERTS), ("open", _OPEN), ("newest", _NEWEST), ("waits", _WAITS))
    )
    above = titled_rule(title, columns, g, (*feed_age(floor, view), (names, "head")))
    beyond: Line = ((f" {g.rule * (view.width - columns - 1)}", "rule"),) if view.width > columns else ()
    return (*above, *beyond)


def group_row(group: AlertGroup, floor: Floor, view: View, *, marked: bool = False) -> Line:
    """One group: worst severity, what and where, how many, how many open, the newest, how long the oldest waits."""
    g = view.glyphs
    sign = words.severity(group.severity, g)
    waits = bool(group.open) and group.muted < group.total
    room = view.width - _SIGN - _TAIL
    rule_width = min(_RULE, max(room - _PLACE_MIN - 1, 8))
    rest = room - rule_width - 1
    message = rest - _PLACE - 1
    place_width = _PLACE if message >= _MESSAGE_MIN else rest
    middle: Line = ((" " + left(place_text(group.newest, place_width, view), place_width, g), ""),)
    if message >= _MESSAGE_MIN:
        middle = (*middle, (" " + column(outside(group.newest.message), message, g), "dim"))
    return pad(
        line(
            (f"{sign.glyph} {left(sign.word, 4, g)}", sign.style if waits else "dim"),
            (g.marked if marked else " ", "key"),
            (left(what(group), rule_width, g), "bold" if waits else ""),
            *middle,
            (right(f"{group.total:,}", _ALERTS, g), "bold" if waits else "dim"),
            (right(_open_text(group, view), _OPEN, g), "" if waits else "dim"),
            (right(_age(group, floor, view), _NEWEST, g), "dim"),
            (right(_waits(group, floor, view), _WAITS, g), "" if waits else "dim"),
        ),
        view.width,
        g,
    )


def what(group: AlertGroup) -> str:
    """Its newest rule, and how many other rules there are."""
    return outside(group.newest.rule, 60) + (f" +{group.rules - 1}" if group.rules > 1 else "")


def _open_text(group: AlertGroup, view: View) -> str:
    if group.muted == group.total:
        return f"{view.glyphs.muted} muted"
    return f"{group.open:,}" if group.open else f"{view.glyphs.done} seen"


def _age(group: AlertGroup, floor: Floor, view: View) -> str:
    return coarse_age(seconds_between(group.newest_at, floor.now(view.desk_now)) or 0.0)


def _waits(group: AlertGroup, floor: Floor, view: View) -> str:
    if group.oldest_open_at is None:
        return ""
    return coarse_age(seconds_between(group.oldest_open_at, floor.now(view.desk_now)) or 0.0)


def group_lines(group: AlertGroup, floor: Floor, view: View, place: str) -> list[Line]:
    """What is known of one group, the newest message first; `place` says which row it is."""
    g = view.glyphs
    sign = words.severity(group.severity, g)
    head = line((f"{sign.glyph} {sign.word} ", sign.style), (what(group), "bold"))
    rows: list[Line] = [titled_rule(head, view.width, g, ((place, "dim"),) if place else ())]
    rows += [line((row, "bold")) for row in wrap(outside(group.newest.message), view.width)[:2]]
    others = group.rules - 1
    rules = f"{outside(group.newest.rule, 60)}" + (f" and {others} other{'s' if others > 1 else ''}" if others else "")
    counts = f"{group.total:,}: {group.open:,} open, {group.acknowledged:,} acknowledged, {group.muted:,} muted"
    waits = _waits(group, floor, view)
    for name, value in (
        ("alerts", counts),
        ("newest", f"{group.newest_at:%Y-%m-%d %H:%M:%S} UTC, {_age(group, floor, view)} ago"),
        ("waits", f"the oldest that nobody has acknowledged: {waits}" if waits else "for nobody: all are acknowledged"),
        ("rules", rules),
        ("source", outside(source_name(group.newest.source), 60)),
        ("group", outside(group.group, _GROUP_CHARS)),
    ):
        for index, part in enumerate(wrap(value, max(view.width - _LABEL, 10))):
            rows.append(line((column("" if index else name, _LABEL, g), "dim"), part))
    return rows


def no_groups(floor: Floor, problem: str, *, asked: bool) -> list[Line]:
    """What the list says when it is empty."""
    if problem:
        return [line(("Nothing is known: ", "near"), outside(problem, 300))]
    if not asked or floor.loaded_at is None:
        return [line(("Asking for groups.", "dim"))]
    return [line(("No alerts, so no groups. ", "ok"), ("v shows the list again.", "dim")), EMPTY]
