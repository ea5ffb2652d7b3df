"""Owns how one recovery drill is drawn: its clock, what is left to do, the checklist, what is undone, the log."""

from datetime import datetime
from typing import Final

from console.state.freshness import exact_age
from console.state.recovery import clock, clock_text, silent_s, span, to_undo, waiting_step
from console.widgets import recovery_words as words
from console.widgets.lines import EMPTY, Line, cut, left, line, outside, right, spread, titled_rule, wrap
from console.widgets.recovery import topology_lines
from console.widgets.view import View
from contract.lengths import target
from contract.recovery import DrillStep, Precondition, RecoveryDrill
from contract.recovery_states import ENDED, DrillState, StepState

_MARK, _TOOK = 11, 11
"""Widths of the checklist's columns, in cells."""
_MOODS: Final = {
    DrillState.PASSED: "ok",
    DrillState.FAILED: "bad",
    DrillState.UNRESOLVED: "bad",
}
_SHOWN_LOG_LINES: Final = 30
_BAR_COLUMNS: Final = 12
_HEX_SHOWN: Final = 8
"""Characters of a hash that a person compares at a glance; the whole one is on the step's own page."""
_WAITS: Final = {
    "step": "Enter lets it run",
    "cluster_name": "Enter asks for the cluster's name",
    "evidence": "Enter takes its evidence",
}


def sentence(one: RecoveryDrill, now: datetime) -> tuple[str, str]:
    """Line 2: its mood and its sentence; a backend that is not heard comes first."""
    silence_s = silent_s(one, now)
    if silence_s is not None:
        return "bad", f"The backend that runs it has not been heard for {exact_age(silence_s)}. {one.sentence}"
    return _MOODS.get(one.state, "near"), one.sentence


def clock_line(one: RecoveryDrill, now: datetime, view: View, *, unseen: bool) -> Line:
    """The recovery time against its target, running or measured, and what was lost; `unseen`: nobody answers now."""
    g, found, reading = view.glyphs, one.measured, clock(one, now)
    aim_ms = found.rto_target_seconds * 1000
    if reading.ms is None:
        text, style, word = "--", "dim", "not measured" if one.state in ENDED else "no outage yet"
    elif reading.runs:
        late = reading.ms > aim_ms
        text, style = clock_text(reading.ms), "bad" if late else "near"
        word = f"{g.bad} OVER and counting" if late else f"{g.partial} counting"
        word += ", not seen" if unseen else ""
    else:
        met = words.met(found.rto_met, g)
        text, style, word = clock_text(reading.ms), met.style, f"{met.glyph} {met.word}"
    aim = f" of {target(found.rto_target_seconds)}  "
    shown = (text, "bold" if style == "dim" else style)
    return line((" RTO ", "dim"), shown, aim, (word, style), ("   RPO ", "dim"), *_lost(one, view))


def _lost(one: RecoveryDrill, view: View) -> Line:
    found = one.measured
    if found.rpo_ms is None:
        return line(("--", "bold"), f" of {target(found.rpo_target_seconds)}")
    met = words.met(found.rpo_met, view.glyphs)
    count = found.transactions_lost if found.transactions_lost is not None else found.markers_lost
    what = "" if found.transactions_lost is not None else " markers"
    lost = "" if count is None else f", {count:,}{what} lost"
    shown = (f"{span(found.rpo_ms)}", met.style)
    aim = f" of {target(found.rpo_target_seconds)}  "
    return line(shown, aim, (f"{met.glyph} {met.word}", met.style), (lost, met.style))


def left_lines(one: RecoveryDrill, view: View) -> list[Line]:
    """What a person has to do, in large plain words."""
    if not one.left_to_do:
        return []
    g = view.glyphs
    head = "LEFT TO DO: the cluster is not as before" if one.state is DrillState.UNRESOLVED else "LEFT TO DO"
    rows = [titled_rule(((f"{g.bad} {head}", "bad"),), view.width, g)]
    for number, text in enumerate(one.left_to_do, 1):
        for at, part in enumerate(wrap(outside(text, 500), max(view.width - 4, 20))):
            rows.append(line((f"{number}. " if at == 0 else "   ", "bad"), (part, "bold")))
    return [*rows, EMPTY]


