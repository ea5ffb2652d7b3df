"""Owns how freeze drills are drawn: their history with times to halt, and what one measured of every canary."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from console.state.drills import Watched, is_clean
from console.state.freshness import coarse_age, seconds_between
from console.state.headline import MODE_WORDS
from console.widgets import words
from console.widgets.freezes import with_proof
from console.widgets.lines import EMPTY, Line, cut, left, line, outside, right, titled_rule, wrap
from console.widgets.view import View
from console.widgets.words import Sign
from contract.freeze import HaltProof
from contract.freeze_drills import CanaryOutcome, DrillHistory, FreezeDrill, HaltTimes, SignedHalt

_LABEL_COLUMNS = 12
_SIGN, _REF, _AGE, _BOTS, _MISSED, _SECONDS, _AFTER = 10, 9, 7, 4, 8, 8, 7
"""Widths of the history's columns, in cells."""
_NAME, _STATE = 17, 12
_SIGNATURE_END = 12
"""Characters that tell two statements apart: all begin alike."""
_SPARK_DRILLS = 40
"""Drills whose p99 is drawn, the newest at the right."""


def drill_sign(one: FreezeDrill, view: View) -> Sign:
    """How a drill went: nobody missed it, nobody sent after having signed."""
    g = view.glyphs
    if one.ended_at is None:
        return Sign(g.partial, "running", "near")
    if one.orders_after_halt:
        return Sign(g.bad, "WENT ON", "bad")
    if one.missed:
        return Sign(g.bad, "MISSED", "bad")
    return Sign(g.ok, "clean", "ok")


def history_head(view: View) -> Line:
    """The names of the columns."""
    g = view.glyphs
    head = left("", _SIGN, g) + left("drill", _REF, g) + left("ago", _AGE, g)
    head += _figures(("bots", "missed", "p50", "p99", "after"), view)
    return line((left(head + "  canaries", view.width, g), "head"))


def history_row(one: FreezeDrill, now: datetime, view: View) -> Line:
    """One drill on one line."""
    g = view.glyphs
    sign = drill_sign(one, view)
    age = coarse_age(seconds_between(one.started_at, now) or 0.0)
    missed = "--" if one.ended_at is None else words.number(one.missed)
    after = "--" if one.ended_at is None else words.number(one.orders_after_halt)
    times = (seconds(one.times.p50_seconds), seconds(one.times.p99_seconds))
    figures = _figures((words.number(one.covered), missed, *times, after), view)
    head = _SIGN + _REF + _AGE + len(figures)
    return line(
        (left(f"{sign.glyph} {sign.word}", _SIGN, g), sign.style),
        (left(outside(one.ref, 12), _REF, g), "bold"),
        (left(age, _AGE, g), "dim"),
        figures,
        ("  " + cut(_scopes(one), max(view.width - head - 2, 0), g), "dim"),
    )


def _figures(texts: tuple[str, str, str, str, str], view: View) -> str:
    widths = (_BOTS, _MISSED, _SECONDS, _SECONDS, _AFTER)
    return "".join(right(text, width, view.glyphs) for text, width in zip(texts, widths, strict=True))


def _scopes(one: FreezeDrill) -> str:
    return outside(" ".join(str(scope) for scope in one.scopes), 200)


def seconds(value: Decimal | None) -> str:
    """A time to halt; what was not measured is `--`."""
    return "--" if value is None else f"{value:.2f} s"


def together_lines(history: DrillHistory, view: View) -> list[Line]:
    """What the drills say together: times to halt, and their p99 one after the other."""
    g = view.glyphs
    times = history.times
    drills = "1 drill" if history.ended == 1 else f"{history.ended:,} drills"
    figures = (("p50", times.p50_seconds), ("p99", times.p99_seconds), ("max", times.max_seconds))
    spans: list[tuple[str, str]] = [("time to halt  ", "dim")]
    for name, value in figures:
        spans += [(f"{name} ", "dim"), (seconds(value), "bold"), ("  ", "")]
    missed = (f"{history.missed:,} missed", "bad" if history.missed else "ok")
    after = (f"{history.orders_after_halt:,} orders after a signed halt", "bad" if history.orders_after_halt else "ok")
    lines = [
        line(*spans, (f"n={times.count:,}", "dim")),
        line((f"in {drills}  ", "dim"), missed, ("  ", ""), after),
    ]
    ended = [one.times.p99_seconds for one in reversed(history.items) if one.ended_at is not None]
    if sum(value is not None for value in ended) > 1:
        bars = words.sparkline(ended, min(_SPARK_DRILLS, len(ended)), g)
        lines.append(line(("p99 by drill  ", "dim"), (bars, "spark"), ("  newest at the right", "dim")))
    return lines


