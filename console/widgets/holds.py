"""Owns how holds are listed: one line each, with how many executors have halted and whether somebody looks deeper."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from console.state.floor import Floor
from console.state.freshness import Freshness
from console.state.headline import DRILL, MODE_WORDS, WAITING
from console.widgets.glyphs import Glyphs
from console.widgets.lines import Line, dimmed, left, line, outside, titled_rule, width_of
from console.widgets.overview import scope_text
from console.widgets.view import View
from contract.states import FreezeStatus

if TYPE_CHECKING:
    from contract.freeze import Freeze


_WIDE_COLUMNS: Final = 100
"""From here on there is room for whole names."""


def freezes_lines(floor: Floor, view: View, rows: int) -> list[Line]:
    """Holds in force: scope, mode, who, when, why, and how many have halted."""
    g = view.glyphs
    holds = sorted(floor.freezes.values(), key=lambda hold: (hold.created_at, hold.ref), reverse=True)
    if not holds:
        state = ("none in force", "dim") if floor.loaded_at is not None else ("no data yet", "dim")
        return [titled_rule((("FREEZES ", "head"), state), view.width, g)]
    kept = holds if len(holds) <= rows else holds[: rows - 1]
    lines = [freeze_row(hold, view) for hold in kept]
    if len(kept) < len(holds):
        lines.append(line((f"and {len(holds) - len(kept)} more: 3", "dim")))
    fresh = floor.feed_freshness(view.desk_now)
    title = titled_rule((("FREEZES ", "head"), (f"{len(holds)} in force", "frozen")), view.width, g)
    return [title, *(dimmed(lines) if fresh is not Freshness.LIVE else lines)]


def freeze_row(hold: Freeze, view: View) -> Line:
    """One hold on one line."""
    g = view.glyphs
    proof, style = proof_text(hold, view)
    mode = DRILL if hold.drill else MODE_WORDS[hold.mode].partition(" ")[0]
    who = outside(hold.automatic_rule or hold.created_by, 40)
    wide = view.width >= _WIDE_COLUMNS
    head = line(
        (f"{g.frozen} ", "frozen"),
        (left(outside(hold.ref, 20), 9, g), "bold"),
        left(scope_text(hold.scope, 24 if wide else 18, view), 25 if wide else 19, g),
        (left(mode, 7, g), "frozen"),
        (left(f"{hold.created_at:%H:%M:%S}", 9, g), "dim"),
        (left(who, 20 if wide else 9, g), "dim"),
    )
    room = view.width - width_of(head) - len(proof) - 1
    reason = (" " + left(f'"{outside(hold.reason)}"', room - 1, g), "dim") if room > 8 else ("", "")  # noqa: PLR2004
    return line(*head, reason, (" " + proof, style))


def proof_text(hold: Freeze, view: View) -> tuple[str, str]:
    """How many executors have halted, or where the freeze stands on its way to being lifted."""
    g = view.glyphs
    count = f"{hold.halted} of {hold.covered}"
    if hold.violations:
        return f"{g.bad} {hold.violations} WENT ON", "bad"
    if hold.status is FreezeStatus.LATCHED:
        return f"{g.near} {WAITING if view.width >= _WIDE_COLUMNS else 'waits for database'}", "near"
    if hold.status is FreezeStatus.THAWING:
        return f"{g.near} lifting, {hold.covered} held", "near"
    return _halted_text(hold, count, g)


def _halted_text(hold: Freeze, count: str, g: Glyphs) -> tuple[str, str]:
    if hold.halted < hold.covered:
        return f"{g.bad} {count} halted", "bad"
    if hold.still_open:
        return f"{g.partial} {count}, {hold.still_open} open", "near"
    if hold.status is FreezeStatus.THAW_REQUESTED:
        return f"{g.partial} {count}, thaw asked", "near"
    verified = hold.covered and hold.verified == hold.covered
    return (f"{g.ok} {count} verified" if verified else f"{g.done} {count} halted"), "ok" if hold.covered else "dim"
