"""Owns how recovery drills are listed: drill by drill, their trend against the targets, the cluster, the next date."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final

from console.state.freshness import coarse_age, seconds_between
from console.state.recovery import clock_text, due_text, lag_text, span
from console.widgets import recovery_words, words
from console.widgets.lines import EMPTY, Line, cut, left, line, outside, right, titled_rule, wrap
from console.widgets.view import View
from contract.lengths import target
from contract.recovery import (
    BackupMatrix,
    BackupState,
    ClusterNode,
    DrillHistory,
    RecoveryDrill,
    Schedule,
    Topology,
    Trend,
)
from contract.recovery_states import ENDED, NodeRole

_STATE, _REF, _PLAN, _SPAN, _AGE = 13, 20, 11, 8, 6
"""Widths of the list's columns, in cells."""
_TREND_DRILLS: Final = 24
"""Drills of which the trend is drawn, the newest at the right."""
_SOON_DAYS: Final = 30
"""From here on the overview says when the next drill is due."""
_ROLE, _STATED, _FACT = 12, 14, 17
_LONGEST_NAME: Final = 20
_WIDE: Final = 100
"""From so many columns on there is room for addresses."""
_MS: Final = 1000


def head(view: View) -> Line:
    """The names of the columns."""
    g = view.glyphs
    text = left("", _STATE, g) + left("drill", _REF, g) + left("plan", _PLAN, g)
    text += right("RTO", _SPAN, g) + right("RPO", _SPAN, g) + right("ago", _AGE, g)
    return line((left(text + "  by", view.width, g), "head"))


def row(one: RecoveryDrill, now: datetime, view: View) -> Line:
    """One drill on one line."""
    g, found = view.glyphs, one.measured
    sign = recovery_words.drill(one.state, g)
    age = coarse_age(seconds_between(one.started_at, now) or 0.0)
    signed = ("  signed", "ok") if one.signed_by else ("", "")
    return line(
        (left(f"{sign.glyph} {sign.word}", _STATE, g), sign.style),
        (left(outside(one.ref, 24), _REF, g), "bold"),
        left(outside(one.plan, 40), _PLAN - 1, g) + " ",
        (right(_clock(found.rto_ms), _SPAN, g), _style(found.rto_met)),
        (right(_clock(found.rpo_ms), _SPAN, g), _style(found.rpo_met)),
        (right(age, _AGE, g), "dim"),
        signed,
        ("  " + outside(one.started_by, 40), "dim"),
    )


def _clock(ms: int | None) -> str:
    """A measured time; what was not measured is `--`."""
    return "--" if ms is None else clock_text(ms)


def _style(met: bool | None) -> str:  # noqa: FBT001  three answers, not a switch
    return {True: "ok", False: "bad", None: "dim"}[met]


def trend_lines(trend: Sequence[Trend], view: View) -> list[Line]:
    """RTO and RPO of earlier drills against their targets, in bars and words; nothing below two that measured."""
    last = trend[-_TREND_DRILLS:]
    rows = [
        _trend_line("RTO", [one.rto_ms for one in last], [one.rto_target_seconds for one in last], view),
        _trend_line("RPO", [one.rpo_ms for one in last], [one.rpo_target_seconds for one in last], view),
    ]
    return [one for one in rows if one]


def _trend_line(name: str, values: list[int | None], targets: list[int], view: View) -> Line:
    known = [(value, aim) for value, aim in zip(values, targets, strict=True) if value is not None]
    if len(known) < 2:  # noqa: PLR2004  one value is no trend
        return EMPTY
    bars = words.sparkline([None if value is None else Decimal(value) for value in values], len(values), view.glyphs)
    met = sum(value <= aim * _MS for value, aim in known)
    newest, aim = known[-1]
    style = "ok" if met == len(known) else "bad"
    figures = f"  last {span(newest)} of {target(aim)}, worst {span(max(value for value, _ in known))}, "
    return line((f"{name}  ", "dim"), (bars, "spark"), figures, (f"{met} of {len(known)} within target", style))


def said(history: DrillHistory, found: Topology | None, now: datetime) -> tuple[str, str]:
    """Line 2: the running drill, else what keeps one from being run, else when the next is due."""
    running = next((one for one in history.items if one.ref == history.running), None)
    if running is not None:
        return "near", f"{running.ref} runs: {running.sentence}"
    if history.items and history.items[0].left_to_do:
        return "bad", f"{history.items[0].ref} left something to do: Enter shows what."
    if found is not None and not found.nodes:
        return "near", f"No cluster can be drilled: {found.problem or 'WATCHFLOOR_CLUSTER names none.'}"
    return _due(history.schedule, now)


def _due(schedule: Schedule, now: datetime) -> tuple[str, str]:
    text, late = due_text(schedule, now.date())
    if late:
        return "bad", f"The recovery drill is OVERDUE: {text}; {_last(schedule)}. n starts one."
    if text:
        return "ok" if schedule.last_passed else "near", f"Next recovery drill due {text}; {_last(schedule)}."
    if schedule.why:
        return "unknown", f"When the next recovery drill is due: {outside(schedule.why, 100)}."
    return "unknown", f"The policy schedules no recovery drill; {_last(schedule)}."


