"""Owns how requests to erase people are drawn, and what an erasure does."""

from datetime import datetime

from console.state.freshness import coarse_age, seconds_between
from console.widgets.glyphs import Glyphs
from console.widgets.lines import Line, line, outside, wrap
from console.widgets.view import View
from console.widgets.words import Sign
from contract.privacy import Erasure, ErasureStatus

_INDENT = 2


def status(value: ErasureStatus, g: Glyphs) -> Sign:
    """What became of a request."""
    match value:
        case ErasureStatus.REQUESTED:
            return Sign(g.near, "waits", "near")
        case ErasureStatus.ERASED:
            return Sign(g.done, "erased", "")
        case ErasureStatus.WITHDRAWN:
            return Sign(g.idle, "withdrawn", "dim")


def request_rows(one: Erasure, now: datetime, view: View) -> list[Line]:
    """One request: whom, who asked and why, who decided and what it erased."""
    g = view.glyphs
    sign = status(one.status, g)
    age = coarse_age(seconds_between(one.requested_at, now) or 0.0)
    head = line(
        (f"{sign.glyph} {sign.word}", sign.style),
        ("  ", ""),
        (outside(one.subject, 60), "bold"),
        (f"  asked by {outside(one.requested_by, 40)}, {age} ago", "dim"),
    )
    rows = [head, *_indented(f"because: {one.reason}", view)]
    if one.decided_by is not None:
        decided = coarse_age(seconds_between(one.decided_at, now) or 0.0)
        values = f": {one.values_erased:,} values erased" if one.values_erased is not None else ""
        rows += _indented(f"decided by {one.decided_by}, {decided} ago{values}", view)
    return rows


def _indented(text: str, view: View) -> list[Line]:
    parts = wrap(outside(text, 500), max(view.width - _INDENT, 10))
    return [line(" " * _INDENT, part) for part in parts[:3]]


def blast_lines(subject: str, entries: int | None, capped: int, view: View, *, refused: bool) -> list[Line]:
    """What an erasure does, before it is done."""
    g = view.glyphs
    if refused:
        count = line((f"{g.near} How many entries name this person could not be learned.", "near"))
    elif entries is None:
        count = line((f"Counting the entries of this person{g.ellipsis}", "dim"))
    else:
        number = f"{entries:,}{'+' if entries >= capped else ''}"
        said = "entry was" if entries == 1 else "entries were"
        count = line((number, "bold"), f" audit {said} written by ", (outside(subject, 60), "bold"), ".")
    facts = (
        "Their key is destroyed: the name, the addresses, the programs and every other sealed value of theirs"
        " can never be read again, nor after an older backup is restored. The entries stay, under a surrogate."
    )
    return [count, *(line(row) for row in wrap(facts, view.width))]