def step_lines(step: DrillStep, now: datetime, view: View) -> list[Line]:
    """A step of the checklist: glyph, word, how long, what came of it."""
    g = view.glyphs
    sign = words.step(step.state, g)
    took = right(_took(step, now), _TOOK, g)
    mark = left(f"{sign.glyph} {sign.word}", _MARK, g)
    name = f"{step.number} {outside(step.title, 100)}"
    room = max(view.width - _MARK - _TOOK - 1, 10)
    danger = (f" {g.near}", "near") if step.destructive else ("  ", "")
    rows = [line((mark, sign.style), (left(name, room - 2, g), "bold" if sign.style != "dim" else ""), danger, took)]
    rows += _told(step, view)
    if step.undone_at is not None:
        text = cut(f"rolled back: {outside(step.undo_summary, 200)}", view.width - _MARK - 2, g)
        rows.append(line(" " * (_MARK + 2), (text, "near")))
    return rows


def _told(step: DrillStep, view: View) -> list[Line]:
    g, indent, room = view.glyphs, " " * (_MARK + 2), max(view.width - _MARK - 2, 20)
    if step.waits_for and step.state is StepState.WAITING:
        asks = [line(indent, (part, "")) for part in wrap(outside(step.instructions, 500), room)[:3]]
        return [*(asks if step.instructions else []), line(indent, (_WAITS.get(step.waits_for, ""), "key"))]
    if step.state is StepState.RUNNING:
        return [line(indent, *_progress(step, view))] if step.progress_percent is not None else []
    grave = step.state in {StepState.FAILED, StepState.TIMED_OUT, StepState.INTERRUPTED}
    hash_text = f"sha {step.evidence_sha256[:_HEX_SHOWN]}" if step.evidence_sha256 else ""
    parts = wrap(outside(step.summary, 400), room)[:3] if step.summary else []
    rows = [line(indent, (part, "bad" if grave else "")) for part in parts]
    if not hash_text or not parts or len(parts[-1]) + len(hash_text) + 2 > room:
        return rows
    return [*rows[:-1], spread(rows[-1], line((hash_text, "dim")), view.width, g)]


def _progress(step: DrillStep, view: View) -> Line:
    percent = min(max(step.progress_percent or 0, 0), 100)
    full = percent * _BAR_COLUMNS // 100
    bar = view.glyphs.full * full + view.glyphs.empty * (_BAR_COLUMNS - full)
    return line((bar, "spark"), f" {percent} %")


def _took(step: DrillStep, now: datetime) -> str:
    if step.duration_ms is not None:
        return span(step.duration_ms)
    if step.state is StepState.RUNNING and step.started_at is not None:
        return f"{max(int((now - step.started_at).total_seconds()), 0)} s"
    return ""


def check_lines(title: str, found: list[Precondition], view: View, *, only_unmet: bool = False) -> list[Line]:
    """Preconditions, or the steady state afterwards."""
    shown = [one for one in found if not (only_unmet and one.ok)]
    if not shown:
        return []
    g = view.glyphs
    rows = [titled_rule(((title, "head"),), view.width, g)]
    for one in shown:
        sign = words.check(one, g)
        parts = wrap(f"{outside(one.title, 80)}: {outside(one.found, 300)}", max(view.width - _MARK, 20))
        for at, part in enumerate(parts[:3]):
            rows.append(line((left(f"{sign.glyph} {sign.word}" if at == 0 else "", _MARK, g), sign.style), part))
    return rows