def _last(schedule: Schedule) -> str:
    return f"the last passed on {schedule.last_passed}" if schedule.last_passed else "none has ever passed"


def overview_line(history: DrillHistory, live: RecoveryDrill | None, now: datetime, view: View) -> Line:
    """What the overview says: the drill that runs, else the next date once it is near; nothing before."""
    listed = next((one for one in history.items if one.ref == history.running), None)
    running = listed if live is None else live if live.state not in ENDED else None
    if running is not None:
        sign = recovery_words.drill(running.state, view.glyphs)
        head = f"{outside(running.ref, 24)} {sign.glyph} {sign.word}  "
        return line(("RECOVERY   ", "head"), (head, sign.style), outside(running.sentence, 200))
    text, late = due_text(history.schedule, now.date())
    due = history.schedule.due
    if not text or due is None or (not late and (due - now.date()).days > _SOON_DAYS):
        return EMPTY
    return line(("DUE        ", "head"), (f"DR test {text}", "bad" if late else "near"), ("  R shows it", "dim"))


def schedule_line(history: DrillHistory, now: datetime) -> Line:
    """When the next one is due, by which entry of the policy."""
    found = history.schedule
    text, late = due_text(found, now.date())
    if not text:
        return line(("due     ", "dim"), (outside(found.why, 60) or "the policy schedules none", "dim"))
    by = f"  {outside(found.name, 40)}, {outside(found.every, 20)}, due {found.due}"
    return line(("due     ", "dim"), (f"DR test {text}", "bad" if late else "bold"), (by, "dim"))


def topology_lines(found: Topology | None, now: datetime, view: View) -> list[Line]:
    """Who is primary and who follows, each on a line, and from when this is."""
    if found is None:
        return [titled_rule((("CLUSTER", "head"),), view.width, view.glyphs), line(("asking", "dim"))]
    name = f"CLUSTER {outside(found.cluster, 40)}" if found.cluster else "CLUSTER"
    age = coarse_age(seconds_between(found.as_of, now) or 0.0)
    after = ((f"{outside(found.provider, 12)}, {age} old", "dim"),)
    rows = [titled_rule(((name, "head"),), view.width, view.glyphs, after)]
    names = min(max((len(node.name) for node in found.nodes), default=0), _LONGEST_NAME) + 2
    rows += [_node_line(node, names, view) for node in found.nodes]
    if found.problem:
        rows += [line((f"{view.glyphs.bad} ", "bad"), text) for text in wrap(outside(found.problem), view.width - 2)]
    if found.nodes and not found.synchronous_mode:
        said = "commits do not wait for a standby: a failover may lose the last ones"
        rows.append(line((f"{view.glyphs.near} asynchronous  ", "near"), (said, "dim")))
    if found.paused:
        rows.append(line((f"{view.glyphs.near} paused  ", "near"), ("the cluster's own failover is off", "dim")))
    return rows


def _node_line(node: ClusterNode, names: int, view: View) -> Line:
    g = view.glyphs
    sign = recovery_words.node(node.role, g)
    lag = lag_text(node) if node.role is NodeRole.STANDBY else ""
    facts = [
        *([f"timeline {node.timeline}"] if node.timeline is not None else []),
        *(["synchronous"] if node.synchronous else []),
        *([outside(node.address, 60)] if node.address and view.width >= _WIDE else []),
    ]
    return line(
        (left(outside(node.name, 40), names - 2, g) + "  ", "bold"),
        (left(f"{sign.glyph} {sign.word}", _ROLE, g), sign.style),
        left(outside(node.state, 20), _STATED - 1, g) + " ",
        (left(lag, _FACT, g), "near" if node.lag_bytes else ""),
        ("  ".join(facts), "dim"),
    )


def backups_line(matrix: BackupMatrix, view: View) -> Line:
    """How many rows of the matrix stand how, the worst first."""
    order = (BackupState.FAILED, BackupState.MISSING, BackupState.STALE, BackupState.NOT_CHECKED, BackupState.OK)
    counts = [(state, sum(one.state is state for one in matrix.rows)) for state in order]
    spans: list[tuple[str, str]] = [("backups ", "dim")]
    for state, count in counts:
        if count:
            sign = recovery_words.backup(state, view.glyphs)
            spans.append((f"{sign.glyph} {count} {sign.word}  ", sign.style))
    return line(*spans, ("B shows them", "dim")) if len(spans) > 1 else line(*spans, ("the policy names none", "dim"))


def none_yet(view: View) -> list[Line]:
    """What the list says while there is none."""
    text = (
        "A recovery drill really fails the database over to its standby, measures how soon a write is taken again "
        "(RTO) and how much is lost (RPO), verifies the ledger, trades a canary, and fails back. n shows what it would "
        "do before anything is done."
    )
    rows = [line((cut(text_row, view.width, view.glyphs), "dim")) for text_row in wrap(text, view.width)]
    return [line(("No recovery drill has been run.", "near")), EMPTY, *rows]
