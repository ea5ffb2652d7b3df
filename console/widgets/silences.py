"""Owns how silences are drawn: what they match, until when, who made them and why, and where else they are."""

from datetime import datetime
from typing import Final

from console.state.freshness import coarse_age
from console.state.matchers import matchers_text
from console.widgets.lines import Line, line, outside, paragraph, wrap
from console.widgets.view import View
from contract.alert_work import CopyState, Silence, SilenceState

_STATE: Final = 10
_WORDS: Final = {SilenceState.SET_ASIDE: "set aside, too slow"}


def silence_rows(one: Silence, now: datetime, view: View) -> list[Line]:
    """One silence: how long, what it matches, why."""
    g = view.glyphs
    glyph, style = {
        SilenceState.ACTIVE: (g.muted, "near"),
        SilenceState.SET_ASIDE: (g.bad, "bad"),
        SilenceState.PENDING: (g.partial, ""),
        SilenceState.ENDED: (g.idle, "dim"),
    }[one.state]
    room = max(view.width - 2, 20)
    first, *rest = wrap(outside(matchers_text(one.matchers), 1_000), room)
    head = line(
        (f"{glyph} ", style),
        (f"{_WORDS.get(one.state, one.state.value)} ", style),
        (when_text(one, now), "bold"),
        ("  ", ""),
        *_muting(one),
    )
    rows = [head, *(line("  ", (row, "key")) for row in (first, *rest)), *paragraph(one.comment, view.width, g)]
    rows.append(line("  ", (f"{_made(one, now)}", "dim")))
    return [*rows, *_copies(one, view)]


def when_text(one: Silence, now: datetime) -> str:
    """How long it lasts still, when it begins, or since when it is over."""
    if one.state is SilenceState.PENDING:
        return f"begins in {coarse_age(max((one.starts_at - now).total_seconds(), 0.0))}"
    away_s = (one.ends_at - now).total_seconds()
    if one.state is SilenceState.ENDED:
        by = f" by {outside(one.ended_by, 40)}" if one.ended_by else ""
        return f"{coarse_age(max(-away_s, 0.0))} ago{by}"
    return f"{coarse_age(max(away_s, 0.0))} left, until {one.ends_at:%m-%d %H:%M} UTC"


def _muting(one: Silence) -> Line:
    if one.state is SilenceState.ENDED:
        return ()
    count = "mutes nothing now" if not one.muted_now else f"mutes {one.muted_now:,} now"
    return ((count, "" if one.muted_now else "dim"),)


def _made(one: Silence, now: datetime) -> str:
    age = coarse_age(max((now - one.created_at).total_seconds(), 0.0))
    where = "" if one.source == "watchfloor" else f" in {outside(one.source, 80)}"
    return f"made{where} by {outside(one.created_by, 60)}, {age} ago"


def _copies(one: Silence, view: View) -> list[Line]:
    g = view.glyphs
    rows = []
    for copy in one.copies:
        name = outside(copy.source, 80)
        if copy.state is CopyState.ENDED_THERE:
            rows.append(line("  ", (f"{g.near} ended in {name} by somebody there: not made there again", "near")))
        elif copy.state is CopyState.ENDED:
            rows.append(line("  ", (f"{g.idle} ended in {name}", "dim")))
        elif copy.error and copy.state is CopyState.STANDING:
            rows.append(line("  ", (f"{g.bad} may still mute in {name}: {outside(copy.error, 200)}", "bad")))
        elif copy.error:
            rows.append(line("  ", (f"{g.bad} not in {name}: {outside(copy.error, 200)}", "bad")))
        elif copy.id is None:
            rows.append(line("  ", (f"{g.partial} not in {name} yet", "near")))
        else:
            rows.append(line("  ", (f"{g.ok} also in {name}", "dim")))
    return rows
