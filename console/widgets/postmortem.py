"""Owns how a post-mortem is drawn: where it stands, its sections, what is contested."""

from datetime import datetime
from typing import Final

from console.state.freshness import coarse_age, seconds_between
from console.widgets.incidents import postmortem as state_sign
from console.widgets.lines import EMPTY, Line, column, cut, line, outside, right, text_of, titled_rule, wrap
from console.widgets.markdown import markdown_lines
from console.widgets.view import View
from contract.alerts import Link
from contract.postmortem import Postmortem, PostmortemSection, PostmortemState

Row = tuple[Line, Link | None]
_FIRST_CHARS: Final = 400
"""Of a section that are looked at for its first line."""


def sentence(one: Postmortem, who: str) -> tuple[str, str]:
    """Mood and sentence: whose turn it is."""
    match one.state:
        case PostmortemState.APPROVED:
            return "ok", f"Approved by {outside(one.approved_by or 'somebody', 60)}; it never changes again."
        case PostmortemState.REVIEW:
            if who in {one.submitted_by, one.created_by, *(part.edited_by for part in one.sections)}:
                return "near", "It waits for somebody who has not written it: r reads it, T approves it."
            return "near", "It waits for you or another person: r reads it, then T approves it or B sends it back."
        case PostmortemState.DRAFT:
            if one.sent_back_why:
                return "near", f"It was sent back: {outside(one.sent_back_why, 200)}"
            blank = sum(part.unwritten for part in one.sections)
            if blank:
                wait = "section waits" if blank == 1 else "sections wait"
                return (
                    "near",
                    f"{blank} of {len(one.sections)} {wait} to be written: e writes the selected one.",
                )
            return "near", "Every section is written: s submits it to somebody who has not written it."


def not_in(one: Postmortem, wanted: PostmortemState, act: str) -> str:
    """Why an act that takes a post-mortem in one state cannot be done; empty if it can."""
    if one.state is wanted:
        return ""
    match one.state:
        case PostmortemState.APPROVED:
            by = outside(one.approved_by or "somebody", 40)
            return f"{by} has approved it: it never changes again (n amends it)."
        case PostmortemState.REVIEW:
            return "It is in review already: T approves it, B sends it back."
        case PostmortemState.DRAFT:
            return f"It cannot be {act}: nobody has submitted it (s)."


def rows(one: Postmortem, now: datetime, view: View) -> list[Row]:
    """Its facts, then section by section with the beginning of each text."""
    g = view.glyphs
    sign = state_sign(one.state, g, required=True)
    versions = f"version {one.version}" + (f" of {len(one.versions)}" if len(one.versions) > 1 else "")
    title = line(("POST-MORTEM ", "head"), *sign.spans(), (f"  {versions}", "dim"))
    found: list[Row] = [(titled_rule(title, view.width, g, ((outside(one.template, 20), "dim"),)), None)]
    found += [(row, None) for row in _facts(one, view)]
    for part in one.sections:
        link = Link(kind="section", id=part.key, label="")
        found.append((EMPTY, None))
        found += [(row, link) for row in _section(part, now, view)]
    return found


def refusal_rows(text: str, view: View) -> list[Row]:
    """Why an act was refused, all of it."""
    head = f"{view.glyphs.near} REFUSED "
    rows = wrap(outside(text), max(view.width - len(head), 20))
    marks = [head, *[" " * len(head)] * len(rows)]
    return [*((line((mark, "near"), row), None) for mark, row in zip(marks, rows, strict=False)), (EMPTY, None)]


def _facts(one: Postmortem, view: View) -> list[Line]:
    said = [f"opened by {one.created_by} {one.created_at:%Y-%m-%d %H:%M} UTC"]
    if one.submitted_by:
        said.append(f"submitted by {one.submitted_by}")
    if one.approved_by and one.approved_at:
        said.append(f"approved by {one.approved_by} {one.approved_at:%Y-%m-%d %H:%M} UTC")
    lines = [line((row, "dim")) for row in wrap(outside(f" {view.glyphs.middot} ".join(said), 400), view.width)]
    return [*lines, line(("sha256 ", "dim"), one.sha256)] if one.sha256 else lines


def _section(part: PostmortemSection, now: datetime, view: View) -> list[Line]:
    g = view.glyphs
    by = "from the record" if part.edited_by is None else f"{outside(part.edited_by, 40)}, {_ago(part, now)}"
    words = len(part.text.split())
    tail = f"{words:,} words  {by}"
    head = column(outside(part.title, 100), max(view.width - len(tail), 10), g)
    shown = markdown_lines(part.text[:_FIRST_CHARS], view)
    texts = [text for row in shown if (text := text_of(row).strip())]
    first = "".join(texts[:1]) + (f" {g.ellipsis}" if len(texts) > 1 else "")
    mark = (g.unknown, "near") if part.unwritten else (g.done, "ok")
    return [
        line((f"{mark[0]} ", mark[1]), (head[:-2], "bold"), (right(tail, len(tail), g), "dim")),
        line("  ", (cut(first, view.width - 2, g), "dim") if first else ("nothing yet", "near")),
    ]


def _ago(part: PostmortemSection, now: datetime) -> str:
    return f"{coarse_age(seconds_between(part.edited_at, now) or 0.0)} ago"


def section_rows(one: Postmortem, view: View) -> list[Row]:
    """Its sections one after the other as they are read."""
    text = "\n\n".join(f"## {part.title}\n\n{part.text}" for part in one.sections)
    return [(row, None) for row in markdown_lines(text, view)]


def reading_rows(markdown: str, digest: str, view: View) -> list[Row]:
    """All of it as it is read, with the hash that an approval is about."""
    shown = [(row, None) for row in markdown_lines(markdown, view)]
    return [(line(("sha256 ", "dim"), (digest, "dim")), None), (EMPTY, None), *shown]
