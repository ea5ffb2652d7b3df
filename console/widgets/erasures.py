"""Owns how requests to erase people are drawn, and what an erasure does."""

from datetime import datetime

from console.state.freshness import coarse_age, seconds_between
from console.widgets.glyphs import Glyphs
from console.widgets.lines import Line, line, outside, paragraph, wrap
from console.widgets.view import View
from console.widgets.words import Sign
from contract.privacy import Erasure, ErasurePreview, ErasureStatus


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
    rows = [head, *paragraph(f"because: {one.reason}", view.width, g)]
    if one.decided_by is not None:
        decided = coarse_age(seconds_between(one.decided_at, now) or 0.0)
        values = f": {one.values_erased:,} values erased" if one.values_erased is not None else ""
        rows += paragraph(f"decided by {one.decided_by}, {decided} ago{values}", view.width, g)
    return rows


def blast_lines(found: ErasurePreview, view: View) -> list[Line]:
    """What an erasure destroys, what stays, and what forbids it, before it is done."""
    g = view.glyphs
    values = f"{amount(found.sealed_values, found.count_cap)} sealed {_of(found.sealed_values, 'value')}"
    entries = f"{amount(found.entries, found.count_cap)} audit {_of(found.entries, 'entry', 'entries')}"
    rows = [
        line(("destroys  ", "dim"), (values, "bold"), ", the name and the account."),
        line(("leaves    ", "dim"), (entries, "bold"), f", under {outside(found.surrogate, 40)}."),
    ]
    if found.legal_holds:
        many = found.legal_holds > 1
        what = f"{found.legal_holds:,} legal holds: lift them" if many else "1 legal hold in force: lift it"
        rows.append(line(("forbids   ", "dim"), (f"{g.near} {what} first (8).", "near")))
    facts = "Addresses, programs and all else that is sealed: nothing brings them back, no older backup either."
    return [*rows, *(line((row, "dim")) for row in wrap(facts, view.width))]


def amount(number: int, cap: int) -> str:
    """A count that stopped at a cap is that many or more."""
    return f"{number:,}{'+' if number >= cap else ''}"


def _of(number: int, one: str, many: str = "") -> str:
    return one if number == 1 else many or one + "s"
