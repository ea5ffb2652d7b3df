"""Owns how the facts behind the risk indicators are drawn, as lines some of which can be followed."""

from console.state.floor import Floor
from console.widgets import words
from console.widgets.lines import Line, left, line, outside, titled_rule, wrap
from console.widgets.view import View
from contract.alerts import Link
from contract.states import RiskLevel


def why_rows(floor: Floor, view: View) -> list[tuple[Line, Link | None]]:
    """Every fact behind the three indicators; rows with a link can be followed."""
    g = view.glyphs
    if floor.risk is None or not floor.risk.indicators:
        return [(line(("Risk has not been assessed yet: nothing is known.", "dim")), None)]
    rows: list[tuple[Line, Link | None]] = []
    order = list(RiskLevel)
    for indicator in floor.risk.indicators:
        sign = words.level(indicator.level, g)
        title = line(
            (f"{outside(indicator.name, 40).capitalize()} ", "bold"), (f"{sign.glyph} {sign.word}", sign.style)
        )
        rows.append((titled_rule(title, view.width, g), None))
        for reason in sorted(indicator.reasons, key=lambda reason: -order.index(reason.level)):
            mark = words.level(reason.level, g)
            first, *rest = wrap(outside(reason.text), max(view.width - 12, 8))
            rows.append((line((left(f"{mark.glyph} {mark.word}", 11, g), mark.style), first), reason.link))
            rows += [(line(" " * 11, row), reason.link) for row in rest]
            if reason.link is not None:
                target = f"{outside(reason.link.kind, 20)} {outside(reason.link.label, 80)}"
                rows.append((line(" " * 11, (f"{g.arrow} ", "key"), (target, "link")), reason.link))
        if not indicator.reasons:
            rows.append((line(("Nothing raised it.", "dim")), None))
    return rows
