"""Owns how channels and what was sent to them are drawn. An address is a secret: none is known here."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from console.state.freshness import coarse_age, seconds_between
from console.widgets.glyphs import Glyphs
from console.widgets.lines import Line, column, left, line, outside, right, wrap
from console.widgets.view import View
from console.widgets.words import Sign, severity
from contract.notifications import Channel, Delivery, DeliveryState
from contract.states import Severity

_STATE, _NAME, _AGE = 12, 18, 7
"""Widths of what both lists have, in cells."""
_SERVICE, _SENT, _NOT = 11, 10, 5
_NAMED: Final = _STATE + 2
"""Width of the names on the page of one notification."""
_NOT_IN_FILE: Final = "the policy names it, and it is not in the file of channels"
_DELIVERIES: Final = {
    DeliveryState.QUEUED: ("partial", "queued", "near"),
    DeliveryState.SENT: ("ok", "sent", "ok"),
    DeliveryState.FAILED: ("near", "RETRYING", "near"),
    DeliveryState.GIVEN_UP: ("bad", "GIVEN UP", "bad"),
    DeliveryState.HELD_BACK: ("idle", "held back", "dim"),
}


def said(channels: Sequence[Channel]) -> tuple[str, str]:
    """Line 2: whether somebody would be told."""
    if not channels:
        return "bad", "No channel is configured: outside this console nobody is told of anything."
    unknown = [one for one in channels if not one.in_file]
    if unknown:
        many = f" and {len(unknown) - 1} more" if len(unknown) > 1 else ""
        return "bad", f"{outside(unknown[0].name, 40)}{many}: not in the file of channels, nobody is told there."
    failing = [one for one in channels if one.last_error is not None]
    if failing:
        first = failing[0]
        many = f"{len(failing)} of {len(channels)} channels fail, " if len(failing) > 1 else ""
        return (
            "bad",
            f"{many}{outside(first.name, 40)} {'first' if many else 'fails'}: {outside(first.last_error or '')}",
        )
    if not any(Severity.CRITICAL in one.severities for one in channels):
        return "bad", "No channel is told of critical alerts."
    untried = sum(one.last_sent_at is None for one in channels)
    if untried:
        have = "has" if untried == 1 else "have"
        return "near", f"{untried} of {len(channels)} channels {have} never taken anything; t tests the selected one."
    return "ok", f"{'The channel' if len(channels) == 1 else f'All {len(channels)} channels'} took what was sent last."


def channel_head(view: View) -> Line:
    """The names of the columns of channels."""
    g = view.glyphs
    text = left("", _STATE, g) + left("channel", _NAME, g) + left("service", _SERVICE, g)
    text += left("told of", _told_width(view), g) + right("sent 24 h", _SENT, g) + right("not", _NOT, g)
    return line((left(text + right("last", _AGE, g), view.width, g), "head"))


def channel_lines(one: Channel, now: datetime, view: View) -> list[Line]:
    """A channel, and why it fails."""
    g = view.glyphs
    sign = _of_channel(one, g)
    first = line(
        (left(f"{sign.glyph} {sign.word}", _STATE, g), sign.style),
        (column(outside(one.name, 63), _NAME, g), "bold"),
        (column(outside(one.service, 40) if one.in_file else "none", _SERVICE, g), "dim"),
        column(_told_of(one, g), _told_width(view), g),
        right(f"{one.sent_24h:,}", _SENT, g),
        (right(f"{one.failed_24h:,}", _NOT, g), "bad" if one.failed_24h else "dim"),
        (right(_age(one.last_sent_at, now), _AGE, g), "dim"),
    )
    return [first, *_why(one.last_error if one.in_file else _NOT_IN_FILE, "bad", view)]


def _told_of(one: Channel, g: Glyphs) -> str:
    if set(one.severities) == set(Severity):
        return "everything"
    return " ".join(severity(each, g).word for each in one.severities) or "nothing"


def _told_width(view: View) -> int:
    return max(view.width - _STATE - _NAME - _SERVICE - _SENT - _NOT - _AGE, 10)


def _of_channel(one: Channel, g: Glyphs) -> Sign:
    if not one.in_file:
        return Sign(g.bad, "ABSENT", "bad")
    if one.last_error is not None:
        return Sign(g.bad, "FAILS", "bad")
    if one.last_sent_at is None:
        return Sign(g.unknown, "untried", "near")
    return Sign(g.ok, "ok", "ok")


def log_title(only: str | None, *, undelivered: bool) -> Line:
    """What of the log is shown."""
    what = "What did not arrive" if undelivered else "What was sent, or was not"
    where = f"{outside(only, 63)} only (Enter on it: all)" if only is not None else "all channels"
    return line((f"{what}, {where}", "bold"))


def delivery_head(view: View) -> Line:
    """The names of the columns of what was sent."""
    g = view.glyphs
    text = left("", _STATE, g) + left("channel", _NAME, g) + right("age", _AGE, g) + "  what"
    return line((left(text, view.width, g), "head"))


def delivery_lines(one: Delivery, now: datetime, view: View) -> list[Line]:
    """What was sent or was not, and why not."""
    g = view.glyphs
    sign = delivery(one.state, g)
    room = max(view.width - _STATE - _NAME - _AGE - 2, 10)
    first = line(
        (left(f"{sign.glyph} {sign.word}", _STATE, g), sign.style),
        column(outside(one.channel, 63), _NAME, g),
        (right(_age(one.sent_at or one.queued_at, now), _AGE, g), "dim"),
        "  ",
        left(outside(one.title, 200), room, g),
    )
    return [first, *_why(one.reason if one.state is not DeliveryState.SENT else None, "dim", view)]


def _why(reason: str | None, style: str, view: View) -> list[Line]:
    if reason is None:
        return []
    indent = " " * _STATE
    return [line(indent, (left(outside(reason, 300), max(view.width - _STATE, 10), view.glyphs), style))]


def delivery(state: DeliveryState, g: Glyphs) -> Sign:
    """What became of a notification."""
    glyph, word, style = _DELIVERIES[state]
    return Sign(getattr(g, glyph), word, style)


def detail_lines(one: Delivery, view: View) -> list[Line]:
    """Everything that is known of one notification."""
    g = view.glyphs
    sign = delivery(one.state, g)
    facts = [
        ("state", f"{sign.glyph} {sign.word}"),
        ("what", outside(one.title)),
        ("about", f"{outside(one.subject_kind, 20)} {outside(one.subject_id, 100)}"),
        ("channel", outside(one.channel, 63)),
        ("queued", _instant(one.queued_at)),
        ("sent", _instant(one.sent_at)),
        ("tries", f"{one.attempts:,}"),
        *((("again", _instant(one.next_at)),) if one.next_at is not None else ()),
        *((("why", outside(one.reason)),) if one.reason is not None else ()),
    ]
    rows = []
    for name, value in facts:
        for at, part in enumerate(wrap(value, max(view.width - _NAMED, 20))):
            rows.append(line((left(name if at == 0 else "", _NAMED, g), "dim"), part))
    return rows


def _age(at: datetime | None, now: datetime) -> str:
    age_s = seconds_between(at, now)
    return "--" if age_s is None else coarse_age(age_s)


def _instant(at: datetime | None) -> str:
    return "--" if at is None else f"{at:%Y-%m-%d %H:%M:%S} UTC"
