"""Owns how a thaw is drawn: what it covers, in which stages it would take effect, and what has changed since."""

from datetime import datetime
from typing import Final

from console.state.floor import Floor
from console.state.freshness import coarse_age, seconds_between
from console.widgets import words
from console.widgets.holds import freeze_row
from console.widgets.lines import Line, cut, line, outside
from console.widgets.view import View
from contract.freeze import Freeze
from contract.thaw import Thaw, ThawStage

SHOWN_ALERTS: Final = 4
"""Open alerts that are listed where there is room, the gravest first."""
SHOWN_NAMES: Final = 6
SHOWN_DIGEST: Final = 12
"""Enough of the digest to compare two screens by eye."""


def thaw_lines(freeze: Freeze, floor: Floor, view: View, *, alerts: int = SHOWN_ALERTS) -> list[Line]:
    """What a thaw is about, before anybody decides: open alerts first, as many as fit, once that has been loaded."""
    now = floor.now(view.desk_now)
    frozen = coarse_age(seconds_between(freeze.created_at, now) or 0.0)
    why = cut(outside(freeze.reason), view.width - 30, view.glyphs)
    rows = [freeze_row(freeze, view), line(("  frozen for ", "dim"), frozen, ("; why: ", "dim"), why)]
    thaw = freeze.thaw
    if thaw is None:
        return [*rows, line((f"  Loading what it would let go{view.glyphs.ellipsis}", "dim"))]
    return [
        *rows,
        *_changed(thaw, view),
        *_alerts(thaw, alerts, view),
        _holds(thaw, view),
        *_stages(thaw, view),
        *_request(freeze, thaw, now, view),
    ]


def _changed(thaw: Thaw, view: View) -> list[Line]:
    if not thaw.changed:
        return []
    text = f"{view.glyphs.bad} Not as it was asked for: {'; '.join(thaw.changed)}."
    return [
        line((cut(outside(text), view.width, view.glyphs), "bad")),
        line(("  It has to be asked for again (t) before anybody can approve it.", "bad")),
    ]


def _alerts(thaw: Thaw, shown: int, view: View) -> list[Line]:
    g = view.glyphs
    if not thaw.alerts:
        return [line((f"{g.ok} No open alert touches it.", "ok"))]
    count = len(thaw.alerts)
    one = count == 1
    rows = [line((f"{g.near} {count:,} open alert{'' if one else 's'} touch{'es' if one else ''} it:", "near"))]
    for alert in thaw.alerts[:shown]:
        sign = words.severity(alert.severity, g)
        head = f"  {sign.glyph} {sign.word:<4} "
        text = f"{outside(alert.rule, 40)}  {outside(alert.message)}"
        rows.append(line((head, sign.style), cut(text, view.width - len(head), g)))
    if count > shown > 0:
        rows.append(line((f"  and {count - shown:,} more: see the alerts (2)", "dim")))
    return rows


def _holds(thaw: Thaw, view: View) -> Line:
    g = view.glyphs
    if not thaw.other_holds:
        return line((f"{g.ok} No other hold is over its executors.", ""))
    return line((f"{g.frozen} ", "frozen"), cut(f"Other holds stay: {', '.join(thaw.other_holds)}", view.width - 2, g))


def _stages(thaw: Thaw, view: View) -> list[Line]:
    g = view.glyphs
    if not thaw.executors_released:
        return [line((f"{g.frozen} Nobody starts: other holds, or none, are over its executors.", "frozen"))]
    total = "1 executor" if thaw.executors_released == 1 else f"{thaw.executors_released:,} executors"
    rows = [line((f"{g.near} It lets {total} trade again, digest {thaw.digest[:SHOWN_DIGEST]}:", "near"))]
    for number, stage in enumerate(thaw.stages):
        rows.append(line(cut(f"  {stage_text(stage, first=number == 0)}", view.width, g)))
    return rows


def stage_text(stage: ThawStage, *, first: bool) -> str:
    """Who is let go in one stage, and for how long they are watched."""
    names = ", ".join(outside(name, 40) for name in stage.executor_names[:SHOWN_NAMES])
    more = f" and {stage.executors - SHOWN_NAMES:,} more" if stage.executors > SHOWN_NAMES else ""
    watched = f", watched for {stage.watch_seconds} s" if stage.watch_seconds else ""
    return f"{'first' if first else 'then'} {stage.executors:,}{watched}: {names}{more}"


def _request(freeze: Freeze, thaw: Thaw, now: datetime, view: View) -> list[Line]:
    rows = []
    if freeze.thaw_requested_by:
        left_s = seconds_between(now, thaw.expires_at) if thaw.expires_at else None
        lapse = "" if left_s is None else f", lapses in {coarse_age(left_s)}"
        asked = f"{outside(freeze.thaw_requested_by, 40)} asks for it{lapse}: "
        reason = cut(outside(freeze.thaw_reason or ""), view.width - len(asked) - 3, view.glyphs)
        rows.append(line((f"  {asked}", "dim"), reason))
    if thaw.anti_flap_until > now:
        until = f"{thaw.anti_flap_until:%H:%M:%S}"
        rows.append(line((f"  It has to stand until {until} before anybody can approve it.", "near")))
    return rows