def facts(one: RecoveryDrill, view: View) -> list[Line]:
    """Who ran it, how, why; who signed it."""
    how = "hands-off" if one.hands_off else "step by step"
    rows = [
        line(("by      ", "dim"), f"{outside(one.started_by, 40)}, {how}, {one.started_at:%Y-%m-%d %H:%M:%S} UTC"),
        *(line(("why     ", "dim"), part) for part in wrap(outside(one.reason, 200), view.width - 8)[:2]),
        line(("runs at ", "dim"), outside(one.backend, 60)),
    ]
    if one.incident:
        rows.append(line(("record  ", "dim"), outside(one.incident, 40), (", an incident that pages nobody", "dim")))
    if one.findings:
        rows.append(line(("kept    ", "dim"), f"{one.findings} findings as follow-up actions"))
    if one.signed_by:
        rows.append(
            line((f"{view.glyphs.ok} signed ", "ok"), f"by {outside(one.signed_by, 40)}, {one.signed_at:%Y-%m-%d}")
        )
    elif one.state in ENDED:
        rows.append(line((f"{view.glyphs.unknown} not signed ", "near"), ("S signs it, as another person", "dim")))
    return rows


def log_lines(one: RecoveryDrill, view: View) -> list[Line]:
    """What was said last, the newest first."""
    if not one.log:
        return []
    newest = list(reversed(one.log[-_SHOWN_LOG_LINES:]))
    head = titled_rule((("LOG", "head"), (" newest first", "dim")), view.width, view.glyphs)
    return [head, *(line((cut(outside(text, 300), view.width, view.glyphs), "dim")) for text in newest)]


def below(one: RecoveryDrill, now: datetime, view: View) -> list[Line]:
    """What stands under the checklist: conditions that count, the cluster, the log, who and why."""
    rows = check_lines("NOT MET BEFORE", one.before, view, only_unmet=True)
    rows += check_lines("STEADY STATE AFTERWARDS", one.after, view)
    if one.topology is not None:
        rows += topology_lines(one.topology, now, view)
    rows += log_lines(one, view)
    return [EMPTY, *rows, titled_rule((("DRILL", "head"),), view.width, view.glyphs), *facts(one, view)]


def keys_hint(one: RecoveryDrill) -> str:
    """What is to be done about the drill now, in a few words."""
    if waiting_step(one) is not None:
        return "Enter: the step that waits; a: abort"
    if one.state not in ENDED:
        return "a: abort"
    return f"signed by {outside(one.signed_by, 40)}" if one.signed_by else "not signed; m: report, S: sign"


def undo_lines(one: RecoveryDrill, view: View) -> list[Line]:
    """What an abort would roll back now, in that order."""
    g, steps = view.glyphs, to_undo(one)
    if not steps:
        return [line((f"{g.ok} ", "ok"), "Nothing has run: nothing has to be rolled back.")]
    rows = [line(("What ran is rolled back, in this order:", "bold"))]
    for order, step in enumerate(steps, 1):
        state = ", which is at work and is cut off" if step.state is StepState.RUNNING else ""
        rows.append(line((f"  {order}. ", "near"), f"step {step.number} {outside(step.title, 60)}{state}"))
    return rows


def output_lines(step: DrillStep, view: View) -> list[Line]:
    """A step's own page: times, evidence hash, everything it printed."""
    g = view.glyphs
    sign = words.step(step.state, g)
    rows = [line((f"{sign.glyph} {sign.word}", sign.style), f"  {span(step.duration_ms)}")]
    for name, at in (("began", step.started_at), ("ended", step.ended_at), ("undone", step.undone_at)):
        if at is not None:
            rows.append(line((left(name, 10, g), "dim"), f"{at:%Y-%m-%d %H:%M:%S.%f}"[:-3] + " UTC"))
    rows += [line((left("by", 10, g), "dim"), outside(step.by, 60))] if step.by else []
    rows += [line(part) for part in wrap(outside(step.summary, 1000), view.width)] if step.summary else []
    if step.evidence_sha256:
        rows += [line(("evidence sha256", "dim")), line(f"  {outside(step.evidence_sha256, 64)}")]
    rows.append(titled_rule((("OUTPUT", "head"),), view.width, g))
    said = [part for text in step.output.splitlines() for part in wrap(outside(text, 2000), view.width)]
    return rows + ([line(part) for part in said] or [line(("it printed nothing", "dim"))])
