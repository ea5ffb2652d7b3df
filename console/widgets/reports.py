"""Owns how reports that were written elsewhere are drawn: a row of the list, and one as it is read."""

from typing import Final

from console.widgets.lines import EMPTY, Line, column, left, line, outside, right, wrap
from console.widgets.markdown import markdown_lines
from console.widgets.view import View
from contract.postmortem import ImportedReport, ReportText

_ID, _DATE, _SECTIONS, _COLLECTION = 10, 12, 9, 18
"""Widths of the list's columns, in cells."""
_COLLECTION_FROM: Final = 90
"""From here on the list names the collection."""
_READ_CHARS: Final = 200_000
"""Of a report that are laid out: all of nearly every one, and none that holds the screen up."""


def head(view: View) -> Line:
    """The headings of the list."""
    g, where = view.glyphs, _collection(view)
    texts = left("id", _ID, g) + left("date", _DATE, g) + left("title", _title_room(view), g)
    return line((texts + left("collection", where, g) + right("sections", _SECTIONS, g), "head"))


def row(one: ImportedReport, view: View) -> Line:
    """One report of the list; one without a date says so."""
    g, where = view.glyphs, _collection(view)
    return line(
        (left(one.id, _ID, g), "bold"),
        (left(one.date or "no date", _DATE, g), "" if one.date else "dim"),
        column(outside(one.title, 200), _title_room(view), g),
        (column(outside(one.collection, 60), where, g), "dim"),
        (right(f"{len(one.sections):,}", _SECTIONS, g), "dim"),
    )


def _collection(view: View) -> int:
    return _COLLECTION if view.width >= _COLLECTION_FROM else 0


def _title_room(view: View) -> int:
    return max(view.width - _ID - _DATE - _SECTIONS - _collection(view), 0)


def sentence(one: ImportedReport) -> Line:
    """What is read."""
    return line(" ", (outside(one.title, 200), "bold"), (f"  {one.date or 'no date'}", "dim"))


def page(found: ReportText, view: View) -> list[Line]:
    """A report as it is read, below where it is from."""
    one = found.report
    facts = f"{one.name} {view.glyphs.middot} collection {one.collection} {view.glyphs.middot} {one.chars:,} characters"
    rows = [line((text, "dim")) for text in wrap(outside(facts, 500), view.width)]
    rows += [line(("sha256 ", "dim"), (one.sha256, "dim")), EMPTY, *markdown_lines(found.text[:_READ_CHARS], view)]
    if len(found.text) > _READ_CHARS:
        rest = f"The first {_READ_CHARS:,} characters. All of it: watchfloor incidents reports show {one.id}"
        rows += [EMPTY, *(line((text, "near")) for text in wrap(rest, view.width))]
    return rows
