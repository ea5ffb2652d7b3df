"""Owns how legal holds are drawn: what each keeps, who placed it and why, where it stands."""

from datetime import datetime

from console.state.freshness import coarse_age, seconds_between
from console.widgets.erasures import amount
from console.widgets.glyphs import Glyphs
from console.widgets.lines import Line, line, outside, paragraph
from console.widgets.view import View
from console.widgets.words import Sign
from contract.privacy import LegalHold, LegalHoldReach, LegalHoldState


def state(value: LegalHoldState, g: Glyphs) -> Sign:
    """Where a legal hold stands."""
    match value:
        case LegalHoldState.IN_FORCE:
            return Sign(g.ok, "in force", "ok")
        case LegalHoldState.LIFT_REQUESTED:
            return Sign(g.near, "lift asked", "near")
        case LegalHoldState.LIFTED:
            return Sign(g.done, "lifted", "dim")


def keeps(one: LegalHold) -> str:
    """What it is about: a person, or a log."""
    return outside(one.subject or f"log {one.log}", 60)


def extent(one: LegalHold) -> str:
    """Which entries: all of a person's, or those of a log in a time."""
    whole = "everything of this person" if one.subject is not None else "the whole log"
    if one.since is None and one.until is None:
        return whole
    if one.until is None:
        return f"from {one.since:%Y-%m-%d %H:%M} UTC on"
    since = f"from {one.since:%Y-%m-%d %H:%M} " if one.since is not None else ""
    return f"{since}until {one.until:%Y-%m-%d %H:%M} UTC"


def hold_rows(one: LegalHold, now: datetime, view: View) -> list[Line]:
    """One legal hold: what it keeps, who placed it and why, who wants it lifted or has lifted it."""
    sign = state(one.state, view.glyphs)
    head = line(*sign.spans(), "  ", (keeps(one), "bold"), (f"  {extent(one)}", "dim"))
    told = [f"placed by {one.placed_by}, {_ago(one.placed_at, now)}: {one.reason}"]
    if one.lift_requested_by is not None:
        ago = _ago(one.lift_requested_at, now)
        told.append(f"lift asked by {one.lift_requested_by}, {ago}: {one.lift_reason or ''}")
    if one.lifted_by is not None:
        told.append(f"lifted by {one.lifted_by}, {_ago(one.lifted_at, now)}")
    return [head, *(row for text in told for row in paragraph(text, view.width, view.glyphs))]


def _ago(at: datetime | None, now: datetime) -> str:
    return f"{coarse_age(seconds_between(at, now) or 0.0)} ago"


def reach_line(reach: LegalHoldReach, view: View) -> Line:
    """How much it keeps."""
    entries = f"{amount(reach.entries, reach.count_cap)} {'entry' if reach.entries == 1 else 'entries'}"
    if reach.sealed_values is None:
        return line((entries, "bold"), " and all that is sealed in them")
    values = (
        f"{amount(reach.sealed_values, reach.count_cap)} sealed {'value' if reach.sealed_values == 1 else 'values'}"
    )
    return line((entries, "bold"), f" {view.glyphs.middot} ", (values, "bold"))
