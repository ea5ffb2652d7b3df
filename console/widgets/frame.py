"""Owns the frame of every screen: where am I, who am I, how current is this, what is frozen, which keys work."""

from collections.abc import Iterable
from datetime import datetime
from typing import Final, NamedTuple

from rich.cells import cell_len

from console.actions import Action, refusal
from console.keys import is_typed, shown_key
from console.state.freshness import clock_text, exact_age, seconds_between
from console.widgets.glyphs import Glyphs
from console.widgets.lines import EMPTY, Line, crop, cut, line, outside, pad, width_of
from console.widgets.view import View
from contract.permissions import Permission

NARROW_COLUMNS: Final = 60
"""Below this only the name of the screen and the connection fit on line 1."""

_MARK_STYLES: Final = {"live": "bar.ok", "polling": "bar.near", "lost": "bar.bad", "connecting": "bar.dim"}


class Who(NamedTuple):
    """Who is signed in, as the screens need it."""

    name: str = ""
    role: str = ""
    permissions: frozenset[Permission] | None = None
    """None while not known: the console refuses nothing then, the backend decides."""


class Pulse(NamedTuple):
    """How current the screen is: what line 1 says of the connection."""

    link: str
    heard_s: float | None
    """Seconds since the last sign of life."""
    quiet_s: float | None
    """Seconds since the last data."""
    now: datetime
    """The server's time."""
    paused_s: float | None = None
    """How long updates have been held back; None while they are not."""


def top_line(title: str, who: Who, pulse: Pulse, view: View) -> Line:
    """Line 1: where am I, who am I, is it live, what time is it."""
    g = view.glyphs
    clock: Line = ((f" {clock_text(pulse.now, pulse.quiet_s)} ", "bar"),)
    status = _status(pulse, g)
    name = outside(who.name, 40)
    role = f" ({outside(who.role, 30)})" if name else ""
    first: Line = ((" WATCHFLOOR ", "bar.bold"), (f" {title} ", "bar"))
    if view.width < NARROW_COLUMNS:
        first = ((f" {title} ", "bar.bold"),)
        name = role = ""
        clock = ((" ", "bar"),)
    last: Line = (*status, *clock)
    room = view.width - width_of(first) - width_of(last) - 3
    if name and room > 0:
        person = name + role if cell_len(name + role) <= room else cut(name, room, g)
        first = (*first, (" " * (room + 1 - cell_len(person)) + person + "  ", "bar"))
    fill = max(view.width - width_of(first) - width_of(last), 0)
    return crop((*first, (" " * fill, "bar"), *last), view.width, g)


def _status(pulse: Pulse, g: Glyphs) -> Line:
    paused: Line = (
        ((f" {g.upright}{g.upright} PAUSED ", "alarm"), (" ", "bar")) if pulse.paused_s is not None else EMPTY
    )
    return (*paused, *_link_status(pulse, g))


def _link_status(pulse: Pulse, g: Glyphs) -> Line:
    mark = {"live": g.ok, "polling": g.partial, "lost": g.bad}.get(pulse.link, g.unknown)
    style = _MARK_STYLES.get(pulse.link, "bar.dim")
    if pulse.link == "lost":
        age = f" {exact_age(pulse.heard_s)}" if pulse.heard_s is not None else ""
        return ((f"{mark} LOST{age} ", style),)
    if pulse.link == "polling":
        age = f" {_ten_seconds(pulse.heard_s)}" if pulse.heard_s is not None else ""
        return ((f"{mark} polling{age} ", style),)
    return ((f"{mark} {pulse.link} ", style),)


def _ten_seconds(age_s: float) -> str:
    """The age of the last poll in steps of ten seconds."""
    steps = int(age_s) // 10 * 10
    return f"{steps}s" if steps else "<10s"


def banner_line(holds: list[str], view: View) -> Line:
    """The banner on every screen while anything is frozen."""
    g = view.glyphs
    title = f" {g.frozen} FROZEN {len(holds)} "
    text = f" {g.middot} ".join(outside(hold, 120) for hold in holds)
    return (
        (
            cut(title + text + " " * view.width, view.width, g)
            if len(title + text) > view.width
            else (title + text).ljust(view.width),
            "banner",
        ),
    )


def keys_line(actions: Iterable[Action], who: Who, view: View, *, prefix: str = "", typing: bool = False) -> Line:
    """The last line: the keys that work here. What the role may not do is left to the help.

    While text is typed only keys that type nothing are named.
    """
    g = view.glyphs
    if prefix:
        return line(" ", (f"{prefix} {g.ellipsis}", "key"), ("  second key: ", "dim"), (prefix, "key"), (" freeze", ""))
    shown: list[tuple[str, Line]] = []
    for action in actions:
        keys = [key for key in action.keys if not (typing and is_typed(key))]
        if keys and action.label and not refusal(action, who.permissions, who.role):
            part: Line = ((action.shown or shown_key(keys[0]), "key"), (f" {action.label}", "dim"))
            shown.append((action.id, part))
    spans: Line = ((" ", ""),)
    for kept in _that_fit(shown, view.width):
        spans = (*spans, *kept, ("  ", ""))
    return crop(spans, view.width, g)


def _that_fit(shown: list[tuple[str, Line]], width: int) -> list[Line]:
    """As many keys as there is room for, the first ones first; the way to the help and the way out stay."""
    stays = {index for index, (name, _) in enumerate(shown) if name == "help"} | {len(shown) - 1}
    room = width + 1 - sum(width_of(part) + 2 for index, (_, part) in enumerate(shown) if index in stays)
    kept: list[Line] = []
    for index, (_, part) in enumerate(shown):
        room -= 0 if index in stays else width_of(part) + 2  # behind the last key no gap is needed
        if room >= 0 or index in stays:
            kept.append(part)
    return kept


def message_line(kind: str, text: str, view: View, *, dismissed_by_esc: bool = True) -> Line:
    """What happened last: stays until dismissed or replaced; where Esc closes a page, nothing is said of it."""
    g = view.glyphs
    if not text:
        return EMPTY
    sign, word, style = {
        "error": (g.bad, "ERROR", "bad"),
        "refused": (g.near, "REFUSED", "near"),
        "notice": (g.near, "NOTICE", "near"),
        "done": (g.done, "", "ok"),
        "taken": (g.done, "", "ok"),
    }.get(kind, (g.idle, "", ""))
    head = f" {sign} {word} " if word else f" {sign} "
    tail = "  Esc" if dismissed_by_esc and kind in {"error", "refused", "notice", "taken"} else ""
    room = view.width - len(head) - len(tail)
    return pad(((head, style), (cut(outside(text), room, g), ""), (tail, "key")), view.width, g)


def mark_of(mood: str, g: Glyphs) -> tuple[str, str]:
    """The mark before a sentence, and its style."""
    return {"ok": (g.ok, "ok"), "near": (g.near, "near"), "bad": (g.bad, "bad"), "frozen": (g.frozen, "frozen")}.get(
        mood, (g.unknown, "dim")
    )


def quiet_seconds(data_at: datetime | None, desk_now: datetime) -> float | None:
    """Seconds since the last data."""
    return seconds_between(data_at, desk_now)
