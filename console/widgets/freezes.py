"""Owns how freezes are drawn: what one would stop, its board with every executor's answer, and its story."""

from datetime import datetime

from console.state.freezing import Effect, Outcome, latched_text
from console.state.headline import MODE_WORDS
from console.widgets import words
from console.widgets.holds import proof_text
from console.widgets.lines import Line, cut, left, line, outside, right, titled_rule, wrap
from console.widgets.overview import scope_text
from console.widgets.view import View
from contract.freeze import BlastRadius, Freeze, FreezeStatus, HaltProof, HaltState

_LABEL_COLUMNS = 12
_WORST_FIRST = (
    HaltState.VIOLATION,
    HaltState.REQUESTED,
    HaltState.DELIVERED,
    HaltState.EXPIRED,
    HaltState.ACKED,
    HaltState.QUIESCED,
    HaltState.VERIFIED,
)


def blast_lines(blast: BlastRadius, view: View) -> list[Line]:
    """What a freeze would stop, in plain words."""
    g = view.glyphs
    executors = "1 executor" if blast.executors == 1 else f"{blast.executors:,} executors"
    if not blast.executors:
        first = line((f"{g.near} No executor is covered now; any that registers later starts frozen.", "near"))
    else:
        first = line((f"{g.near} This stops {executors} now. ", "near"), (f"{blast.trading:,} trade at present.", ""))
    second = line(
        f"  {blast.open_orders:,} open orders, {words.eth(blast.position_eth)} ETH open position, "
        f"{blast.in_flight:,} in flight that may still land."
    )
    third = line(("  Two persons are needed to thaw: one asks, another approves.", "dim"))
    if blast.already_frozen:
        third = line((f"  {blast.already_frozen:,} of them are frozen already. Two persons are needed to thaw.", "dim"))
    names = ", ".join(outside(name, 40) for name in blast.executor_names)
    return [first, second, line(("  " + cut(names, view.width - 2, g), "dim")), third]


def board_sentence(freeze: Freeze, effect: Effect, now: datetime | None) -> tuple[str, str]:
    """The board's line 2: its mood and its sentence. `now` is the backend's, as far as it is known."""
    count = f"{freeze.halted} of {freeze.covered} halted{_within(freeze)}"
    if freeze.status is FreezeStatus.THAWED:
        return "ok", f"{freeze.ref} was lifted by {freeze.thawed_by or 'somebody'}; executors may trade again."
    if freeze.status is FreezeStatus.LATCHED:
        return "near" if freeze.kept else "bad", f"LATCHED: {latched_text(freeze)}"
    if freeze.status is FreezeStatus.THAWING:
        return "near", f"{freeze.ref} is being lifted in stages: its first executors trade, {freeze.covered} are held."
    if effect.outcome is Outcome.DONE:
        return _done(freeze, effect, count)
    who = _some(effect.unproven)
    return {
        Outcome.FAILED: ("bad", f"{_some(effect.gone_on)} went on after the freeze. {count}."),
        Outcome.UNKNOWN: ("bad", f"UNKNOWN: {count}; no answer from {who}."),
    }.get(effect.outcome, ("near", f"{count}. No answer yet from {who}{_dies(effect, now)}."))


def _done(freeze: Freeze, effect: Effect, count: str) -> tuple[str, str]:
    if not freeze.covered:
        return "frozen", f"{freeze.ref} is in force; it covers no executor at present."
    if effect.still_open:
        return "near", f"{count}; {_some(effect.still_open)} still had something under way."
    return "frozen", f"{count}. {_seconded(freeze)}"


def _within(freeze: Freeze) -> str:
    answered = (proof.halted_after_seconds for proof in freeze.proofs if proof.acked_at and proof.halted_after_seconds)
    slowest = max(answered, default=None)
    return f" in {slowest:.2f} s" if slowest is not None else ""


