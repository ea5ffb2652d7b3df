"""Owns how sessions are drawn."""

from datetime import datetime

from console.state.freshness import coarse_age, seconds_between
from console.widgets.glyphs import Glyphs
from console.widgets.lines import Line, line, outside, paragraph
from console.widgets.view import View
from console.widgets.words import Sign
from contract.sessions import SessionInfo, SessionState


def state(value: SessionState, g: Glyphs) -> Sign:
    """Whether a session can be used."""
    return Sign(g.ok, "open", "ok") if value is SessionState.OPEN else Sign(g.idle, "locked", "dim")


def whence(one: SessionInfo) -> str:
    """Where it was signed in from."""
    if one.sealed:
        return "from a sealed address"
    return f"from {outside(one.ip_address, 45)}" if one.ip_address else "on the backend's own machine"


def session_rows(one: SessionInfo, now: datetime, view: View) -> list[Line]:
    """One session: whose, from where, since when, last used when."""
    g = view.glyphs
    sign = state(one.state, g)
    head = line(
        (f"{sign.glyph} {sign.word}".ljust(10), sign.style),
        (outside(one.account, 60), "bold"),
        (f" ({outside(one.role, 40)})", "dim"),
        ("  this one" if one.own else "", "key"),
    )
    used = coarse_age(seconds_between(one.last_used_at, now) or 0.0)
    since = f"{one.created_at:%Y-%m-%d %H:%M} UTC"
    told = f"since {since} {whence(one)}, used {used} ago, with {', '.join(one.factors)}"
    return [head, *paragraph(told, view.width, g)]
