"""Owns how verifications of the ledger are drawn: how far one is, its six verdicts with findings, the last ones."""

from datetime import datetime

from console.state.freshness import coarse_age, exact_age, seconds_between
from console.state.verification import MEANINGS, Pace, by_whom, failed_verdicts, progress, unchecked_verdicts
from console.widgets.glyphs import Glyphs
from console.widgets.lines import EMPTY, Line, column, left, line, outside, pad, right, titled_rule, wrap
from console.widgets.view import View
from console.widgets.words import Sign
from contract.verification import Finding, Verdict, VerdictReport, Verification

_NAME_COLUMNS = 15
_SIGN_COLUMNS = 15
_INDENT = 4
_BAR_COLUMNS_MAX = 60


def outcome(report: VerdictReport | None, g: Glyphs) -> Sign:
    """How one verdict came out."""
    if report is None:
        return Sign(g.unknown, "not known", "dim")
    match report.outcome:
        case "ok":
            return Sign(g.ok, "ok", "ok")
        case "failed":
            return Sign(g.bad, "FAILED", "alarm")
        case _:
            return Sign(g.unknown, "not checked", "near")


def whole(run: Verification, g: Glyphs) -> Sign:
    """How a verification ended as a whole."""
    if run.state in {"waiting", "running"}:
        return Sign(g.partial, run.state, "")
    if run.state == "broken":
        return Sign(g.near, "broken", "near")
    if failed_verdicts(run) or run.passed is False:
        return Sign(g.bad, "FAILED", "alarm")
    return Sign(g.unknown, "in part", "near") if unchecked_verdicts(run) else Sign(g.ok, "ok", "ok")


def alarm_line(run: Verification, view: View) -> Line:
    """The bar across the whole screen while the last verification speaks against the ledger."""
    g = view.glyphs
    named = ", ".join(failed_verdicts(run)).upper()
    return pad(line((f" {g.bad} VERIFICATION FAILED: {named}".ljust(view.width), "alarm")), view.width, g)


def progress_rows(run: Verification, pace: Pace | None, now: datetime, view: View) -> list[Line]:
    """How far the one under way is: bar, entries, pace, time left."""
    g = view.glyphs
    at = progress(run, pace)
    started_s = seconds_between(run.started, now) or 0.0
    title = line(("UNDER WAY ", "head"), (f"{_kind(run)}{outside(by_whom(run), 60)}", ""))
    rows = [titled_rule(title, view.width, g, line((f"started {exact_age(started_s)} ago", "dim")))]
    bar = max(min(view.width - 30, _BAR_COLUMNS_MAX), 10)
    filled = round((at.share or 0.0) * bar)
    share = f"{at.share:.0%}" if at.share is not None else "--"
    rows.append(line((g.full * filled, "spark"), (g.empty * (bar - filled), "rule"), (right(share, 6, g), "bold")))
    total = f"{at.total:,}" if at.total else "--"
    facts = f"{at.done:,} of {total} entries"
    facts += f", {at.rate:,.0f} a second" if at.rate is not None else ""
    facts += f", {exact_age(at.left.total_seconds())} left" if at.left is not None else ""
    return [*rows, line(facts), EMPTY]


def verdict_rows(run: Verification, now: datetime, view: View) -> list[Line]:
    """The six verdicts of one verification; a failed one with what was found first."""
    g = view.glyphs
    ended_s = seconds_between(run.verified_at or run.seen_at, now) or 0.0
    title = line(("VERDICTS ", "head"), (f"{run.entries:,} entries read, {_kind(run)}", ""))
    rows = [titled_rule(title, view.width, g, line((f"{coarse_age(ended_s)} ago{outside(by_whom(run), 40)}", "dim")))]
    if run.state == "broken":
        text = f"It could not be carried out: {run.error or 'no reason is known'}"
        return [*rows, *(line(row) for row in wrap(outside(text), view.width)), EMPTY]
    for name, meaning in MEANINGS.items():
        rows += _verdict(name, meaning, run.verdicts.get(name), view)
    return [*rows, EMPTY]


