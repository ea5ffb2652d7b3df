"""Owns what the overview says of incidents: the open ones, and what earlier ones have left to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from console.state.floor import SEVERITIES, Floor
from console.state.freshness import Freshness, coarse_age, seconds_between
from console.widgets import words
from console.widgets.lines import EMPTY, Line, column, dimmed, left, line, outside, right, titled_rule
from console.widgets.view import View

if TYPE_CHECKING:
    from contract.incidents import Incident

_STEP, _COMMANDER, _AGE = 14, 12, 6


def incidents_lines(floor: Floor, view: View, rows: int) -> list[Line]:
    """Open incidents, the most severe first, in at most so many rows below their heading; nothing while there is none.

    What is left to do of earlier ones stands in the heading, or in a line of its own.
    """
    if floor.loaded_at is None:
        return []
    left_to_do = follow_ups_text(floor)
    if not floor.incidents:
        return [left_to_do] if left_to_do else []
    known = sorted(floor.incidents.values(), key=lambda one: (SEVERITIES.index(one.severity), one.declared_at, one.id))
    kept = known if len(known) <= rows else known[: max(rows - 1, 0)]
    lines = [_incident_row(one, floor, view) for one in kept]
    if len(kept) < len(known):
        lines.append(line((f"and {len(known) - len(kept)} more", "dim")))
    title = (("INCIDENTS ", "head"), (f"{len(known)} open", "near"))
    head = titled_rule(title, view.width, view.glyphs, left_to_do)
    return [head, *(dimmed(lines) if floor.feed_freshness(view.desk_now) is not Freshness.LIVE else lines)]


def follow_ups_text(floor: Floor) -> Line:
    """Follow-up actions that nobody has done yet."""
    if not floor.follow_ups_open:
        return EMPTY
    late = floor.follow_ups_overdue
    overdue = ((f", {late:,} overdue", "near"),) if late else ()
    return line(("FOLLOW-UPS ", "head"), f"{floor.follow_ups_open:,} open", *overdue)


def _incident_row(incident: Incident, floor: Floor, view: View) -> Line:
    g = view.glyphs
    sign = words.severity(incident.severity, g)
    age_s = seconds_between(incident.declared_at, floor.now(view.desk_now)) or 0.0
    who = outside(incident.commander, 40) if incident.commander else "nobody"
    ident = f"{outside(incident.id, 20)} "
    drill = (*words.drill(g).spans(), (" ", "")) if incident.drill else ()
    room = view.width - 7 - len(ident) - sum(len(text) for text, _ in drill) - _STEP - _COMMANDER - _AGE
    return line(
        (f"{sign.glyph} {left(sign.word, 5, g)}", sign.style),
        *drill,
        (ident, "bold"),
        column(outside(incident.title), room, g),
        (column(outside(incident.step, 40), _STEP, g), "key"),
        (column(who, _COMMANDER, g), "dim" if incident.commander else "bad"),
        (right(coarse_age(age_s), _AGE, g), "dim"),
    )
