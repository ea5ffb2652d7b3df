"""Owns how audit entries are drawn: one row each, and everything about one."""

import json
from datetime import datetime

from rich.cells import cell_len

from console.state.audit_search import Found, changes
from console.state.freshness import coarse_age, seconds_between
from console.state.sealed import SEALED, place_of
from console.widgets import words
from console.widgets.lines import (
    EMPTY,
    Line,
    column,
    label_text,
    left,
    line,
    middle_cut,
    outside,
    pad,
    titled_rule,
    wrap,
)
from console.widgets.view import View
from contract.audit import MASK, AuditEntry

_LABEL_COLUMNS = 17
_TIME_COLUMNS, _RESULT_COLUMNS = 15, 8
_SHORT_FROM_COLUMNS = 70


def list_title(found: Found, now: datetime, view: View, filter_text: str) -> Line:
    """The search and how many entries it found."""
    g = view.glyphs
    searched_s = seconds_between(found.searched_at, now)
    age: Line = ((f"searched {coarse_age(searched_s)} ago ", "dim"),) if searched_s is not None else EMPTY
    text = outside(found.label or found.text, 60)
    search: Line = ((" matching ", ""), (text, "near")) if text else ((" newest first", "dim"),)
    if found.label:
        search = ((" with ", ""), (text, "near"))
    if filter_text:
        search = (*search, (" containing ", ""), (outside(filter_text, 30), "near"))
    return titled_rule((("AUDIT ", "head"), (found.count, "bold"), *search), view.width, g, age)


def _columns(width: int) -> tuple[int, int, int]:
    """Widths of actor, event and resource."""
    room = max(width - _TIME_COLUMNS - _RESULT_COLUMNS, 10)
    actor = min(max(room // 5, 8), 20)
    event = min(max((room - actor) * 3 // 5, 12), 36)
    return actor, event, max(room - actor - event, 0)


def entry_row(entry: AuditEntry, view: View) -> Line:
    """One entry: when, who, what, on what, how it ended."""
    g = view.glyphs
    actor, event, resource = _columns(view.width)
    sign = words.result(entry.result, g)
    wide = view.width >= _SHORT_FROM_COLUMNS
    time = f"{entry.timestamp:%m-%d %H:%M:%S} " if wide else f"{entry.timestamp:%H:%M:%S} "
    what = "/".join(outside(part, 100) for part in (entry.resource_type, entry.resource_id) if part)
    return pad(
        line(
            (time, "dim"),
            (column(_actor(outside(entry.user_id or "system", 60), actor - 1, view), actor, g), "bold"),
            column(outside(entry.event_type, 60), event, g),
            (left(middle_cut(what, max(resource - 1, 0), g), resource, g), "dim"),
            (f"{sign.glyph} {sign.word}", sign.style),
        ),
        view.width,
        g,
    )


def _actor(name: str, width: int, view: View) -> str:
    """Who did it; of `executor:bot-07` the end tells it apart, and what is cut in front still says that it is cut."""
    if ":" not in name or cell_len(name) <= width:
        return name
    kept = name
    while kept and cell_len(kept) > width - 1:
        kept = kept[1:]
    return view.glyphs.ellipsis + kept


def detail_rows(entry: AuditEntry, view: View, place: str = "") -> list[Line]:
    """Everything about one entry; what changed comes first."""
    g = view.glyphs
    sign = words.result(entry.result, g)
    head = line((outside(entry.event_type, 80), "bold"), "  ", (f"{sign.glyph} {sign.word}", sign.style))
    rows: list[Line] = [titled_rule(head, view.width, g, ((place, "dim"),) if place else EMPTY)]
    room = max(view.width - _LABEL_COLUMNS, 10)
    facts: list[tuple[str, str]] = [("action", entry.action)]
    if entry.error_message:
        facts.append(("error", entry.error_message))
    facts += [(name, f"{old} {g.arrow} {new}" if old else new) for name, old, new in changes(entry)]
    facts += [
        ("actor", f"{entry.user_id or 'system'} from {_sealed(entry.ip_address, view) or 'inside'}"),
        ("at", f"{entry.timestamp:%Y-%m-%d %H:%M:%S.%f} UTC"),
        ("category", entry.category),
    ]
    facts += [(name, _text(value)) for name, value in entry.metadata.items() if name != SEALED]
    facts += [
        ("with", _sealed(entry.user_agent, view) or "--"),
        ("ledger", place_of(entry)),
        ("id", entry.id),
        ("leaf", entry.hash),
    ]
    for name, value in facts:
        for index, row in enumerate(wrap(outside(value, 400), room)[:4]):
            rows.append(line((column(label_text(name) if not index else "", _LABEL_COLUMNS, g), "dim"), row))
    return rows


def _sealed(value: str | None, view: View) -> str | None:
    """A sealed value in characters that the terminal has."""
    return view.glyphs.hidden * 3 if value == MASK else value


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=True)