def _verdict(name: Verdict, meaning: str, report: VerdictReport | None, view: View) -> list[Line]:
    g = view.glyphs
    sign = outcome(report, g)
    word = f"{sign.glyph} {sign.word}"
    told, style = meaning, "dim"
    if report is not None and report.outcome == "failed":
        word = f" {word} "
        told, style = (
            f"{report.findings:,} finding{'s' if report.findings != 1 else ''} in {report.checked:,} checked",
            "bad",
        )
    elif report is not None and report.outcome == "not_checked" and report.reason:
        told, style = outside(report.reason), ""
    room = max(view.width - _NAME_COLUMNS - _SIGN_COLUMNS, 10)
    texts = wrap(told, room)
    head = line(
        (column(name.capitalize(), _NAME_COLUMNS, g), "bold"),
        (word, sign.style),
        " " * max(_SIGN_COLUMNS - len(word), 0),
        (texts[0], style),
    )
    gap = " " * (_NAME_COLUMNS + _SIGN_COLUMNS)
    rows = [head, *(line(gap, (text, style)) for text in texts[1:3])]
    if report is None:
        return rows
    for finding in report.first if report.outcome == "failed" else ():
        rows += _finding(finding, view)
    if report.outcome == "failed" and (more := report.findings - len(report.first)) > 0:
        rows.append(line(" " * _INDENT, (f"and {more:,} more", "dim")))
    return [*rows, *_notes(report, view)]


def _notes(report: VerdictReport, view: View) -> list[Line]:
    """What is not wrong and should be known: the newest of it, and how much there is."""
    if not report.noted:
        return []
    parts = wrap(outside(report.notes[0].detail, 300) if report.notes else "", max(view.width - _INDENT - 2, 10))
    count = f"{report.noted:,} note{'s' if report.noted != 1 else ''}, the newest:"
    return [line(" " * _INDENT, (count, "dim")), *(line(" " * (_INDENT + 2), (part, "dim")) for part in parts[:3])]


def _finding(finding: Finding, view: View) -> list[Line]:
    place = outside(finding.log, 40) if finding.seq is None else f"{outside(finding.log, 40)} #{finding.seq:,}"
    text = outside(finding.what, 60).replace("_", " ")
    text += f": {outside(finding.detail, 300)}" if finding.detail else ""
    parts = wrap(text, max(view.width - _INDENT - len(place) - 2, 10))
    first = line(" " * _INDENT, (place, "bold"), "  ", parts[0])
    return [first, *(line(" " * (_INDENT + len(place) + 2), part) for part in parts[1:3])]


def runs_title(count: int, view: View) -> Line:
    """The heading of the last verifications."""
    after = line(("Enter shows one", "dim")) if count > 1 else EMPTY
    return titled_rule(line(("LAST VERIFICATIONS", "head")), view.width, view.glyphs, after)


def run_row(run: Verification, view: View, *, shown: bool) -> Line:
    """One verification: when, who, how much, how it ended."""
    g = view.glyphs
    sign = whole(run, g)
    mark = g.arrow if shown else " "
    who = max(view.width - 64, 8)
    return line(
        (f"{mark} ", "key"),
        (f"{run.started:%m-%d %H:%M:%S}  ", "dim"),
        (left(outside(run.requested_by or "--", 40), who, g), ""),
        (f"  {left(_kind(run), 20, g)}", "dim"),
        right(f"{run.entries:,}" if run.state == "done" else "--", 13, g),
        "  ",
        (f"{sign.glyph} {sign.word}", sign.style),
    )


def _kind(run: Verification) -> str:
    if run.logs:
        return f"only {', '.join(outside(log, 20) for log in run.logs)}"
    return "from the first entry" if run.full else "what was new"