def _seconded(freeze: Freeze) -> str:
    if freeze.verified == freeze.covered:
        return "A second source agrees for each of them."
    if freeze.verified:
        return f"A second source agrees for {freeze.verified}; the rest is their own word."
    return "By their own word: no second source agrees yet."


def _dies(effect: Effect, now: datetime | None) -> str:
    if effect.dead_at is None or now is None or effect.dead_at <= now:
        return ""
    whose = "its permit dies" if len(effect.unproven) == 1 else "the last permit dies"
    return f"; {whose} in {(effect.dead_at - now).total_seconds():.1f} s"


def _some(names: tuple[str, ...]) -> str:
    shown = 4
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return (", ".join(names[:shown]) + more) or "the others"


def board_rows(freeze: Freeze, view: View, *, late: bool) -> list[Line]:
    """One freeze: its story, then every executor's answer, those that have not confirmed first."""
    g = view.glyphs
    latched = freeze.status is FreezeStatus.LATCHED
    text, style = (f"{g.near} not in the database yet", "near") if latched else proof_text(freeze, view)
    mode = MODE_WORDS[freeze.mode]
    by = f"{outside(freeze.created_by, 40)}, {freeze.created_at:%Y-%m-%d %H:%M:%S} UTC"
    if freeze.automatic_rule:
        by += f", by rule {outside(freeze.automatic_rule, 40)}"
    facts = [("scope", scope_text(freeze.scope, view.width - _LABEL_COLUMNS, view)), ("mode", mode), ("by", by)]
    facts += [("reason", row) for row in wrap(outside(freeze.reason), view.width - _LABEL_COLUMNS)[:3]]
    if freeze.thaw_requested_by:
        asked = f"{outside(freeze.thaw_requested_by, 40)}: {outside(freeze.thaw_reason or '', 200)}"
        facts.append(("thaw asked", asked))
    if freeze.thaw and freeze.thaw.approved_by and freeze.thaw.watch_until:
        names = ", ".join(outside(name, 40) for stage in freeze.thaw.stages[:1] for name in stage.executor_names)
        facts.append(("approved by", outside(freeze.thaw.approved_by, 40)))
        facts.append(("let go", f"{names}; watched until {freeze.thaw.watch_until:%H:%M:%S} UTC, then the rest"))
    if freeze.thawed_by:
        facts.append(("thawed by", outside(freeze.thawed_by, 40)))
    rows: list[Line] = [
        line((left(name, _LABEL_COLUMNS, g), "dim"), cut(value, view.width - _LABEL_COLUMNS, g))
        for name, value in facts
    ]
    rows.append(titled_rule((("PROOF ", "head"), (text, style)), view.width, g))
    rows.append(_proof_head(view))
    ordered = sorted(freeze.proofs, key=lambda proof: (_WORST_FIRST.index(proof.state), proof.executor))
    rows += [_proof_row(proof, view, late=late) for proof in ordered]
    if freeze.covered and not freeze.proofs:
        rows.append(line(("The answers have not been loaded yet.", "dim")))
    return rows


def _proof_head(view: View) -> Line:
    g = view.glyphs
    head = left("executor", 17, g) + left("state", 12, g) + right("after", 8, g) + right("in flight", 10, g)
    return line((left(head + "  proof", view.width, g), "head"))


def _proof_row(proof: HaltProof, view: View, *, late: bool) -> Line:
    g = view.glyphs
    sign = words.halt(proof.state, g, late=late)
    after = f"{proof.halted_after_seconds:.2f} s" if proof.halted_after_seconds is not None else "--"
    said = proof.proof + (f": {', '.join(proof.open_ids)}" if proof.open_ids else "")
    return line(
        left(outside(proof.executor, 60), 17, g),
        (left(f"{sign.glyph} {sign.word}", 12, g), sign.style),
        right(after, 8, g),
        right(words.number(proof.in_flight), 10, g),
        ("  " + cut(outside(said), max(view.width - 49, 0), g), "dim"),
    )