def drill_facts(one: FreezeDrill, now: datetime, view: View) -> list[Line]:
    """What one drill was: canaries, mode, who and why, and its figures once it is over."""
    g = view.glyphs
    by = f"{outside(one.started_by, 40)}, {one.started_at:%Y-%m-%d %H:%M:%S} UTC"
    facts = [
        ("canaries", _scopes(one)),
        ("mode", f"{MODE_WORDS[one.mode]}, holds {', '.join(outside(ref, 20) for ref in one.holds)}"),
        ("by", by),
        *(("reason", row) for row in wrap(outside(one.reason), view.width - _LABEL_COLUMNS)[:3]),
    ]
    if one.ended_at is None:
        left_s = max(seconds_between(now, one.ends_at) or 0.0, 0.0)
        facts.append(("ends", f"by itself, in {left_s:.0f} s at the latest; then its own holds are lifted"))
    else:
        facts.append(("time to halt", times_text(one.times)))
    return [
        line((left(name, _LABEL_COLUMNS + 1, g), "dim"), cut(value, view.width - _LABEL_COLUMNS - 1, g))
        for name, value in facts
    ]


def times_text(times: HaltTimes) -> str:
    """The distribution of times to halt."""
    if not times.count:
        return "nobody acknowledged"
    figures = f"p50 {seconds(times.p50_seconds)}, p99 {seconds(times.p99_seconds)}, max {seconds(times.max_seconds)}"
    return f"{figures} ({times.count:,} acknowledged)"


def drill_sentence(watched: Watched) -> tuple[str, str]:
    """The detail's line 2: its mood and its sentence."""
    one = watched.drill
    if one.ended_at is None:
        done = sum(proof.acked_at is not None for proof in watched.proofs.values())
        return "near", f"DRILL {one.ref} runs: {done} of {one.covered} have acknowledged; it ends by itself."
    if not one.covered:
        return "unknown", f"DRILL {one.ref} covered no executor: it has shown nothing."
    if one.orders_after_halt:
        return "bad", f"DRILL {one.ref}: {one.orders_after_halt:,} orders were sent after a signed halt."
    if one.missed:
        return "bad", f"DRILL {one.ref}: {one.missed:,} of {one.covered:,} never acknowledged."
    if not is_clean(one):
        return "near", f"DRILL {one.ref}: nobody took part, so it has shown nothing."
    return "ok", f"DRILL {one.ref}: {one.times.count:,} halted, none later than {seconds(one.times.max_seconds)}."


def canary_rows(watched: Watched, view: View) -> list[Line]:
    """Every canary: how it halted, how soon, its orders until and after, and whether it signed."""
    g = view.glyphs
    head = left("executor", _NAME, g) + left("state", _STATE, g) + right("after", 8, g)
    head += right("before", 8, g) + right("orders", 8, g) + "  proof"
    rows = [titled_rule((("CANARIES", "head"),), view.width, g), line((left(head, view.width, g), "head"))]
    if watched.drill.ended_at is None:
        rows += [row for _, proof in sorted(watched.proofs.items()) for row in _running_rows(proof, view)]
    else:
        ordered = sorted(watched.drill.outcomes, key=lambda one: (one.halted_after_seconds is not None, one.executor))
        rows += [row for one in ordered for row in _outcome_rows(one, watched.signed, view)]
    if len(rows) == 2:  # noqa: PLR2004  nothing but the heading
        rows.append(line(("No executor is covered.", "dim")))
    return rows


def _running_rows(proof: HaltProof, view: View) -> list[Line]:
    measured = (seconds(proof.halted_after_seconds), "--", "--")
    return _rows(proof.executor, words.halted(proof, view.glyphs), measured, proof.proof, view)


def _outcome_rows(one: CanaryOutcome, signed: Mapping[str, Sequence[SignedHalt]], view: View) -> list[Line]:
    missed = one.exercised and one.halted_after_seconds is None
    sign = words.outcome(one, view.glyphs)
    orders = (words.number(one.orders_until_halt_at_most), words.number(one.orders_after_halt))
    rows = _rows(one.executor, sign, (seconds(one.halted_after_seconds), *orders), one.proof, view)
    statements = signed.get(one.executor, ())
    for said in statements:
        key = "its key is on record" if said.public_key else "NO KEY on record for it"
        ends = f"{view.glyphs.ellipsis}{outside(said.statement[-_SIGNATURE_END:])}"
        text = f"signed for {outside(said.freeze_ref, 20)}, signature {ends}, {key}"
        rows.append(line("    ", (cut(text, view.width - 4, view.glyphs), "dim" if said.public_key else "near")))
    if missed and not statements:
        rows.append(line("    ", ("no signed statement", "bad")))
    return rows


def _rows(name: str, sign: Sign, measured: tuple[str, str, str], proof: str, view: View) -> list[Line]:
    g = view.glyphs
    after, before, orders = measured
    head = line(
        left(outside(name, 60), _NAME, g),
        (left(f"{sign.glyph} {sign.word}", _STATE, g), sign.style),
        right(after, 8, g),
        right(before, 8, g),
        (right(orders, 8, g), "bad" if orders not in {"0", "--"} else ""),
    )
    return with_proof(head, proof, view, whole=sign.style in {"bad", "near"})


def no_drills(view: View) -> list[Line]:
    """What the history says while there is none."""
    text = (
        "A drill freezes canaries by the same path as in earnest, measures how soon each halts, and lifts its own "
        "holds by itself. n starts one."
    )
    said = [line((row, "dim")) for row in wrap(text, view.width)]
    return [line(("No freeze drill has been held.", "near")), EMPTY, *said]
